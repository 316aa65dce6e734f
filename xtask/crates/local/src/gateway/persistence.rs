//! Values that outlive the gateway but not the emulator.
//!
//! In: values with a name. Out: the same values, also for the next gateway. Each is a file in a folder beside the images,
//! which the supervisor removes when the emulator is gone. Errors: those of the disk.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A map of values by name, in memory and in a folder.
pub(crate) struct PersistentMap<T> {
    folder: PathBuf,
    values: Mutex<BTreeMap<String, T>>,
}

impl<T: Clone + Serialize + DeserializeOwned> PersistentMap<T> {
    /// Reads the values of an earlier gateway. A file of another format is ignored.
    pub(crate) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut values = BTreeMap::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name =
                path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".json"));
            if let Some(name) = name
                && let Ok(value) = serde_json::from_slice(&fs::read(&path)?)
            {
                values.insert(name.to_owned(), value);
            }
        }
        Ok(Self { folder, values: Mutex::new(values) })
    }

    /// Returns a value.
    pub(crate) fn get(&self, name: &str) -> Option<T> {
        self.lock().get(name).cloned()
    }

    /// Returns all values, by name.
    pub(crate) fn all(&self) -> Vec<(String, T)> {
        self.lock().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Stores a value. The name must be valid as a file name.
    pub(crate) fn put(&self, name: &str, value: T) -> io::Result<()> {
        self.change(name, |_| Some(value))
    }

    /// Replaces a value atomically by what `change` makes of it; `None` leaves it unchanged.
    pub(crate) fn change(&self, name: &str, change: impl FnOnce(Option<&T>) -> Option<T>) -> io::Result<()> {
        let mut values = self.lock();
        let Some(value) = change(values.get(name)) else {
            return Ok(());
        };
        // Temporary files are made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(&value)?)?;
        file.persist(self.path(name)).map_err(|error| error.error)?;
        values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Removes a value and returns it.
    pub(crate) fn remove(&self, name: &str) -> Option<T> {
        let mut values = self.lock();
        let _ = fs::remove_file(self.path(name));
        values.remove(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, T>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_there_for_the_next_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let map = PersistentMap::<Vec<u32>>::open(folder.path().to_owned()).unwrap();
        map.put("a", vec![1]).unwrap();
        map.put("b", vec![2]).unwrap();
        map.change("a", |value| value.map(|value| [value.as_slice(), &[3]].concat())).unwrap();
        map.change("c", |value| value.cloned()).unwrap();
        assert_eq!(map.remove("b"), Some(vec![2]));
        fs::write(folder.path().join("other.json"), "not a list").unwrap();
        let next = PersistentMap::<Vec<u32>>::open(folder.path().to_owned()).unwrap();
        assert_eq!(next.all(), [("a".to_owned(), vec![1, 3])]);
        assert_eq!((next.get("a"), next.get("b"), next.get("c")), (Some(vec![1, 3]), None, None));
    }
}
