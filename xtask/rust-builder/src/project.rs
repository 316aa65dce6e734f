//! The Cargo project that the request names: its workspace, its binaries, its configuration.
//!
//! What comes in: a request, and `cargo metadata`. What goes out: the metadata that cargo-lambda wants, and the
//! flags and the compiler that the project's configuration names. What can go wrong: the manifest is missing or
//! broken, or it has no such package or binary; the error names what there is.

use crate::{failure::Failure, request::Request, rustflags::ProjectFlags, target::Architecture};
use cargo_lambda_metadata::cargo::{CargoMetadata, load_metadata};
use std::path::{Path, PathBuf};

/// Reads the metadata and checks that the package has the binary.
pub(crate) fn load(request: &Request) -> Result<CargoMetadata, Failure> {
    let manifest = &request.manifest_path;
    if !manifest.is_file() {
        return Err(Failure::Manifest {
            manifest: manifest.clone(),
            reason: "there is no such file".to_owned(),
        });
    }
    let metadata = load_metadata(manifest, None)
        .map_err(|error| Failure::Manifest { manifest: manifest.clone(), reason: error.to_string() })?;
    let members: Vec<(String, Vec<String>)> = metadata
        .packages
        .iter()
        .map(|package| {
            let binaries =
                package.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
            (package.name.clone(), binaries.map(|target| target.name.clone()).collect())
        })
        .collect();
    check(request, &members)?;
    Ok(metadata)
}

/// Reads the project's configuration as cargo reads it in `folder`: flags, and the rustc it names.
pub(crate) fn configuration(
    folder: &Path,
    architecture: Architecture,
) -> Result<(ProjectFlags, PathBuf), Failure> {
    let broken = |error: cargo_config2::Error| Failure::Manifest {
        manifest: folder.join(".cargo/config.toml"),
        reason: error.to_string(),
    };
    let config = cargo_config2::Config::load_with_cwd(folder).map_err(broken)?;
    let resolved = config.rustflags(architecture.triple()).map_err(broken)?.unwrap_or_default().flags;
    let build = config.build.rustflags.clone().unwrap_or_default().flags;
    // The compiler itself: a wrapper (sccache) would be asked for a version it does not have.
    let rustc = config.build.rustc.clone().unwrap_or_else(|| "rustc".into());
    Ok((ProjectFlags { resolved, build }, rustc))
}

/// Fails unless one of the workspace's members is the package and has the binary.
fn check(request: &Request, members: &[(String, Vec<String>)]) -> Result<(), Failure> {
    let Request { package, binary, manifest_path, .. } = request;
    let Some((_, binaries)) = members.iter().find(|(name, _)| name == package) else {
        return Err(Failure::PackageUnknown {
            package: package.clone(),
            manifest: manifest_path.clone(),
            packages: members.iter().map(|(name, _)| name.clone()).collect(),
        });
    };
    if !binaries.contains(binary) {
        return Err(Failure::BinaryUnknown {
            package: package.clone(),
            binary: binary.clone(),
            binaries: binaries.clone(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Writes a configuration file and reads it back as cargo would.
    fn flags(config: &str) -> ProjectFlags {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        fs::write(folder.path().join(".cargo/config.toml"), config).unwrap();
        configuration(folder.path(), Architecture::X86_64).unwrap().0
    }

    #[test]
    fn build_flags_are_what_cargo_would_use_where_no_target_table_is() {
        let flags = flags("[build]\nrustflags = [\"--cfg\", \"x\"]\n");
        assert_eq!(flags.resolved, ["--cfg", "x"]);
        assert_eq!(flags.build, flags.resolved);
    }

    #[test]
    fn target_tables_hide_build_flags() {
        let flags = flags(
            "[build]\nrustflags = [\"--cfg\", \"x\"]\n\
             [target.x86_64-unknown-linux-gnu]\nrustflags = [\"--cfg\", \"y\"]\n",
        );
        assert_eq!(flags.resolved, ["--cfg", "y"]);
        assert_eq!(flags.build, ["--cfg", "x"]);
    }

    #[test]
    fn a_broken_configuration_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".cargo")).unwrap();
        fs::write(folder.path().join(".cargo/config.toml"), "[build\n").unwrap();
        let failure = configuration(folder.path(), Architecture::X86_64).unwrap_err();
        assert_eq!(failure.kind(), crate::failure::Kind::Manifest);
        assert!(failure.to_string().contains("config.toml"), "{failure}");
    }
}
