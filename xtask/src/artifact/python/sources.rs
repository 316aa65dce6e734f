//! A Python function's own files: those below its `sources`, packed from the bytes that its inputs digest was made from.
//!
//! In: the sources, and the inputs with each file's content. Out: copies in a folder of Slipway's own, each compared with its
//! input, so that what is packed is what is hashed. Goes wrong: git lists no file at a source, a link leads to a file that is
//! not an input, a file changed since the inputs were read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cannot_pack;
use crate::failure::{self, Failure, Result};
use crate::settings::{FunctionSettings, name_in_artifact, source_path};
use crate::source::{FileContent, Source};

/// One file of the artifact that comes from the project.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OwnFile {
    /// The name in the artifact.
    name: String,
    /// The input that has the content, relative to the project: for a link, what it leads to.
    path: String,
}

/// Copies a function's own files into `to` and adds them to the tree; returns the name in the artifact -> the input's path.
pub(super) fn collect(
    root: &Path,
    settings: &FunctionSettings,
    source: &Source,
    sources: &[String],
    to: &Path,
    tree: &mut slipway_archive::Tree,
) -> Result<BTreeMap<String, String>> {
    let root = root.canonicalize().map_err(|error| failure::io("read", root, error))?;
    let inputs = &source.inputs.files;
    let mut own = BTreeMap::new();
    for entry in sources {
        let place = source_path(&settings.folder, entry);
        let top = name_in_artifact(entry).unwrap_or(entry);
        let found = Files { root: &root, inputs }.below(&place, top, &mut Vec::new())?;
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "`sources` in {}/function.toml names `{entry}`, but git lists no file there",
                settings.folder.display()
            ))
            .unchanged("Nothing was built.")
            .hint("check the path, and that git does not ignore it: git check-ignore --verbose <path>"));
        }
        for OwnFile { name, path } in found {
            let content = &inputs[&path];
            let copy = to.join(&name);
            copy_hashed(&root, &path, content, &copy)?;
            tree.add_file(&name, content.executable(), copy).map_err(cannot_pack)?;
            own.insert(name, path);
        }
    }
    Ok(own)
}

/// The files of the project that are inputs.
struct Files<'a> {
    root: &'a Path,
    inputs: &'a BTreeMap<String, FileContent>,
}

impl Files<'_> {
    /// Lists the files at or below a path, named below `top`; links are followed. `through` has the folders to which links on
    /// the way led.
    fn below(&self, place: &str, top: &str, through: &mut Vec<String>) -> Result<Vec<OwnFile>> {
        let mut found = Vec::new();
        for (path, content) in self.inputs {
            let Ok(below) = Path::new(path).strip_prefix(place) else { continue };
            let below = below.to_string_lossy();
            if below.ends_with(".pyc") || below.split('/').any(|part| part == "__pycache__") {
                continue;
            }
            let name = if below.is_empty() { top.to_owned() } else { format!("{top}/{below}") };
            let full = self.root.join(path);
            let metadata = full.symlink_metadata().map_err(|error| failure::io("read", &full, error))?;
            if metadata.is_symlink() {
                found.extend(self.follow(path, content, &full, &name, through)?);
            } else {
                found.push(OwnFile { name, path: path.clone() });
            }
        }
        Ok(found)
    }

    /// Lists the file that a link leads to, or the files of that folder. Each must be an input, or its changes would be
    /// missed.
    fn follow(
        &self,
        path: &str,
        content: &FileContent,
        full: &Path,
        name: &str,
        through: &mut Vec<String>,
    ) -> Result<Vec<OwnFile>> {
        let written = std::fs::read_link(full).map_err(|error| failure::io("read the link", full, error))?;
        packed_is_hashed(path, written.as_os_str().as_encoded_bytes(), content)?;
        let target = full.canonicalize().map_err(|error| failure::io("follow the link", full, error))?;
        let relative =
            target.strip_prefix(self.root).ok().map(|relative| relative.to_string_lossy().into_owned());
        if let Some(relative) = &relative {
            if self.inputs.contains_key(relative) {
                return Ok(vec![OwnFile { name: name.to_owned(), path: relative.clone() }]);
            }
            if Path::new(path).starts_with(relative) || through.contains(relative) {
                return Err(Failure::refused(format!(
                    "{path} is a link to {relative}, a folder that contains the link: it has no end"
                ))
                .unchanged("Nothing was built.")
                .hint("remove the link"));
            }
            through.push(relative.clone());
            let found = self.below(relative, name, through)?;
            through.pop();
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(not_an_input(path, &target, relative))
    }
}

/// Makes the failure of a link to something that is not an input.
fn not_an_input(path: &str, target: &Path, relative: Option<String>) -> Failure {
    let hint = match relative {
        Some(relative) => format!(
            "remove the link, and name what it leads to in function.toml, relative to the project with a leading slash: \
             sources = [\"/{relative}\", …]; if git ignores it, it cannot be packed"
        ),
        None => "replace the link with a copy: what lies outside the project is not part of a release".into(),
    };
    Failure::refused(format!(
        "{path} is a link to {}, which is not one of the function's inputs",
        target.display()
    ))
    .unchanged("Nothing was built.")
    .hint(hint)
}

