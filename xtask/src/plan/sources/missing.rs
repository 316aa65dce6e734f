//! Refuses a stack whose expressions read files that are not packed: the plan would not see them, or see less than there is.
//!
//! In: a stack's files and reads, and the project. Out: nothing, or a refusal with the line for stack.toml. A path that is
//! known before the plan is compared with the disk. Where Terraform goes on without an error if a file does not exist, an
//! unknown path must be declared.

use globset::GlobBuilder;

use super::listing::{ProjectFiles, join, parent, relative_to};
use super::path_text::{PathText, Place};
use super::reads::FileRead;
use super::{StackSources, is_below, is_state};
use crate::failure::{Failure, Result};
use crate::name::StackName;

/// Refuses reads of files that are not packed. `declared` tells whether stack.toml has the key `files`.
pub(super) fn refuse(
    sources: &StackSources,
    project: &mut ProjectFiles,
    stack: &StackName,
    declared: bool,
) -> Result<()> {
    for (module, read) in &sources.reads {
        let check = Check { sources, stack, module, read, declared };
        check.run(project)?;
    }
    Ok(())
}

struct Check<'a> {
    sources: &'a StackSources,
    stack: &'a StackName,
    module: &'a str,
    read: &'a FileRead,
    declared: bool,
}

impl Check<'_> {
    fn run(&self, project: &mut ProjectFiles) -> Result<()> {
        match &self.read.path {
            PathText::Exact(Place::Inside(path)) => match self.missing(project, path)? {
                Some(missing) => self.not_packed(project, &missing),
                None => Ok(()),
            },
            PathText::Begins(Place::Inside(folder)) => {
                if self.is_of_module(folder) && (!self.read.quiet || !self.lacks_any_below(project, folder)) {
                    return Ok(());
                }
                if let (true, Some(missing)) = (self.nothing_below(folder), first_below(project, folder)?) {
                    return self.not_packed(project, &missing);
                }
                self.unknown()
            }
            PathText::Exact(Place::Outside(path)) | PathText::Begins(Place::Outside(path)) => {
                self.outside(path)
            }
            PathText::Unknown => self.unknown(),
        }
    }

    /// Returns a file that exists on the disk, is read, and is not packed.
    fn missing(&self, project: &mut ProjectFiles, path: &str) -> Result<Option<String>> {
        if project.on_disk(path).0 {
            return Ok((!self.sources.files.contains_key(path)).then(|| path.to_owned()));
        }
        if !project.on_disk(path).1 {
            return Ok(None);
        }
        if self.read.function.as_deref() != Some("fileset") {
            return if self.nothing_below(path) { first_below(project, path) } else { Ok(None) };
        }
        let pattern = self.read.pattern.as_deref().unwrap_or("**");
        let glob = GlobBuilder::new(&join(path, pattern)).literal_separator(true).build();
        let Ok(glob) = glob.map(|glob| glob.compile_matcher()) else { return Ok(None) };
        let fixed: Vec<&str> =
            pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect();
        let folder = if fixed.len() == pattern.split('/').count() { String::new() } else { fixed.join("/") };
        let folder = if folder.is_empty() { path.to_owned() } else { join(path, &folder) };
        let mut found = None;
        walk(project, &folder, &mut |file| {
            if glob.is_match(file) && !is_state(file) && !self.sources.files.contains_key(file) {
                found = Some(file.to_owned());
            }
            found.is_some()
        });
        Ok(found)
    }

    fn nothing_below(&self, folder: &str) -> bool {
        !self.sources.files.keys().any(|file| is_below(file, folder))
    }

    /// Tells whether a file below a folder is not packed: Markdown, hidden and ignored files are not.
    fn lacks_any_below(&self, project: &ProjectFiles, folder: &str) -> bool {
        walk(project, folder, &mut |file| !self.sources.files.contains_key(file))
    }

    /// Tells whether a folder belongs to a module, whose files are packed.
    fn is_of_module(&self, folder: &str) -> bool {
        self.sources.modules.iter().any(|module| folder == module || is_below(folder, module))
    }

    fn not_packed(&self, project: &mut ProjectFiles, path: &str) -> Result<()> {
        let is_listed = project.file(path)?.is_some();
        // A path that is written may be one that Terraform creates.
        if self.read.function.is_none() && !is_listed {
            return Ok(());
        }
        let what = self.what();
        let failure =
            Failure::usage(format!("{what} reads {path}, which is not part of the stack `{}`", self.stack))
                .unchanged("Nothing was changed.");
        if !is_listed {
            return Err(failure.detail("because", "git ignores it").hint(format!(
                "a rollback could not have that file: commit it (git check-ignore -v {path} says why git ignores it), or give its content as a value"
            )));
        }
        let own = &self.sources.folder;
        let folder = parent(path);
        let pattern = if folder.is_empty() || is_below(own, folder) || is_below(folder, own) || folder == own
        {
            relative_to(own, path)
        } else {
            format!("{}/**", relative_to(own, folder))
        };
        Err(failure
            .hint(format!("add it to terraform/stacks/{}/stack.toml: files = [\"{pattern}\"]", self.stack)))
    }

    fn outside(&self, path: &str) -> Result<()> {
        if self.read.function.is_none() {
            return Ok(());
        }
        Err(Failure::usage(format!("{} reads {path}, which is outside the project", self.what()))
            .unchanged("Nothing was changed.")
            .hint("a rollback could not have that file: copy it into the project, or give its content as a value"))
    }

    fn unknown(&self) -> Result<()> {
        if !self.read.quiet || self.read.function.is_none() || self.declared {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} reads a path that is known only to the plan, and a missing file there is no error for Terraform",
            self.what()
        ))
        .unchanged("Nothing was changed.")
        .hint(format!(
            "the plan sees only the stack's files: say in terraform/stacks/{}/stack.toml what else it reads, files = [\"../../policies/**\"], or files = [] if that is nothing",
            self.stack
        )))
    }

    fn what(&self) -> String {
        match &self.read.function {
            Some(function) => format!("`{function}(…)` in {}", self.module),
            None => format!("a path in {}", self.module),
        }
    }
}

/// Returns the first file below a folder, whether git lists it or not.
fn first_below(project: &mut ProjectFiles, folder: &str) -> Result<Option<String>> {
    let mut found = None;
    walk(project, folder, &mut |file| {
        found = Some(file.to_owned());
        true
    });
    Ok(found)
}

/// Calls `each` for the files below a folder until it returns true.
fn walk(project: &ProjectFiles, folder: &str, each: &mut dyn FnMut(&str) -> bool) -> bool {
    for name in project.names_on_disk(folder) {
        let path = join(folder, &name);
        let (is_file, is_folder) = project.on_disk(&path);
        if is_file && each(&path) {
            return true;
        }
        if is_folder && !matches!(name.as_str(), ".git" | ".terraform") && walk(project, &path, each) {
            return true;
        }
    }
    false
}
