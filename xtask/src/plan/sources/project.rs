//! Reads a stack's files from the project: the modules, the environment's values, and what stack.toml adds.
//!
//! In: the project's files as git lists them. Out: [`StackSources`]. Errors: a stack without a folder, a pattern that
//! matches nothing, a file that is read and not packed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::listing::{ProjectFiles, clean, file_name, join, parent};
use super::syntax::is_configuration;
use super::{LINKS, LOCK_FILE, SourceFile, StackSources, is_automatic, is_packed, is_state, missing};
use crate::failure::{Failure, Result};
use crate::name::{EnvironmentName, StackName};

/// Where a stack's files come from, by their real paths.
#[derive(Default)]
struct Origins {
    files: BTreeSet<String>,
    /// What `files` in stack.toml matches, deleted files among it.
    patterns: Vec<globset::GlobMatcher>,
}

impl Origins {
    fn contains(&self, path: &str) -> bool {
        self.files.contains(path) || self.patterns.iter().any(|pattern| pattern.is_match(path))
    }
}

impl StackSources {
    /// Reads a stack's files from the project. `extra` are the patterns of `files` in stack.toml; `None` if it has no such
    /// key.
    ///
    /// Fails if an expression reads a file of the project that is not packed.
    pub(crate) fn read(
        root: &Path,
        stack: &StackName,
        environment: &EnvironmentName,
        extra: Option<&[String]>,
    ) -> Result<Self> {
        let mut project = ProjectFiles::open(root)?;
        let sources = Self::collect(&mut project, stack, environment, extra)?;
        missing::refuse(&sources, &mut project, stack, extra.is_some())?;
        Ok(sources)
    }

    fn collect(
        project: &mut ProjectFiles,
        stack: &StackName,
        environment: &EnvironmentName,
        extra: Option<&[String]>,
    ) -> Result<Self> {
        let link = format!("terraform/stacks/{stack}");
        let values = format!("terraform/environments/{environment}");
        let real = project.real(&link)?.filter(|real| project.on_disk(real).1);
        let folder =
            real.ok_or_else(|| Failure::usage(format!("the stack `{stack}` has no folder {link}")))?;
        let likely = [folder.as_str(), "terraform/modules", &values];
        let likely: Vec<&str> = likely.into_iter().filter(|folder| project.on_disk(folder).1).collect();
        project.list_all(&likely)?;
        let mut sources =
            Self { folder: folder.clone(), from_git: project.has_repository(), ..Self::default() };
        let mut origins = Origins::default();
        sources.read_modules(&mut |module| {
            let mut files = Vec::new();
            for found in project.below(module, &is_packed)? {
                let file = project.read(&found)?;
                origins.files.insert(found.real);
                files.push((found.path, file));
            }
            Ok(files)
        })?;
        if folder != link {
            if !project.follow(&link)? {
                sources.ignored.push(link.clone());
            }
            sources.add_link(&link, &folder)?;
        }
        for suffix in ["tfvars", "tfvars.json"] {
            let path = format!("{values}/{stack}.{suffix}");
            match project.file(&path)? {
                Some(found) => {
                    let file = project.read(&found)?;
                    origins.files.insert(found.real);
                    sources.files.insert(path.clone(), file);
                    sources.values.push(path);
                }
                None if project.on_disk(&path).0 => sources.ignored.push(path),
                None => {}
            }
        }
        for pattern in extra.unwrap_or_default() {
            sources.add_matching(project, stack, pattern, &mut origins)?;
        }
        sources.find_ignored(project);
        let modules = sources.modules.clone();
        let is_of_module = |path: &str| {
            modules.iter().any(|module| {
                path.strip_prefix(module.as_str()).and_then(|rest| rest.strip_prefix('/')).is_some_and(
                    |rest| {
                        let (folders, name) = rest.rsplit_once('/').unwrap_or(("", rest));
                        is_packed(name, false)
                            && folders
                                .split('/')
                                .filter(|part| !part.is_empty())
                                .all(|part| is_packed(part, true))
                    },
                )
            })
        };
        let is_values = |path: &str| {
            parent(path) == values
                && file_name(path)
                    .strip_prefix(stack.as_str())
                    .is_some_and(|rest| matches!(rest, ".tfvars" | ".tfvars.json"))
        };
        let changed = |path: &str| origins.contains(path) || is_of_module(path) || is_values(path);
        sources.uncommitted = project.changed(changed).map(str::to_owned);
        Ok(sources)
    }

    fn add_link(&mut self, link: &str, folder: &str) -> Result<()> {
        let links = BTreeMap::from([(link, folder)]);
        let content = serde_json::to_vec(&links)
            .map_err(|error| Failure::defect("the links cannot be written as JSON").caused_by(error))?;
        self.files.insert(LINKS.to_owned(), SourceFile { content, executable: false });
        Ok(())
    }

    /// Adds the files that a pattern of `files` in stack.toml matches; it is relative to the stack's folder.
    fn add_matching(
        &mut self,
        project: &mut ProjectFiles,
        stack: &StackName,
        pattern: &str,
        origins: &mut Origins,
    ) -> Result<()> {
        let wrong = |message: String| {
            Failure::usage(format!("terraform/stacks/{stack}/stack.toml: `{pattern}` in `files` {message}"))
                .unchanged("Nothing was changed.")
        };
        let full = clean(&join(&self.folder, pattern)).filter(|_| !pattern.starts_with('/'));
        let full = full
            .ok_or_else(|| wrong("leaves the project".into()).hint("a rollback could not have that file"))?;
        let glob = globset::GlobBuilder::new(&full)
            .literal_separator(true)
            .build()
            .map_err(|error| wrong(format!("is not a valid pattern: {}", error.kind())))?
            .compile_matcher();
        let fixed: Vec<&str> =
            full.split('/').take_while(|part| !part.contains(['*', '?', '[', '{'])).collect();
        let fixed = fixed.join("/");
        let mut found = if project.on_disk(&fixed).1 {
            project.below(&fixed, &|name, is_folder| !(is_folder && matches!(name, ".git" | ".terraform")))?
        } else {
            project.file(&fixed)?.into_iter().collect()
        };
        found.retain(|file| glob.is_match(&file.path) && !is_state(file_name(&file.path)));
        if found.is_empty() {
            return Err(wrong("matches no file that git lists".into()).hint(
                "patterns are relative to the stack's folder; git check-ignore -v FILE says why git ignores a file",
            ));
        }
        for found in found {
            let file = project.read(&found)?;
            origins.files.insert(found.real);
            self.files.insert(found.path, file);
        }
        origins.patterns.push(glob);
        Ok(())
    }

    /// Finds the files in the modules' folders that Terraform would read and git ignores.
    fn find_ignored(&mut self, project: &ProjectFiles) {
        for module in &self.modules {
            for name in project.names_on_disk(module) {
                let path = join(module, &name);
                if self.files.contains_key(&path) || !project.on_disk(&path).0 {
                    continue;
                }
                let is_read = (is_configuration(&name) && is_packed(&name, false))
                    || (*module == self.folder && is_automatic(&name));
                if is_read {
                    self.ignored.push(path);
                } else if *module == self.folder && name == LOCK_FILE {
                    self.lock_ignored = true;
                }
            }
        }
    }
}