/// Copies an input to a path of Slipway's own, if it still has the content that was hashed.
fn copy_hashed(root: &Path, path: &str, content: &FileContent, to: &PathBuf) -> Result<()> {
    let full = root.join(path);
    let bytes = std::fs::read(&full).map_err(|error| failure::io("read", &full, error))?;
    packed_is_hashed(path, &bytes, content)?;
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failure::io("create", folder, error))?;
    }
    std::fs::write(to, bytes).map_err(|error| failure::io("write", to, error))
}

/// Compares the bytes that are packed with the content that named the version. For a link the bytes are its target's path.
///
/// # Errors
/// They differ: the file was changed between reading and packing.
pub(super) fn packed_is_hashed(path: &str, bytes: &[u8], content: &FileContent) -> Result<()> {
    if FileContent::of(bytes, content.kind) == *content {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "{path} does not have the content that the inputs digest was made from: it changed during the build"
    ))
    .unchanged("Nothing was built.")
    .hint("run it again"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::failure::FailureKind;
    use crate::source::FileKind;

    /// A project of these files and links, all of them inputs but those below `outside/`.
    fn project(
        files: &[(&str, &str)],
        links: &[(&str, &str)],
    ) -> (tempfile::TempDir, BTreeMap<String, FileContent>) {
        let folder = tempfile::tempdir().unwrap();
        let mut inputs = BTreeMap::new();
        let place = |path: &str| {
            let full = folder.path().join(path);
            std::fs::create_dir_all(full.parent().unwrap()).unwrap();
            full
        };
        let content = |text: &str, kind: FileKind| FileContent::of(text.as_bytes(), kind);
        for (path, text) in files {
            std::fs::write(place(path), text).unwrap();
            inputs.insert((*path).to_owned(), content(text, FileKind::Plain));
        }
        for (path, target) in links {
            symlink(target, place(path)).unwrap();
            inputs.insert((*path).to_owned(), content(target, FileKind::Link));
        }
        inputs.retain(|path, _| !path.starts_with("outside/"));
        (folder, inputs)
    }

    fn listed(files: &[(&str, &str)], links: &[(&str, &str)], place: &str) -> Result<Vec<(String, String)>> {
        let (folder, inputs) = project(files, links);
        let root = folder.path().canonicalize().unwrap();
        let found = Files { root: &root, inputs: &inputs }.below(place, "app", &mut Vec::new())?;
        Ok(found.into_iter().map(|file| (file.name, file.path)).collect())
    }

    #[test]
    fn links_to_inputs_are_followed() {
        let files =
            [("f/src/main.py", "m"), ("common/a.py", "a"), ("common/deep/b.py", "b"), ("common/c.pyc", "")];
        let links = [("f/src/common", "../../common"), ("f/src/one.py", "../../common/a.py")];
        let pairs = [
            ("app/common/a.py", "common/a.py"),
            ("app/common/deep/b.py", "common/deep/b.py"),
            ("app/main.py", "f/src/main.py"),
            ("app/one.py", "common/a.py"),
        ];
        let expected: Vec<(String, String)> =
            pairs.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect();
        let mut found = listed(&files, &links, "f/src").unwrap();
        found.sort();
        assert_eq!(found, expected);
        // The source itself may be a link.
        assert_eq!(listed(&files, &links, "f/src/common").unwrap().len(), 2);
    }

    #[test]
    fn links_to_other_files_are_refused_with_the_key_that_helps() {
        let files = [("f/src/main.py", "m"), ("outside/common/a.py", "a")];
        for (target, hint) in [
            ("../../outside/common", "sources = [\"/outside/common\", …]"),
            ("../../outside/common/a.py", "sources = [\"/outside/common/a.py\", …]"),
            ("/etc/passwd", "replace the link with a copy"),
        ] {
            let failure = listed(&files, &[("f/src/link", target)], "f/src").unwrap_err();
            assert_eq!(failure.kind(), FailureKind::Refused);
            assert!(failure.message().starts_with("f/src/link is a link to /"), "{failure}");
            assert!(failure.report().hint.unwrap().contains(hint));
        }
    }

    #[test]
    fn links_without_an_end_are_refused() {
        for links in
            [vec![("f/src/up", "..")], vec![("f/src/a/there", "../../../g"), ("g/back", "../f/src/a")]]
        {
            let files = [("f/src/main.py", "m"), ("g/main.py", "m")];
            let failure = listed(&files, &links, "f/src").unwrap_err();
            assert!(failure.message().ends_with("it has no end"), "{failure}");
        }
    }

    #[test]
    fn file_that_changed_since_it_was_hashed_is_refused() {
        let (folder, inputs) = project(&[("f/src/main.py", "m")], &[]);
        let (root, to) = (folder.path(), folder.path().join("copy/main.py"));
        copy_hashed(root, "f/src/main.py", &inputs["f/src/main.py"], &to).unwrap();
        assert_eq!(std::fs::read_to_string(&to).unwrap(), "m");
        std::fs::write(root.join("f/src/main.py"), "other").unwrap();
        let failure = copy_hashed(root, "f/src/main.py", &inputs["f/src/main.py"], &to).unwrap_err();
        assert!(failure.message().starts_with("f/src/main.py does not have the content"), "{failure}");
        assert_eq!(failure.report().hint.as_deref(), Some("run it again"));
    }
}
