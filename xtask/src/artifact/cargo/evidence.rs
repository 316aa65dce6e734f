//! Compares what the compiler read with the inputs that named the build.
//!
//! In: the units of a build with the compiler's record of each. Out: nothing, if everything that was read is an input, comes
//! from a registry that `Cargo.lock` names, belongs to the toolchain, or was made by this build. Goes wrong: a file or a
//! variable decided the bytes and is not an input. The failure names it and says how to declare it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::BuildContext;
use crate::failure::{Failure, Result};
use crate::settings::FunctionSettings;
use crate::source::Source;
use crate::tools::cargo::CompiledUnit;

/// Variables that cargo and this build set, or fix for everybody.
const SET_BY_THE_BUILD: [&str; 5] = ["LC_ALL", "LANG", "TZ", "OUT_DIR", "SOURCE_DATE_EPOCH"];

/// Refuses a build that used a file or a variable that is not an input.
pub(super) fn check(
    context: &BuildContext<'_>,
    settings: &FunctionSettings,
    source: &Source,
    target: &Path,
    units: &[CompiledUnit],
) -> Result<()> {
    let allowed = allowed_folders(context, target);
    let root = canonical(&context.project.root);
    let passed = context.process_env.for_builds(&[]);
    let passed: BTreeSet<&str> = passed.iter().map(|(name, _)| name.as_str()).collect();
    let mut undeclared = BTreeSet::new();
    for unit in units {
        let unit_folder = canonical(&unit.folder);
        let is_local = !allowed.iter().any(|folder| unit_folder.starts_with(folder));
        for file in &unit.files {
            let file = canonical(file);
            if allowed.iter().any(|folder| file.starts_with(folder)) {
                continue;
            }
            let inside = file.strip_prefix(&root).ok();
            if file.is_dir() {
                check_folder(context, source, &file, inside, &mut undeclared)?;
            } else if !inside.is_some_and(|path| source.inputs.files.contains_key(&*path.to_string_lossy())) {
                undeclared.insert(inside.map_or(file.clone(), Path::to_path_buf));
            }
        }
        check_variables(context, settings, &passed, unit, is_local)?;
    }
    match undeclared.into_iter().next() {
        None => Ok(()),
        Some(file) => Err(undeclared_file(context, settings, &file)),
    }
}

/// Checks a folder that a build script names: each of its files that git knows is an input.
fn check_folder(
    context: &BuildContext<'_>,
    source: &Source,
    folder: &Path,
    inside: Option<&Path>,
    undeclared: &mut BTreeSet<PathBuf>,
) -> Result<()> {
    let Some(inside) = inside else {
        undeclared.insert(folder.to_path_buf());
        return Ok(());
    };
    let tree = context.repository.work_tree(&[inside.to_string_lossy().into_owned()])?;
    let missing = tree.files.keys().find(|path| !source.inputs.files.contains_key(*path));
    undeclared.extend(missing.map(PathBuf::from));
    Ok(())
}

/// Refuses a variable that decided the bytes and is not declared. `passed` are the variables that every build gets.
fn check_variables(
    context: &BuildContext<'_>,
    settings: &FunctionSettings,
    passed: &BTreeSet<&str>,
    unit: &CompiledUnit,
    is_local: bool,
) -> Result<()> {
    let declared = settings.build.env();
    let is_known = |name: &str| {
        declared.iter().any(|known| known == name)
            || SET_BY_THE_BUILD.contains(&name)
            || name.starts_with("CARGO_")
            || name == "CARGO"
    };
    for (name, value) in unit.variables.iter().filter(|(name, _)| !is_known(name)) {
        // What is passed to every build is this machine's: its value is not an input.
        let is_machines = value.is_some() && passed.contains(name.as_str());
        let was_kept_out = value.is_none() && is_local && context.process_env.get(name).is_some();
        if is_machines || was_kept_out {
            return Err(undeclared_variable(settings, name, "is compiled in"));
        }
    }
    let kept_out = |name: &&String| {
        !is_known(name) && context.process_env.get(name).is_some() && !passed.contains(name.as_str())
    };
    match unit.watched_variables.iter().find(kept_out).filter(|_| is_local) {
        None => Ok(()),
        Some(name) => Err(undeclared_variable(settings, name, "decides what the build script does")),
    }
}

fn undeclared_variable(settings: &FunctionSettings, name: &str, how: &str) -> Failure {
    let file = settings.folder.join("function.toml");
    let mut names: Vec<String> = settings.build.env().iter().map(|name| format!("{name:?}")).collect();
    names.push(format!("{name:?}"));
    Failure::refused(format!("the variable {name} {how}, and is not one of the inputs of this function"))
        .unchanged("Nothing was published.")
        .hint(format!("write under [build] in {}: env = [{}]", file.display(), names.join(", ")))
}

fn undeclared_file(context: &BuildContext<'_>, settings: &FunctionSettings, file: &Path) -> Failure {
    let toml = settings.folder.join("function.toml");
    let failure = Failure::refused(format!(
        "the build read {}, which is not one of the inputs of this function",
        file.display()
    ))
    .unchanged("Nothing was published.");
    if file.is_absolute() {
        return failure
            .hint("a release belongs to a commit, which cannot contain that file: put it into the project");
    }
    if file.starts_with(".git") {
        return failure.hint("what git's folder holds differs from clone to clone: hand the value to the build in a variable, and name it with env under [build]");
    }
    if !context.repository.would_be_added(&context.project.root.join(file)) {
        return failure.hint(format!(
            "git ignores it, so no commit holds it: git check-ignore --verbose {}",
            file.display()
        ));
    }
    let mut globs: Vec<String> = settings.build.inputs().iter().map(|glob| format!("{glob:?}")).collect();
    globs.push(format!("{:?}", file.to_string_lossy()));
    failure.hint(format!("write under [build] in {}: inputs = [{}]", toml.display(), globs.join(", ")))
}

/// Lists the folders whose content is known by other means: downloads that `Cargo.lock` names, the toolchain, whose version is an
/// input, and what this build makes.
fn allowed_folders(context: &BuildContext<'_>, target: &Path) -> Vec<PathBuf> {
    let process_env = context.process_env;
    let cargo = process_env.cargo_home();
    let downloads = cargo.iter().flat_map(|home| ["registry", "git"].map(|name| home.join(name)));
    let toolchains = process_env.rustup_home().map(|home| home.join("toolchains"));
    downloads.chain(toolchains).chain([target.to_path_buf()]).map(|folder| canonical(&folder)).collect()
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}
