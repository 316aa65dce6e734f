//! The request: which binary of which package to build, for what, and where to put it.
//!
//! What comes in: a JSON file. What goes out: a [`Request`] whose paths are absolute and whose remap entries
//! can be written as flags. What can go wrong: the file can't be read, has an unknown or missing key, another
//! schema, or a value that can't be used; the message names the file and the key.

use crate::target::{Architecture, Glibc};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The only schema that is understood.
const SCHEMA: u32 = 1;

/// What to build.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    schema: u32,
    /// Cargo.toml of the package or of its workspace, absolute.
    pub(crate) manifest_path: PathBuf,
    /// The only package that is selected, so no other member's features enter the build.
    pub(crate) package: String,
    /// The binary target of that package.
    pub(crate) binary: String,
    pub(crate) architecture: Architecture,
    /// Newest glibc that the runtime has.
    pub(crate) glibc: Glibc,
    /// Folder that receives `bootstrap`, absolute; made where it is missing.
    pub(crate) output_folder: PathBuf,
    /// Path prefixes that must not be seen in the binary.
    pub(crate) remap: Vec<Remap>,
    /// Features of the package to switch on besides its defaults.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    pub(crate) profile: Profile,
}

/// A path prefix of this machine, and what the binary names in its place.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remap {
    pub(crate) from: String,
    pub(crate) to: String,
}

/// The Cargo profile: cargo-lambda's optimisations exist for this one alone.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Profile {
    Release,
}

/// Says why a request can't be used.
#[derive(Debug, Error)]
pub(crate) enum RequestError {
    #[error("request {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("request {}: {source}", path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("request {}: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
}

/// Reads and checks a request file.
pub(crate) fn read(path: &Path) -> Result<Request, RequestError> {
    let text = fs::read(path).map_err(|source| RequestError::Unreadable { path: path.to_owned(), source })?;
    let request: Request = serde_json::from_slice(&text)
        .map_err(|source| RequestError::Malformed { path: path.to_owned(), source })?;
    match request.defect() {
        Some(reason) => Err(RequestError::Unusable { path: path.to_owned(), reason }),
        None => Ok(request),
    }
}

impl Request {
    /// Names the first value that can't be used, if there is one.
    fn defect(&self) -> Option<String> {
        if self.schema != SCHEMA {
            return Some(format!("schema is {}, and this builder understands {SCHEMA}", self.schema));
        }
        for (key, path) in [("manifest_path", &self.manifest_path), ("output_folder", &self.output_folder)] {
            if !path.is_absolute() {
                return Some(format!("{key} `{}` is not absolute", path.display()));
            }
        }
        for (key, word) in [("package", &self.package), ("binary", &self.binary)] {
            if word.is_empty() {
                return Some(format!("{key} is empty"));
            }
        }
        self.remap.iter().find_map(Remap::defect)
    }
}

impl Remap {
    fn defect(&self) -> Option<String> {
        let Self { from, to } = self;
        if !Path::new(from).is_absolute() {
            return Some(format!("remap from `{from}` is not absolute"));
        }
        if to.is_empty() || to.contains('=') {
            // rustc splits `FROM=TO` at the last `=`.
            return Some(format!("remap of `{from}` to `{to}`: `to` is empty or holds `=`"));
        }
        let control = from.chars().chain(to.chars()).any(char::is_control);
        control.then(|| format!("remap of {from:?} to {to:?} holds a control character"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn sound() -> Value {
        json!({
            "schema": 1, "manifest_path": "/w/Cargo.toml", "package": "hello", "binary": "hello",
            "architecture": "x86_64", "glibc": "2.34", "output_folder": "/out",
            "remap": [{"from": "/w", "to": "/src"}], "profile": "release",
        })
    }

    fn read_value(value: &Value) -> Result<Request, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("request.json");
        fs::write(&path, value.to_string()).unwrap();
        read(&path).map_err(|error| error.to_string())
    }

    fn with(key: &str, value: Value) -> Value {
        let mut request = sound();
        request[key] = value;
        request
    }

    #[test]
    fn a_sound_request_is_read_and_features_default_to_none() {
        let request = read_value(&sound()).unwrap();
        assert_eq!(request.package, "hello");
        assert_eq!(request.features, Vec::<String>::new());
        assert_eq!(request.remap, [Remap { from: "/w".into(), to: "/src".into() }]);
        assert_eq!(request.glibc.to_string(), "2.34");
    }

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let message = read_value(&with("optimise", json!(true))).unwrap_err();
        assert!(message.contains("unknown field `optimise`"), "{message}");
        let message =
            read_value(&with("remap", json!([{"from": "/a", "to": "/b", "via": "/c"}]))).unwrap_err();
        assert!(message.contains("unknown field `via`"), "{message}");
    }

    #[test]
    fn every_key_but_features_is_required() {
        for key in sound().as_object().unwrap().keys() {
            let mut request = sound();
            request.as_object_mut().unwrap().remove(key);
            let message = read_value(&request).unwrap_err();
            assert!(message.contains(&format!("missing field `{key}`")), "{message}");
        }
    }

    #[test]
    fn values_that_cannot_be_used_are_named() {
        for (key, value, said) in [
            ("schema", json!(2), "schema is 2"),
            ("manifest_path", json!("Cargo.toml"), "manifest_path `Cargo.toml` is not absolute"),
            ("output_folder", json!("out"), "output_folder `out` is not absolute"),
            ("package", json!(""), "package is empty"),
            ("binary", json!(""), "binary is empty"),
            ("architecture", json!("riscv64"), "unknown variant `riscv64`"),
            ("profile", json!("dev"), "unknown variant `dev`"),
            ("glibc", json!("new"), "glibc version `new`"),
            ("remap", json!([{"from": "w", "to": "/src"}]), "remap from `w` is not absolute"),
            ("remap", json!([{"from": "/w", "to": "/a=b"}]), "holds `=`"),
            ("remap", json!([{"from": "/w", "to": ""}]), "`to` is empty"),
            ("remap", json!([{"from": "/w\n", "to": "/src"}]), "control character"),
        ] {
            let message = read_value(&with(key, value)).unwrap_err();
            assert!(message.contains(said), "{key}: {message}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let message = read(Path::new("/nowhere/request.json")).unwrap_err().to_string();
        assert!(message.starts_with("request /nowhere/request.json: "), "{message}");
    }
}
