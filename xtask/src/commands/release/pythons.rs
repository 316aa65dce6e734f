//! Which Python runs each Python function in the local environment, seen to before anything is planned.
//!
//! In: the releases that are to be delivered. Out: nothing, where an interpreter of each runtime is there: on this machine,
//! among those that uv knows, or installed by uv now. What can go wrong: there is none, and the artifact has native parts
//! made for that version alone, which no other can load: refused. What has none is run by another version, and told.

use std::collections::BTreeMap;

use crate::app::AppContext;
use crate::emulator;
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::FunctionName;
use crate::release::{Catalogue, Manifest};
use crate::runtime::RuntimeFamily;
use crate::settings::PackageType;

/// What an interpreter of a runtime was looked for with, and what came of it.
struct Looked {
    /// The runtime of the interpreter that would run instead, where there is any.
    instead: Option<String>,
    /// Why uv has none either.
    uv: String,
}

/// Sees to the interpreters of these releases, or refuses to go on.
pub(super) async fn ready(app: &AppContext, catalogue: &Catalogue, manifests: &[Manifest]) -> Result<()> {
    let mut by_runtime: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
    for manifest in manifests.iter().filter(|manifest| manifest.package == PackageType::Zip) {
        if manifest.runtime.family() == Some(RuntimeFamily::Python) {
            by_runtime.entry(manifest.runtime.as_str()).or_default().push(manifest);
        }
    }
    for (runtime, manifests) in by_runtime {
        if interpreter(app, runtime).await? {
            continue;
        }
        let mut native = Vec::new();
        for manifest in &manifests {
            if let Some(part) = native_part(catalogue, manifest).await? {
                native.push((&manifest.function, part));
            }
        }
        let looked =
            if native.is_empty() { Some(look(app, runtime).await) } else { install(app, runtime).await? };
        let Some(looked) = looked else { continue };
        match (native.first(), &looked.instead) {
            (Some((function, part)), _) => return Err(refusal(app, runtime, function, part, &looked)),
            (None, None) => return Err(nothing_runs(runtime, &manifests)),
            (None, Some(instead)) => {
                let names = format::list(manifests.iter().map(|manifest| manifest.function.as_str()));
                app.progress.note(format!(
                    "local     {names} asks for {runtime}, which this machine lacks; {instead} runs it"
                ));
            }
        }
    }
    Ok(())
}

/// Tells whether an interpreter of the runtime is there: where the gateway looks, or else where uv does.
async fn interpreter(app: &AppContext, runtime: &str) -> Result<bool> {
    let folder = emulator::folder(&app.project);
    let found = slipway_local::find_python(&folder, runtime).await;
    if found.is_some_and(|found| found.runtime == runtime) {
        return Ok(true);
    }
    let version = runtime.trim_start_matches("python");
    let Some(program) = app.uv().find_python(version, &app.project.root).await? else { return Ok(false) };
    slipway_local::link_python(&folder, runtime, &program)
        .map_err(|error| crate::failure::io("link a Python in", &folder, error))?;
    let found = slipway_local::find_python(&folder, runtime).await;
    Ok(found.is_some_and(|found| found.runtime == runtime))
}

/// Names what would run instead.
async fn look(app: &AppContext, runtime: &str) -> Looked {
    let found = slipway_local::find_python(&emulator::folder(&app.project), runtime).await;
    Looked { instead: found.map(|found| found.runtime), uv: String::new() }
}

/// Has uv install the interpreter; returns what there is otherwise, or nothing where it is there now.
async fn install(app: &AppContext, runtime: &str) -> Result<Option<Looked>> {
    let version = runtime.trim_start_matches("python");
    let step = app.progress.slow_step("python", format!("{runtime} for the local environment"));
    let uv = match app.uv().install_python(version, &app.project.root, &step).await {
        Ok(()) if interpreter(app, runtime).await? => {
            step.done("installed");
            return Ok(None);
        }
        Ok(()) => "uv installed it, and it does not run".to_owned(),
        Err(failure) => {
            app.interrupt.check()?;
            let report = failure.report();
            let lines = report.body.iter().flat_map(|body| body.lines()).map(str::trim);
            let told: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
            if told.is_empty() { report.message.clone() } else { told.join("; ") }
        }
    };
    step.failed("not to be had");
    Ok(Some(Looked { uv, ..look(app, runtime).await }))
}

/// Finds a part of the artifact that only one version of Python can load, by the name that tells its version.
///
/// <https://peps.python.org/pep-3149/>; what is named `abi3` or tells nothing, any version may load.
async fn native_part(catalogue: &Catalogue, manifest: &Manifest) -> Result<Option<String>> {
    Ok(catalogue.zip_paths(manifest).await?.into_iter().find(|path| is_of_one_version(path)))
}

fn is_of_one_version(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".so") && name.contains(".cpython-3")
}

fn refusal(app: &AppContext, runtime: &str, function: &FunctionName, part: &str, looked: &Looked) -> Failure {
    let version = runtime.trim_start_matches("python");
    let places = slipway_local::places_of_python(&emulator::folder(&app.project));
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    let instead = looked.instead.as_deref().unwrap_or("no python3 at all");
    Failure::refused(format!("`{function}` needs Python {version}, and this machine has none"))
        .detail("native", format!("{part}, which no other version can load"))
        .detail("there is", instead)
        .detail("looked in", places.join(", "))
        .detail("uv", looked.uv.as_str())
        .unchanged("Releases that were cut stand in the store; nothing was planned or deployed.")
        .hint(format!(
            "install Python {version} where it is looked for (uv python install {version}, pyenv install {version}, or the \
             system's package), and run the same command again; a machine that reaches no download host takes \
             UV_PYTHON_INSTALL_MIRROR, or leaves the stack out by name"
        ))
}

fn nothing_runs(runtime: &str, manifests: &[&Manifest]) -> Failure {
    let names = format::list(manifests.iter().map(|manifest| manifest.function.as_str()));
    Failure::refused(format!("{names} needs {runtime}, and this machine has no python3"))
        .unchanged("Releases that were cut stand in the store; nothing was planned or deployed.")
        .hint("install Python 3, best of that version")
}

#[cfg(test)]
mod tests {
    use super::is_of_one_version;

    #[test]
    fn an_extension_tells_by_its_name_which_version_loads_it() {
        for (path, expected) in [
            ("pydantic_core/_pydantic_core.cpython-313-x86_64-linux-gnu.so", true),
            ("a/_b.cpython-310-aarch64-linux-gnu.so", true),
            ("cryptography/_rust.abi3.so", false),
            ("numpy.libs/libgfortran-91cc3cb1.so.5.0.0", false),
            ("lib/libshared.so", false),
            ("a.cpython-313/b.so", false),
            ("a/_b.cpython-313-x86_64-linux-gnu.so.txt", false),
        ] {
            assert_eq!(is_of_one_version(path), expected, "{path}");
        }
    }
}
