//! The Python interpreters that run Python functions in the local environment, made ready before anything is planned.
//!
//! In: the releases to deploy. Out: nothing, if an interpreter of each runtime is there: on this machine, among those of uv,
//! or installed by uv now. Goes wrong: there is none, and the artifact has native parts for that version alone, which no
//! other version can load. A function without native parts runs with another version, and a note says so.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::failure::{self, Failure, Result};
use crate::format;
use crate::interrupt::Interrupt;
use crate::name::FunctionName;
use crate::progress::Progress;
use crate::release::{Catalogue, Manifest};
use crate::runtime::RuntimeFamily;
use crate::settings::{PackageType, Project};
use crate::tools::uv::Uv;

/// What finds and installs the interpreters of the local environment.
pub(crate) struct Interpreters<'a> {
    /// The project.
    pub(crate) project: &'a Project,
    /// The releases of the local environment.
    pub(crate) catalogue: &'a Catalogue,
    /// uv.
    pub(crate) uv: &'a Uv,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
    /// Where events go.
    pub(crate) progress: &'a Progress,
}

/// The result of looking for an interpreter that is missing.
struct MissingInterpreter {
    /// The runtime of the interpreter that would run the function instead, where there is one.
    substitute: Option<String>,
    /// Why uv could not install it; empty where it was not asked to.
    uv_error: String,
}

impl Interpreters<'_> {
    /// Makes the interpreters of these releases ready, or refuses the releases that no interpreter can run.
    pub(crate) async fn ensure(&self, manifests: &[Manifest]) -> Result<()> {
        let mut by_runtime: BTreeMap<&str, Vec<&Manifest>> = BTreeMap::new();
        for manifest in manifests.iter().filter(|manifest| manifest.package == PackageType::Zip) {
            if manifest.runtime.family() == Some(RuntimeFamily::Python) {
                by_runtime.entry(manifest.runtime.as_str()).or_default().push(manifest);
            }
        }
        for (runtime, manifests) in by_runtime {
            if self.is_there(runtime).await? {
                continue;
            }
            let native = self.native_file(&manifests).await?;
            let missing = match native {
                None => Some(self.missing(runtime, String::new()).await),
                Some(_) => self.install(runtime).await?,
            };
            let Some(missing) = missing else { continue };
            match (native, &missing.substitute) {
                (Some((function, file)), _) => return Err(self.refusal(runtime, function, &file, &missing)),
                (None, None) => return Err(without_python(runtime, &manifests)),
                (None, Some(substitute)) => {
                    let names = format::list(manifests.iter().map(|manifest| manifest.function.as_str()));
                    self.progress.note(format!(
                        "local     {names}: this machine has no {runtime}; {substitute} runs it instead"
                    ));
                }
            }
        }
        Ok(())
    }

    fn folder(&self) -> PathBuf {
        super::folder(self.project)
    }

    /// Returns whether an interpreter of the runtime is there: where the gateway searches, or among those of uv.
    async fn is_there(&self, runtime: &str) -> Result<bool> {
        let folder = self.folder();
        let found = slipway_local::find_python(&folder, runtime).await;
        if found.is_some_and(|found| found.runtime == runtime) {
            return Ok(true);
        }
        let version = runtime.trim_start_matches("python");
        let Some(program) = self.uv.find_python(version, &self.project.root).await? else { return Ok(false) };
        slipway_local::link_python(&folder, runtime, &program)
            .map_err(|error| failure::io("link a Python in", &folder, error))?;
        let found = slipway_local::find_python(&folder, runtime).await;
        Ok(found.is_some_and(|found| found.runtime == runtime))
    }

    async fn missing(&self, runtime: &str, uv_error: String) -> MissingInterpreter {
        let substitute = slipway_local::find_python(&self.folder(), runtime).await;
        MissingInterpreter { substitute: substitute.map(|found| found.runtime), uv_error }
    }

    /// Installs the interpreter with uv; returns nothing where it is there now.
    async fn install(&self, runtime: &str) -> Result<Option<MissingInterpreter>> {
        let version = runtime.trim_start_matches("python");
        let step = self.progress.slow_step("python", format!("{runtime} for the local environment"));
        let error = match self.uv.install_python(version, &self.project.root, &step).await {
            Ok(()) if self.is_there(runtime).await? => {
                step.done("installed");
                return Ok(None);
            }
            Ok(()) => "uv installed it, but it does not run".to_owned(),
            Err(failure) => {
                self.interrupt.check()?;
                let report = failure.report();
                let lines = report.body.iter().flat_map(|body| body.lines()).map(str::trim);
                let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
                if lines.is_empty() { report.message.clone() } else { lines.join("; ") }
            }
        };
        step.failed("not available");
        Ok(Some(self.missing(runtime, error).await))
    }

    /// Returns the first function with a file that only one version of Python can load, and that file.
    async fn native_file<'m>(
        &self,
        manifests: &[&'m Manifest],
    ) -> Result<Option<(&'m FunctionName, String)>> {
        for manifest in manifests {
            let paths = self.catalogue.zip_paths(manifest).await?;
            if let Some(file) = paths.into_iter().find(|path| is_for_one_version(path)) {
                return Ok(Some((&manifest.function, file)));
            }
        }
        Ok(None)
    }

    fn refusal(
        &self,
        runtime: &str,
        function: &FunctionName,
        file: &str,
        missing: &MissingInterpreter,
    ) -> Failure {
        let version = runtime.trim_start_matches("python");
        let places = slipway_local::python_search_paths(&self.folder());
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        let substitute = missing.substitute.as_deref().unwrap_or("no python3 at all");
        Failure::refused(format!("`{function}` needs Python {version}, and this machine has none"))
            .detail("native", format!("{file}, which no other version can load"))
            .detail("there is", substitute)
            .detail("searched", places.join(", "))
            .detail("uv", missing.uv_error.as_str())
            .unchanged("The releases are in the store; nothing was planned or deployed.")
            .hint(format!(
                "install Python {version} in one of these places (uv python install {version}, pyenv install {version}, or the \
                 system's package), and run the same command again; without access to a download host, set \
                 UV_PYTHON_INSTALL_MIRROR, or name the functions to leave this stack out"
            ))
    }
}

/// Returns whether only one version of Python can load a file, by its name.
///
/// <https://peps.python.org/pep-3149/>; any version may load a library with `abi3` or no version in its name.
fn is_for_one_version(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".so") && name.contains(".cpython-3")
}

fn without_python(runtime: &str, manifests: &[&Manifest]) -> Failure {
    let names = format::list(manifests.iter().map(|manifest| manifest.function.as_str()));
    Failure::refused(format!("{names} needs {runtime}, and this machine has no python3"))
        .unchanged("The releases are in the store; nothing was planned or deployed.")
        .hint("install Python 3, preferably of that version")
}

#[cfg(test)]
mod tests {
    use super::is_for_one_version;

    #[test]
    fn extension_for_one_version_is_recognized_by_its_name() {
        for (path, expected) in [
            ("pydantic_core/_pydantic_core.cpython-313-x86_64-linux-gnu.so", true),
            ("a/_b.cpython-310-aarch64-linux-gnu.so", true),
            ("cryptography/_rust.abi3.so", false),
            ("numpy.libs/libgfortran-91cc3cb1.so.5.0.0", false),
            ("lib/libshared.so", false),
            ("a.cpython-313/b.so", false),
            ("a/_b.cpython-313-x86_64-linux-gnu.so.txt", false),
        ] {
            assert_eq!(is_for_one_version(path), expected, "{path}");
        }
    }
}
