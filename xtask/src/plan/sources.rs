//! A stack's own files: its root module, every local module it uses, what stack.toml adds, and the environment's values.
//!
//! They are read once, hashed, and packed into a deterministic zip. Terraform plans from a copy that is unpacked from this
//! very zip, and a rollback does the same: a file that is not in it does not exist for either. In: a project, with the list
//! of its files from git, or an unpacked copy. Out: [`StackSources`]. Errors: a link that leaves the project, a module that
//! does not exist, a file that is read and not packed.

mod listing;
mod missing;
mod path_text;
mod project;
mod publishing;
mod reads;
mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use self::listing::{ProjectFiles, clean, file_name, join, parent};
use self::path_text::PathText;
use self::publishing::Publishing;
use self::reads::{FileRead, file_reads};
use self::syntax::{Declarations, is_configuration};
use crate::digest::{Digest, DigestBuilder};
use crate::failure::{self, Failure, Result};
use crate::name::{EnvironmentName, StackName};

pub(crate) use listing::SourceFile;
pub(crate) use publishing::Unpublished;
pub(crate) use syntax::{Variable, value_names};

/// The file in an archive that says where folders are that the project reaches through links.
pub(crate) const LINKS: &str = ".slipway/links.json";

/// The lock file of providers, in the root module's folder.
pub(crate) const LOCK_FILE: &str = ".terraform.lock.hcl";

/// Hidden files that are packed: the lock file, and those that choose Terraform's version.
const HIDDEN: [&str; 3] = [LOCK_FILE, ".terraform-version", ".tool-versions"];

/// Data sources whose results depend only on files, account and region.
const STABLE_DATA_SOURCES: [&str; 5] = [
    "aws_caller_identity",
    "aws_canonical_user_id",
    "aws_region",
    "aws_partition",
    "aws_iam_policy_document",
];

/// The files of a stack in an environment.
#[derive(Debug, Clone, Default)]
pub(crate) struct StackSources {
    /// Files by path relative to the project.
    pub(crate) files: BTreeMap<String, SourceFile>,
    /// The root module's folder, relative to the project; for a linked stack the folder that the link leads to.
    pub(crate) folder: String,
    /// Variables that the root module declares.
    pub(crate) variables: BTreeMap<String, Variable>,
    /// Outputs that the root module declares.
    pub(crate) outputs: BTreeSet<String>,
    /// Types of the backends that the root module configures.
    pub(crate) backends: BTreeSet<String>,
    /// Local names of the providers that the modules in the repository name.
    pub(crate) providers: BTreeSet<String>,
    /// A function of Lambda that publishes no version, if none in the files does.
    pub(crate) unpublished: Option<Unpublished>,
    /// Types of data sources whose results can change while the files stay the same, and functions that do the same.
    pub(crate) volatile: BTreeSet<String>,
    /// Sources of modules that are not in this repository.
    pub(crate) remote_modules: BTreeSet<String>,
    /// Var-files that the environment has for the stack, in the order of precedence.
    pub(crate) values: Vec<String>,
    /// Files on the disk that Terraform would read there and that are not packed, because git ignores them.
    pub(crate) ignored: Vec<String>,
    /// Whether git ignores the lock file.
    pub(crate) lock_ignored: bool,
    /// A file that differs from the commit.
    pub(crate) uncommitted: Option<String>,
    /// Whether git lists the files; without a repository all files on the disk count.
    pub(crate) from_git: bool,
    /// Folders of the modules, root module first.
    modules: Vec<String>,
    /// What the modules' expressions read, by the module's folder.
    reads: Vec<(String, FileRead)>,
}

/// Files with their paths relative to the project.
type NamedFiles = Vec<(String, SourceFile)>;

impl StackSources {
    /// Reads an unpacked copy of a stack's files: everything in it.
    pub(crate) fn of_copy(root: &Path, stack: &StackName, environment: &EnvironmentName) -> Result<Self> {
        let mut files = BTreeMap::new();
        for entry in walkdir::WalkDir::new(root).min_depth(1) {
            let entry = entry.map_err(|error| {
                Failure::failed(format!("{} cannot be read", root.display())).caused_by(error)
            })?;
            let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
            let path = path.to_string_lossy().into_owned();
            if entry.file_type().is_file() && !is_state(file_name(&path)) {
                files.insert(path, read_file(entry.path())?);
            }
        }
        let link = format!("terraform/stacks/{stack}");
        let folder = links_of(&files)?.remove(&link).unwrap_or(link);
        let mut sources = Self { folder, from_git: true, ..Self::default() };
        sources.read_modules(&mut |module| {
            let below = files.iter().filter(|(path, _)| is_below(path, module));
            Ok(below.map(|(path, file)| (path.clone(), file.clone())).collect())
        })?;
        let values = format!("terraform/environments/{environment}/{stack}");
        let values = ["tfvars", "tfvars.json"].map(|suffix| format!("{values}.{suffix}"));
        sources.values = values.into_iter().filter(|path| files.contains_key(path)).collect();
        sources.files = files;
        Ok(sources)
    }

