//! A Rust function: one binary, named `bootstrap`, linked for the runtime's glibc.
//!
//! In: settings, source and the builder. Out: a tree of one file. Goes wrong: the code does not compile, a tool or target is
//! missing, the runtime cannot run Rust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use slipway_archive::Tree;

use super::{BuildContext, elf};
use crate::failure::{Failure, Result};
use crate::progress::Step;
use crate::runtime::Runtime;
use crate::settings::FunctionSettings;
use crate::source::Source;
use crate::tools::cargo::{PathRemap, RustBuildRequest};

/// Builds a binary; returns the tree to pack and the versions of the tools.
pub(super) async fn build(
    context: &BuildContext<'_>,
    settings: &FunctionSettings,
    source: &Source,
    package: &str,
    binary: &str,
    folder: &Path,
    step: &Step,
) -> Result<(Tree, BTreeMap<String, String>)> {
    let root = &context.project.root;
    let target = context.project.work_folder().join("cargo");
    let request = RustBuildRequest {
        schema: 1,
        manifest_path: root.join("Cargo.toml"),
        package: package.to_owned(),
        binary: binary.to_owned(),
        architecture: settings.architecture,
        glibc: glibc_of(&settings.runtime)?,
        output_folder: folder.join("bin"),
        remap: remap(context, root, &target),
        profile: "release".into(),
    };
    let mut environment =
        vec![("SOURCE_DATE_EPOCH".to_owned(), super::source_date_epoch(context, source)?.to_string())];
    // Passed explicitly: a build that checks reproducibility has another CARGO_HOME than this process.
    environment
        .extend(context.process_env.get("CARGO_HOME").map(|home| ("CARGO_HOME".to_owned(), home.to_owned())));
    let reply = context.rust.build(&request, &environment, &target, folder, step).await?;
    let mut tree = Tree::new();
    tree.add_file("bootstrap", true, &reply.binary)
        .map_err(|error| Failure::failed(format!("`{binary}` cannot be packed")).caused_by(error))?;
    Ok((tree, reply.tools))
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
    let home = |variable: &str, folder: &str| {
        process_env
            .get(variable)
            .map(PathBuf::from)
            .or_else(|| process_env.get("HOME").map(|home| Path::new(home).join(folder)))
    };
    let mut remap = Vec::new();
    let mut add = |from: Option<PathBuf>, to: &str| {
        if let Some(from) = from.filter(|from| from.is_absolute()) {
            remap.push(PathRemap { from, to: to.to_owned() });
        }
    };
    add(home("RUSTUP_HOME", ".rustup"), "/rustup");
    add(home("CARGO_HOME", ".cargo"), "/cargo");
    add(Some(root.to_path_buf()), "/src");
    add(Some(target.to_path_buf()), "/target");
    remap
}
