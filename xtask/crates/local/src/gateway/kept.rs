//! What the gateway itself knows of an account, and keeps for one life of the emulator.
//!
//! In: values with a name. Out: the same, also to the next gateway: each lies in a file of its own beside the images,
//! which the keeper forgets when the emulator's life ends. What can go wrong: the disk.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values by name, in memory and in a folder.
pub(crate) struct Kept<T> {
    folder: PathBuf,
    values: Mutex<BTreeMap<String, T>>,
}

impl<T: Clone + Serialize + DeserializeOwned> Kept<T> {
    /// Reads what a former gateway kept; a file that is not understood is none of ours.
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

    /// Finds a value.
    pub(crate) fn get(&self, name: &str) -> Option<T> {
        self.lock().get(name).cloned()
    }

    /// Gives all values, by name.
    pub(crate) fn all(&self) -> Vec<(String, T)> {
        self.lock().iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// Keeps a value under a name, which is a file's name.
    pub(crate) fn put(&self, name: &str, value: T) -> io::Result<()> {
        self.change(name, |_| Some(value))
    }

    /// Makes a value of what there is, while nobody else changes any; `None` leaves all as it is.
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

    /// Forgets a value.
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
    fn what_is_kept_is_known_to_the_next_gateway() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::<Vec<u32>>::open(folder.path().to_owned()).unwrap();
        kept.put("a", vec![1]).unwrap();
        kept.put("b", vec![2]).unwrap();
        kept.change("a", |value| value.map(|value| [value.as_slice(), &[3]].concat())).unwrap();
        kept.change("c", |value| value.cloned()).unwrap();
        assert_eq!(kept.remove("b"), Some(vec![2]));
        fs::write(folder.path().join("other.json"), "no list").unwrap();
        let next = Kept::<Vec<u32>>::open(folder.path().to_owned()).unwrap();
        assert_eq!(next.all(), [("a".to_owned(), vec![1, 3])]);
        assert_eq!((next.get("a"), next.get("b"), next.get("c")), (Some(vec![1, 3]), None, None));
    }
}