    /// Returns a root module that declares the backend and nothing else.
    pub(crate) fn of_backend(stack: &StackName) -> Self {
        let folder = format!("terraform/stacks/{stack}");
        let content = b"terraform {\n  backend \"s3\" {}\n}\n".to_vec();
        let files =
            BTreeMap::from([(join(&folder, "backend.tf"), SourceFile { content, executable: false })]);
        Self { folder, files, ..Self::default() }
    }

    /// Reads the files of a root module that is not a stack, such as that of an account.
    pub(crate) fn read_root(root: &Path, folder: &str) -> Result<Self> {
        let mut project = ProjectFiles::on_the_disk(root)?;
        let mut sources = Self { folder: folder.to_owned(), ..Self::default() };
        sources.read_modules(&mut |module| {
            let found = project.below(module, &is_packed)?;
            found.into_iter().map(|found| Ok((found.path.clone(), project.read(&found)?))).collect()
        })?;
        Ok(sources)
    }

    /// Returns the digest of all files with their modes.
    pub(crate) fn digest(&self) -> Digest {
        let mut digest = DigestBuilder::new("slipway.configuration/2");
        for (path, file) in &self.files {
            digest.part(path, &file.content);
            if file.executable {
                digest.part("executable", path);
            }
        }
        digest.finish()
    }

    /// Packs the files into a zip whose name is its digest; returns the digest.
    pub(crate) fn pack(&self, to: &Path) -> Result<Digest> {
        let failed = |error| Failure::failed("the stack's files cannot be packed").caused_by(error);
        let mut tree = slipway_archive::Tree::new();
        for (path, file) in &self.files {
            tree.add_bytes(path, file.executable, file.content.clone()).map_err(failed)?;
        }
        let written = slipway_archive::write_zip(&tree, to, &|_| {}).map_err(failed)?;
        Ok(written.sha256)
    }

    /// Returns the path of the lock file.
    pub(crate) fn lock_path(&self) -> String {
        join(&self.folder, LOCK_FILE)
    }

    /// Returns the names of the values that files give to the root module.
    pub(crate) fn given_values(&self) -> Result<BTreeSet<String>> {
        let is_automatic = |path: &&String| parent(path) == self.folder && is_automatic(file_name(path));
        let files = self.files.keys().filter(is_automatic).chain(&self.values);
        let mut names = BTreeSet::new();
        for path in files {
            names.extend(value_names(path, &self.files[path].content)?);
        }
        Ok(names)
    }

    /// Returns the sources of a folder that holds a lock file and declares nothing.
    #[cfg(test)]
    pub(crate) fn sample(folder: &str) -> Self {
        let files = BTreeMap::from([(join(folder, LOCK_FILE), SourceFile::default())]);
        Self { folder: folder.to_owned(), files, ..Self::default() }
    }

