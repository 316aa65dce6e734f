//! A stack's own files: its root module, every local module it resolves, and the environment's values for it.
//!
//! They are read once, hashed, and stored beside the ledger as a deterministic zip, so that a rollback plans with exactly the
//! applied files: from any clone, however shallow, and even if the tree was dirty.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use hcl::structure::Body;

use crate::digest::{Digest, DigestBuilder};
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// The files of a stack in an environment.
#[derive(Debug, Clone)]
pub(crate) struct StackSources {
    /// Content by path relative to the project.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Variables that the root module declares.
    pub(crate) variables: BTreeSet<String>,
    /// Types of data sources whose results can change while the files stay the same.
    pub(crate) volatile_data: BTreeSet<String>,
    /// Sources of modules that are not in this repository.
    pub(crate) remote_modules: BTreeSet<String>,
}

/// Data sources whose results depend only on files, account and region.
const STABLE_DATA_SOURCES: [&str; 4] =
    ["aws_caller_identity", "aws_region", "aws_partition", "aws_iam_policy_document"];

impl StackSources {
    /// Reads a stack's files below a root folder: the project, or an unpacked copy of the applied files.
    pub(crate) fn read(root: &Path, stack: &StackName, environment: &EnvironmentName) -> Result<Self> {
        let folder = Path::new("terraform/stacks").join(stack.as_str());
        if !root.join(&folder).is_dir() {
            return Err(Failure::usage(format!("the stack `{stack}` has no folder {}", folder.display())));
        }
        let values =
            Path::new("terraform/environments").join(environment.as_str()).join(format!("{stack}.tfvars"));
        Self::read_root(root, &folder, Some(&values))
    }

    /// Reads the files of a root module, and the file of its values if it exists; paths are relative to the root folder.
    pub(crate) fn read_root(root: &Path, folder: &Path, values: Option<&Path>) -> Result<Self> {
        let mut sources = Self {
            files: BTreeMap::new(),
            variables: BTreeSet::new(),
            volatile_data: BTreeSet::new(),
            remote_modules: BTreeSet::new(),
        };
        let mut queue = vec![folder.to_path_buf()];
        let mut seen = BTreeSet::new();
        while let Some(next) = queue.pop() {
            if seen.insert(next.clone()) {
                queue.extend(sources.read_module(root, &next, next == folder)?);
            }
        }
        if let Some(values) = values
            && root.join(values).is_file()
        {
            sources.read_file(root, values)?;
        }
        Ok(sources)
    }

    /// Returns the digest of all files.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("slipway.configuration/1");
        self.files.iter().for_each(|(path, content)| digest.part(path, content));
        digest.finish()
    }

    /// Packs the files into a zip whose name is its digest; returns the digest.
    pub(crate) fn pack(&self, to: &Path) -> Result<Digest> {
        let failed = |error| Failure::failed("the stack's files cannot be packed").caused_by(error);
        let mut tree = slipway_archive::Tree::new();
        for (path, content) in &self.files {
            tree.add_bytes(path, false, content.clone()).map_err(failed)?;
        }
        let written = slipway_archive::write_zip(&tree, to, &|_| {}).map_err(failed)?;
        Ok(written.sha256)
    }

    fn read_module(&mut self, root: &Path, folder: &Path, is_root: bool) -> Result<Vec<PathBuf>> {
        let mut modules = Vec::new();
        for file in files_of(root, folder)? {
            let text = self.read_file(root, &file)?;
            if file.extension().is_some_and(|extension| extension == "tf") {
                let body: Body = hcl::parse(&text).map_err(|error| {
                    Failure::failed(format!("{} cannot be read", file.display()))
                        .caused_by(error)
                        .hint("terraform validate shows the mistake; nothing was changed")
                })?;
                modules.extend(self.look_at(&body, folder, is_root)?);
            }
        }
        Ok(modules)
    }

    fn look_at(&mut self, body: &Body, folder: &Path, is_root: bool) -> Result<Vec<PathBuf>> {
        let mut modules = Vec::new();
        for block in body.blocks() {
            let label = || block.labels().first().map(|label| label.as_str().to_owned());
            match block.identifier() {
                "variable" if is_root => self.variables.extend(label()),
                "data" => self
                    .volatile_data
                    .extend(label().filter(|kind| !STABLE_DATA_SOURCES.contains(&kind.as_str()))),
                "module" => {
                    let source = block
                        .body()
                        .attributes()
                        .find(|attribute| attribute.key() == "source")
                        .map(|attribute| attribute.expr().to_string());
                    let source = source.unwrap_or_default().trim_matches('"').to_owned();
                    if source.starts_with("./") || source.starts_with("../") {
                        modules.push(inside(&folder.join(&source), &source)?);
                    } else {
                        self.remote_modules.insert(source);
                    }
                }
                _ => {}
            }
        }
        Ok(modules)
    }

    fn read_file(&mut self, root: &Path, file: &Path) -> Result<String> {
        let content = std::fs::read(root.join(file)).map_err(|error| failure::io("read", file, error))?;
        let text = String::from_utf8_lossy(&content).into_owned();
        self.files.insert(file.to_string_lossy().into_owned(), content);
        Ok(text)
    }
}

