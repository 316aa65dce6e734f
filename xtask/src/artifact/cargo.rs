//! A Rust function: one binary, named `bootstrap`, linked for the runtime's glibc.
//!
//! In: settings, source and the builder. Out: a tree of one file. Goes wrong: the code does not compile, a tool or target is
//! missing, the runtime cannot run Rust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use slipway_archive::Tree;

mod evidence;
mod recompile;

use super::{BuildContext, elf};
use crate::failure::{Failure, Result};
use crate::progress::Step;
use crate::runtime::Runtime;
use crate::settings::FunctionSettings;
use crate::source::Source;
use crate::tools::cargo::{PathRemap, RustBuildRequest};

/// The binary to build.
pub(super) struct RustTarget<'a> {
    /// The package.
    pub(super) package: &'a str,
    /// Its binary.
    pub(super) binary: &'a str,
    /// Its features.
    pub(super) features: &'a [String],
    /// Globs of the files to put beside it.
    pub(super) include: &'a [String],
}

/// Builds a binary; returns the tree to pack and the versions of the tools.
pub(super) async fn build(
    context: &BuildContext<'_>,
    settings: &FunctionSettings,
    source: &Source,
    wanted: &RustTarget<'_>,
    folder: &Path,
    step: &Step,
) -> Result<(Tree, BTreeMap<String, String>)> {
    let root = &context.project.root;
    let target = context.project.work_folder().join("cargo");
    let request = RustBuildRequest {
        schema: 1,
        manifest_path: root.join("Cargo.toml"),
        package: wanted.package.to_owned(),
        binary: wanted.binary.to_owned(),
        features: wanted.features.to_vec(),
        architecture: settings.architecture,
        glibc: glibc_of(&settings.runtime)?,
        output_folder: folder.join("bin"),
        remap: remap(context, root, &target),
        profile: "release".into(),
    };
    let declared = settings.build.env();
    let mut environment = context.process_env.for_builds(declared);
    environment.push(("SOURCE_DATE_EPOCH".to_owned(), super::SOURCE_DATE_EPOCH.to_string()));
    recompile::forget_changed(root, &target, &source.inputs.files).await?;
    let reply = context.rust.build(&request, &environment, &target, folder, step).await?;
    recompile::remember(root, &target, &source.inputs.files, &reply.units)?;
    evidence::check(context, settings, source, &target, &reply.units)?;
    let cannot_pack =
        |error| Failure::failed(format!("`{}` cannot be packed", wanted.binary)).caused_by(error);
    let mut tree = Tree::new();
    tree.add_file("bootstrap", true, &reply.binary).map_err(cannot_pack)?;
    for (name, path, executable) in included(settings, source, wanted.include)? {
        tree.add_file(&name, executable, root.join(path)).map_err(cannot_pack)?;
    }
    Ok((tree, reply.tools))
}

/// Lists the files that lie beside the binary: name in the artifact, project-relative path, executable.
fn included(
    settings: &FunctionSettings,
    source: &Source,
    globs: &[String],
) -> Result<Vec<(String, String, bool)>> {
    let file = settings.folder.join("function.toml");
    let mut found = Vec::new();
    for glob in globs {
        let matcher = globset::GlobBuilder::new(glob).literal_separator(true).build().map_err(|error| {
            Failure::usage(format!("{}: `include` has an invalid glob", file.display())).caused_by(error)
        })?;
        let matcher = matcher.compile_matcher();
        let before = found.len();
        for (path, content) in &source.inputs.files {
            let Ok(name) = Path::new(path).strip_prefix(&settings.folder) else { continue };
            if matcher.is_match(name) {
                found.push((name.to_string_lossy().into_owned(), path.clone(), content.executable()));
            }
        }
        if found.len() == before {
            return Err(Failure::usage(format!("`include` in {} names no file: {glob}", file.display()))
                .unchanged("Nothing was built.")
                .hint("globs are relative to the function's folder; files that git ignores are not inputs"));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Returns the glibc to link for: the runtime's.
fn glibc_of(runtime: &Runtime) -> Result<String> {
    let glibc = elf::glibc_of(runtime).filter(|_| runtime.is_custom());
    glibc.map(|glibc| glibc.to_string()).ok_or_else(|| {
        Failure::usage(format!("a Rust function cannot run on the runtime `{runtime}`"))
            .hint("allowed for with = \"cargo\": provided.al2023, provided.al2")
    })
}

/// Lists the paths of this machine to replace in the binary; the most specific comes last and wins.
fn remap(context: &BuildContext<'_>, root: &Path, target: &Path) -> Vec<PathRemap> {
    let process_env = context.process_env;
    let mut remap = Vec::new();
    let mut add = |from: Option<PathBuf>, to: &str| {
        if let Some(from) = from.filter(|from| from.is_absolute()) {
            remap.push(PathRemap { from, to: to.to_owned() });
        }
    };
    add(process_env.rustup_home(), "/rustup");
    add(process_env.cargo_home(), "/cargo");
    add(Some(root.to_path_buf()), "/src");
    add(Some(target.to_path_buf()), "/target");
    remap
}