    /// Reads the root module and every local module that it uses, each by `files_of`.
    fn read_modules(&mut self, files_of: &mut dyn FnMut(&str) -> Result<NamedFiles>) -> Result<()> {
        let mut publishing = Publishing::default();
        let mut queue = vec![(self.folder.clone(), None)];
        while let Some((folder, used_by)) = queue.pop() {
            if self.modules.contains(&folder) {
                continue;
            }
            let files = files_of(&folder)?;
            let mut declarations = Declarations::default();
            let configurations =
                files.iter().filter(|(path, _)| parent(path) == folder && is_configuration(file_name(path)));
            let mut count = 0;
            for (path, file) in configurations {
                declarations.add(path, &file.content)?;
                count += 1;
            }
            if let (0, Some((source, user))) = (count, used_by) {
                return Err(no_module(&folder, source, user));
            }
            self.files.extend(files);
            for call in std::mem::take(&mut declarations.modules) {
                let source = &call.source;
                if source.starts_with("./") || source.starts_with("../") {
                    let module = clean(&join(&folder, source)).ok_or_else(|| {
                        Failure::usage(format!("the module source \"{source}\" leaves the project"))
                            .unchanged("Nothing was changed.")
                            .hint("move the module into terraform/modules, or use a versioned remote source")
                    })?;
                    queue.push((module.clone(), Some((source.clone(), folder.clone()))));
                    publishing.calls.push((module, call));
                } else {
                    self.remote_modules.insert(call.source);
                }
            }
            let (reads, volatile) = file_reads(&declarations, &folder, &self.folder);
            self.reads.extend(reads.into_iter().map(|read| (folder.clone(), read)));
            self.volatile.extend(volatile);
            let functions = std::mem::take(&mut declarations.functions);
            publishing.functions.extend(functions.into_iter().map(|found| (folder.clone(), found)));
            publishing.otherwise |= declarations.publishes_otherwise;
            self.providers.append(&mut declarations.providers);
            let data = declarations.data_of_the_plan();
            self.volatile.extend(data.filter(|kind| !STABLE_DATA_SOURCES.contains(kind)).map(str::to_owned));
            if self.modules.is_empty() {
                self.variables.extend(declarations.variables);
                self.outputs.extend(declarations.outputs);
                self.backends.extend(declarations.backends);
            }
            self.modules.push(folder);
        }
        publishing.otherwise |= !self.remote_modules.is_empty();
        self.unpublished = publishing.unpublished();
        // A path that only the plan knows may lead anywhere on the machine.
        let unknown = self.reads.iter().filter(|(_, read)| read.path == PathText::Unknown);
        self.volatile.extend(unknown.filter_map(|(_, read)| read.function.clone()));
        Ok(())
    }
}

/// Returns the links that an archive records: the path of each, and where it leads.
pub(crate) fn links_of(files: &BTreeMap<String, SourceFile>) -> Result<BTreeMap<String, String>> {
    let Some(file) = files.get(LINKS) else { return Ok(BTreeMap::new()) };
    let links: BTreeMap<String, String> = serde_json::from_slice(&file.content)
        .map_err(|error| Failure::failed(format!("{LINKS} cannot be read")).caused_by(error))?;
    let is_clean = |path: &String| clean(path).as_ref() == Some(path) && !path.is_empty();
    if links.iter().any(|(link, folder)| !is_clean(link) || !is_clean(folder)) {
        return Err(Failure::failed(format!("{LINKS} names a path outside the configuration")));
    }
    Ok(links)
}

/// Tells whether a file is a state or a copy of one, which is never packed.
pub(crate) fn is_state(name: &str) -> bool {
    name.ends_with(".tfstate") || name.contains(".tfstate.")
}

/// Tells whether a file or folder within a module is packed.
fn is_packed(name: &str, is_folder: bool) -> bool {
    if name.starts_with('.') {
        return !is_folder && HIDDEN.contains(&name);
    }
    if is_folder {
        return !matches!(name, "tests" | "examples");
    }
    !is_state(name) && !name.ends_with(".tfplan") && !name.ends_with(".md")
}

/// Tells whether Terraform takes values from a file in the root module without being asked to:
/// <https://developer.hashicorp.com/terraform/language/values/variables#variable-definitions-tfvars-files>.
fn is_automatic(name: &str) -> bool {
    matches!(name, "terraform.tfvars" | "terraform.tfvars.json")
        || name.ends_with(".auto.tfvars")
        || name.ends_with(".auto.tfvars.json")
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.is_empty() || path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn read_file(path: &Path) -> Result<SourceFile> {
    use std::os::unix::fs::PermissionsExt as _;
    let read = || -> std::io::Result<SourceFile> {
        let executable = path.metadata()?.permissions().mode() & 0o100 != 0;
        Ok(SourceFile { content: std::fs::read(path)?, executable })
    };
    read().map_err(|error| failure::io("read", path, error))
}

fn no_module(folder: &str, source: String, user: String) -> Failure {
    Failure::usage(format!("the module \"{source}\" of {user} has no file that git lists in {folder}"))
        .unchanged("Nothing was changed.")
        .hint(format!(
            "git status --ignored {folder} shows whether git ignores it; a submodule is not part of this repository: copy it, or use a versioned remote source"
        ))
}

#[cfg(test)]
mod tests;