/// Unpacks a packed configuration into a folder, once.
pub(crate) fn unpack_sources(zip: &Path, to: &Path) -> Result<()> {
    if to.is_dir() {
        return Ok(());
    }
    let part = to.with_extension("part");
    let failed = |error: std::io::Error| failure::io("unpack into", to, error);
    if part.exists() {
        std::fs::remove_dir_all(&part).map_err(failed)?;
    }
    slipway_archive::unpack_zip(zip, &part)
        .map_err(|error| Failure::failed("the applied configuration cannot be unpacked").caused_by(error))?;
    std::fs::rename(&part, to).map_err(failed)
}

/// Returns a module's files, with those of sub-folders that are not modules themselves (templates, policies).
fn files_of(root: &Path, folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let walk =
        walkdir::WalkDir::new(root.join(folder)).sort_by_file_name().into_iter().filter_entry(|entry| {
            let name = entry.file_name().to_string_lossy();
            let hidden = name.starts_with('.') && name != ".terraform.lock.hcl";
            entry.depth() == 0
                || !(hidden || (entry.file_type().is_dir() && matches!(name.as_ref(), "tests" | "examples")))
        });
    for entry in walk {
        let entry = entry.map_err(|error| {
            Failure::failed(format!("{} cannot be read", folder.display())).caused_by(error)
        })?;
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_file()
            && !name.ends_with(".tfstate")
            && !name.ends_with(".tfplan")
            && !name.ends_with(".md")
        {
            let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
            files.push(relative.to_path_buf());
        }
    }
    Ok(files)
}

/// Resolves `..` in a module's source; it may not leave the project.
fn inside(path: &Path, source: &str) -> Result<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        let left = match part {
            Component::Normal(name) => {
                out.push(name);
                true
            }
            Component::ParentDir => out.pop(),
            _ => true,
        };
        if !left {
            return Err(Failure::usage(format!("the module source \"{source}\" leaves the project"))
                .hint("move the module into terraform/modules, or use a versioned remote source"));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_include_the_files_of_local_modules() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "terraform/stacks/s/main.tf",
            "module \"a\" {\n  source = \"../../modules/a\"\n}\nvariable \"releases\" {}\ndata \"aws_region\" \"r\" {}\n",
        );
        write(
            "terraform/modules/a/main.tf",
            "module \"b\" {\n  source = \"./b\"\n}\ndata \"aws_ami\" \"x\" {}\nvariable \"inner\" {}\n",
        );
        write("terraform/modules/a/b/main.tf", "module \"c\" {\n  source = \"registry/c/aws\"\n}\n");
        write("terraform/modules/a/policy.json", "{}");
        write("terraform/modules/other/main.tf", "");
        write("terraform/environments/local/s.tfvars", "x = 1\n");
        let (stack, environment) = ("s".parse().unwrap(), "local".parse().unwrap());
        let sources = StackSources::read(root.path(), &stack, &environment).unwrap();
        let names: Vec<&str> = sources.files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "terraform/environments/local/s.tfvars",
                "terraform/modules/a/b/main.tf",
                "terraform/modules/a/main.tf",
                "terraform/modules/a/policy.json",
                "terraform/stacks/s/main.tf"
            ]
        );
        assert_eq!(sources.variables, BTreeSet::from(["releases".to_owned()]));
        assert_eq!(sources.volatile_data, BTreeSet::from(["aws_ami".to_owned()]));
        assert_eq!(sources.remote_modules, BTreeSet::from(["registry/c/aws".to_owned()]));
        let before = sources.digest();
        write("terraform/modules/a/policy.json", "{ }");
        assert_ne!(StackSources::read(root.path(), &stack, &environment).unwrap().digest(), before);
    }

    #[test]
    fn module_source_outside_the_project_is_refused() {
        assert!(inside(Path::new("terraform/stacks/s/../../../../x"), "x").is_err());
        assert_eq!(
            inside(Path::new("terraform/stacks/s/../../modules/a"), "x").unwrap(),
            PathBuf::from("terraform/modules/a")
        );
    }
}
