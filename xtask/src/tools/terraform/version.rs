//! Terraform's version, as `terraform version` says it in a stack's folder.
//!
//! In: the program and a folder. Out: the version. It is cached only for a program that is Terraform itself: a script or
//! another program of that name (tfenv, tenv, mise) may choose the version by files and variables, so it is asked in that
//! folder every time. Errors: the program is missing, or prints no version.

use std::path::Path;

use super::{Terraform, commands};
use crate::exec;
use crate::failure::{self, Failure, Result};

/// What Go's linker writes into Terraform and into OpenTofu: the path of their main package.
const MAIN_PACKAGES: [&str; 2] =
    ["path\tgithub.com/hashicorp/terraform\n", "path\tgithub.com/opentofu/opentofu/cmd/tofu\n"];

impl Terraform {
    /// Returns Terraform's version, such as `1.11.4`, in the project's folder.
    pub(crate) async fn version(&self) -> Result<String> {
        self.version_in(Path::new(".")).await
    }

    /// Returns Terraform's version in a folder.
    pub(super) async fn version_in(&self, folder: &Path) -> Result<String> {
        let path = self.variables.path();
        let program = exec::find_program(&self.program, path).ok_or_else(|| self.missing())?;
        let identity = identity_of(&program)?;
        if let Ok(text) = std::fs::read_to_string(&self.cache)
            && let Some((known, version)) = text.split_once('\n')
            && known == identity
        {
            return Ok(version.trim().to_owned());
        }
        let command = commands::version(&self.program, folder).hint(self.missing_hint());
        let text = exec::capture(&command, &self.interrupt).await?;
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
            Failure::failed(format!("`{}` did not print JSON", command.quoted())).caused_by(error)
        })?;
        let version = value.get("terraform_version").and_then(serde_json::Value::as_str);
        let version = version
            .filter(|version| !version.is_empty())
            .ok_or_else(|| Failure::failed(format!("`{}` did not print a version", command.quoted())))?;
        if is_terraform_itself(&program) {
            let parent = self.cache.parent().unwrap_or(Path::new("."));
            // The cache only saves time: a failure to write it is ignored.
            let _ = std::fs::create_dir_all(parent)
                .and_then(|()| std::fs::write(&self.cache, format!("{identity}\n{version}")));
        }
        Ok(version.to_owned())
    }
}

/// Tells whether a program's version depends on nothing but its bytes: its main package is that of Terraform.
fn is_terraform_itself(program: &Path) -> bool {
    let Ok(bytes) = std::fs::read(program) else { return false };
    !bytes.starts_with(b"#!")
        && MAIN_PACKAGES.iter().any(|package| memchr::memmem::find(&bytes, package.as_bytes()).is_some())
}

/// Returns what changes when a program is replaced: its file, length, and the times at which it was written and placed.
fn identity_of(program: &Path) -> Result<String> {
    use std::os::unix::fs::MetadataExt as _;
    let path = program.canonicalize().map_err(|error| failure::io("find", program, error))?;
    let found = path.metadata().map_err(|error| failure::io("read", &path, error))?;
    Ok(format!(
        "{} {}:{} {} {}.{} {}.{}",
        path.display(),
        found.dev(),
        found.ino(),
        found.len(),
        found.mtime(),
        found.mtime_nsec(),
        found.ctime(),
        found.ctime_nsec()
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::interrupt::Interrupt;
    use crate::progress::Progress;
    use crate::tools::terraform::TerraformVariables;

    fn program(folder: &Path, text: &str) -> Terraform {
        let path = folder.join("bin/terraform");
        std::fs::create_dir(folder.join("bin")).unwrap();
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Terraform::new(
            path.to_str().unwrap(),
            TerraformVariables::default(),
            folder,
            Interrupt::never(),
            Progress::silent(),
        )
    }

    #[tokio::test]
    async fn version_that_a_script_chooses_by_the_folder_is_asked_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let script = "#!/bin/sh\necho \"{\\\"terraform_version\\\": \\\"$(cat .terraform-version)\\\"}\"\n# path\tgithub.com/hashicorp/terraform\n";
        let terraform = program(folder.path(), script);
        for version in ["1.10.0", "1.11.4"] {
            let stack = folder.path().join(version);
            std::fs::create_dir(&stack).unwrap();
            std::fs::write(stack.join(".terraform-version"), version).unwrap();
            assert_eq!(terraform.version_in(&stack).await.unwrap(), version);
        }
        std::fs::write(folder.path().join("1.10.0/.terraform-version"), "1.12.0").unwrap();
        assert_eq!(terraform.version_in(&folder.path().join("1.10.0")).await.unwrap(), "1.12.0");
    }

    #[test]
    fn terraform_itself_is_known_by_its_main_package() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("terraform");
        for (bytes, is_itself) in [
            ("\u{7f}ELF path\tgithub.com/hashicorp/terraform\nmod", true),
            (
                "\u{7f}ELF path\tgithub.com/tofuutils/tenv/v4/cmd/terraform\ndep\tgithub.com/hashicorp/terraform\tv1\n",
                false,
            ),
            ("#!/bin/sh\n# path\tgithub.com/hashicorp/terraform\n", false),
        ] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(is_terraform_itself(&file), is_itself, "{bytes}");
        }
    }

    #[test]
    fn replaced_program_has_another_identity() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("terraform"), folder.path().join("other"));
        std::fs::write(&file, "a").unwrap();
        let before = identity_of(&file).unwrap();
        std::fs::write(&other, "b").unwrap();
        let time = file.metadata().unwrap().modified().unwrap();
        std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
        std::fs::rename(&other, &file).unwrap();
        assert_ne!(identity_of(&file).unwrap(), before);
    }
}
