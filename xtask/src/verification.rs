//! Verifies a published Lambda version before it serves: it is what was released, and it responds as expected.
//!
//! In: a version and its release. Out: a [`Verification`] with one check for each thing looked at. Errors: only a service
//! that cannot be reached; a version that differs from its release is a failed check, not an error.

mod mask;
mod request;
mod smoke;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

pub(crate) use self::mask::SecretMask;
use self::smoke::SmokeRun;
pub(crate) use self::smoke::is_subset;
pub(crate) use self::values::Values;

use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::interrupt::Interrupt;
use crate::name::{EnvironmentName, FunctionName};
use crate::plan::Output;
use crate::ports::{Alias, FunctionConfiguration, Functions, Services};
use crate::release::Manifest;
use crate::runtime::{Runtime, RuntimeFamily};
use crate::settings::PackageType;

/// One check of a version.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "Finding")]
pub(crate) struct Check {
    /// The name: `active`, `code`, `configuration`, `smoke "greets"`.
    #[serde(rename = "what")]
    pub(crate) name: String,
    /// Whether it passed.
    pub(crate) passed: bool,
    /// What was expected, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    /// What was found, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) got: Option<String>,
    /// The function's log lines, if a smoke event failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
    /// What to do, if the function is not the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

impl Check {
    /// Returns the check without secrets in anything that is printed.
    fn masked(mut self, secrets: &SecretMask) -> Self {
        let texts = [&mut self.expected, &mut self.got, &mut self.hint].into_iter().flatten();
        texts.chain(&mut self.log).for_each(|text| *text = secrets.mask(text));
        self
    }
}

/// The verification of one version.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Verification {
    /// The function.
    pub(crate) function: FunctionName,
    /// The function's name in Lambda.
    pub(crate) function_name: String,
    /// The Lambda version.
    pub(crate) lambda_version: String,
    /// The digest of its configuration.
    pub(crate) config_digest: Option<Digest>,
    /// The checks.
    #[serde(rename = "findings")]
    pub(crate) checks: Vec<Check>,
    /// Why the version was not called, if it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) not_called: Option<String>,
}

impl Verification {
    /// Returns whether all checks passed.
    pub(crate) fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }

    /// Adds whether the alias that users reach points only to this version.
    pub(crate) fn add_alias(&mut self, alias: Option<&Alias>, environment: &EnvironmentName) {
        let stands = alias.is_some_and(|alias| alias.points_only_to(&self.lambda_version));
        let found = alias.map_or("no alias".to_owned(), Alias::points_to);
        let mut check = match stands {
            true => passed("alias", Instant::now()),
            false => differs("alias", &self.lambda_version, &found, Instant::now()),
        };
        check.hint = (!stands).then(|| {
            format!("users reach another version than the one that the ledger names: cargo xtask recover --env {environment}")
        });
        self.checks.push(check);
    }

    /// Returns a summary on one line: `code ok · configuration ok · 2 smoke events 43 ms`, or why the version was not called.
    pub(crate) fn summary(&self) -> String {
        let (smokes, others): (Vec<&Check>, Vec<&Check>) =
            self.checks.iter().partition(|check| check.name.starts_with("smoke"));
        let other = |check: &&Check| format!("{} ok", check.name);
        let mut words: Vec<String> =
            others.iter().filter(|check| check.name != "active").map(other).collect();
        let took: u64 = smokes.iter().map(|check| check.took_ms).sum();
        match smokes.as_slice() {
            [] => words.extend(self.not_called.iter().map(|why| format!("not called: {why}"))),
            [one] => words.push(format!("{} {took} ms", one.name)),
            several => words.push(format!("{} smoke events {took} ms", several.len())),
        }
        words.join(" · ")
    }
}

/// How long a version may take to become active.
const ACTIVE_WITHIN: Duration = Duration::from_secs(180);

/// A version and what it should be.
pub(crate) struct VersionUnderTest<'a> {
    /// The release that it should be.
    pub(crate) manifest: &'a Manifest,
    /// The function's name in Lambda.
    pub(crate) function_name: &'a str,
    /// The published version's number.
    pub(crate) version: &'a str,
    /// The digest of the configuration with which it was verified before.
    pub(crate) known_configuration: Option<Digest>,
    /// Whether only safe smoke events may run.
    pub(crate) protected: bool,
    /// Whether the local environment runs it.
    pub(crate) emulated: bool,
    /// The stack's outputs.
    pub(crate) outputs: &'a BTreeMap<String, Output>,
    /// Where requests go.
    pub(crate) endpoint: Endpoint<'a>,
}

/// Where requests go.
#[derive(Clone, Copy)]
pub(crate) enum Endpoint<'a> {
    /// To the version itself, as events: it serves nobody yet.
    Version,
    /// To the address that users reach.
    Url {
        /// The address.
        address: &'a str,
        /// The service that requests are signed for.
        signed_for: Option<&'a str>,
    },
}

/// The clients that verification uses.
pub(crate) struct Clients<'a> {
    /// Functions of the account.
    pub(crate) functions: &'a Arc<dyn Functions>,
    /// Other services of the account.
    pub(crate) services: &'a Arc<dyn Services>,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

/// Checks a published version and runs its smoke events; in protected environments only the safe ones.
pub(crate) async fn verify(clients: &Clients<'_>, tested: &VersionUnderTest<'_>) -> Result<Verification> {
    let Clients { functions, interrupt, .. } = *clients;
    let VersionUnderTest { manifest, function_name, version, known_configuration, protected, .. } = *tested;
    let mut verification = Verification {
        function: manifest.function.clone(),
        function_name: function_name.to_owned(),
        lambda_version: version.to_owned(),
        config_digest: None,
        checks: Vec::new(),
        not_called: None,
    };
    let (active, configuration) = await_active(functions, function_name, version, interrupt).await?;
    let good = active.passed;
    verification.checks.push(active);
    let Some(configuration) = configuration else {
        return Ok(verification);
    };
    let digest = configuration.digest();
    verification.config_digest = Some(digest);
    // A function's package type cannot change, so that the stack has to create another function.
    let package = match manifest.package {
        PackageType::Zip => "Zip",
        PackageType::Image => "Image",
    };
    if configuration.package_type != package {
        verification.checks.push(compare("package type", package, &configuration.package_type));
    }
    verification.checks.push(compare("code", &manifest.artifact.code_sha256, &configuration.code_sha256));
    verification.checks.push(configuration_check(manifest, &configuration, known_configuration, digest));
    if !good || !verification.passed() {
        return Ok(verification);
    }
    verification.not_called = not_called(tested);
    if verification.not_called.is_some() {
        return Ok(verification);
    }
    let mut smoke_run = SmokeRun::new(clients, tested);
    for smoke in manifest.smoke.iter().filter(|smoke| smoke.safe || !protected) {
        interrupt.check()?;
        verification.checks.push(smoke_run.run(smoke).await?);
    }
    Ok(verification)
}

/// Returns the reason for which no smoke event can be sent to a version.
fn not_called(tested: &VersionUnderTest<'_>) -> Option<String> {
    let manifest = tested.manifest;
    let managed = manifest.managed().map(|(runtime, _)| runtime).filter(|_| tested.emulated);
    let runs_here = |runtime: &Runtime| {
        matches!(runtime.family(), Some(RuntimeFamily::Custom | RuntimeFamily::Python) | None)
    };
    if let Some(runtime) = managed.filter(|runtime| !runs_here(runtime)) {
        return Some(format!("the local environment does not run {runtime}"));
    }
    if manifest.smoke.is_empty() {
        return Some("there is no smoke event".into());
    }
    let may_run = manifest.smoke.iter().any(|smoke| smoke.safe || !tested.protected);
    (!may_run).then(|| "no smoke event is safe".into())
}

/// Waits until a published version is active; returns its configuration if it exists.
pub(crate) async fn await_active(
    functions: &Arc<dyn Functions>,
    function_name: &str,
    version: &str,
    interrupt: &Interrupt,
) -> Result<(Check, Option<FunctionConfiguration>)> {
    let begun = Instant::now();
    loop {
        let Some(configuration) = functions.published(function_name, version).await? else {
            return Ok((
                differs("active", "a published version", &format!("version {version} does not exist"), begun),
                None,
            ));
        };
        let state = configuration.state.clone().unwrap_or_else(|| "Active".into());
        match state.as_str() {
            "Active" => return Ok((passed("active", begun), Some(configuration))),
            "Failed" => {
                let reason = configuration.state_reason.clone().unwrap_or_default();
                return Ok((
                    differs("active", "Active", &format!("Failed {reason}"), begun),
                    Some(configuration),
                ));
            }
            // A version that was idle for weeks becomes active only when it is invoked.
            "Inactive" => {
                drop(functions.invoke(function_name, version, b"{}", Duration::from_secs(10)).await)
            }
            _ => {}
        }
        if begun.elapsed() > ACTIVE_WITHIN {
            return Ok((
                differs("active", "Active", &format!("{state} after {} s", ACTIVE_WITHIN.as_secs()), begun),
                Some(configuration),
            ));
        }
        interrupt.check()?;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Returns the failure of the versions that did not pass.
pub(crate) fn failure(environment: &str, verifications: &[Verification]) -> Failure {
    let failed: Vec<&Verification> =
        verifications.iter().filter(|verification| !verification.passed()).collect();
    let names =
        crate::format::list(failed.iter().map(|verification| {
            format!("`{}` version {}", verification.function, verification.lambda_version)
        }));
    let mut body = String::new();
    for (verification, check) in failed.iter().flat_map(|verification| {
        verification.checks.iter().filter(|check| !check.passed).map(move |check| (verification, check))
    }) {
        body.push_str(&format!("{} {}\n", verification.function, check.name));
        body.push_str(&format!("  expected  {}\n", check.expected.as_deref().unwrap_or("-")));
        body.push_str(&format!("  got       {}\n", check.got.as_deref().unwrap_or("-")));
        check.log.iter().for_each(|line| body.push_str(&format!("  log       {line}\n")));
    }
    let failure =
        Failure::new(FailureKind::VerificationFailed, format!("{names} in {environment} did not verify"))
            .body(body.trim_end().to_owned());
    let mut checks = failed.iter().flat_map(|verification| &verification.checks);
    match checks.find_map(|check| check.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
    .hint("repair the function (or its smoke events) and release again; what serves now continues to serve")
}

fn configuration_check(
    manifest: &Manifest,
    configuration: &FunctionConfiguration,
    known: Option<Digest>,
    digest: Digest,
) -> Check {
    let (runtime, handler) =
        manifest.managed().map_or(("-", "-"), |(runtime, handler)| (runtime.as_str(), handler));
    let expected = format!("{runtime} {handler} {}", manifest.architecture);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let got = format!(
        "{} {} {}",
        text(&configuration.runtime),
        text(&configuration.handler),
        configuration.architecture
    );
    match known {
        Some(known) if expected == got && known != digest => {
            compare("configuration", &known.to_string(), &digest.to_string())
        }
        _ => compare("configuration", &expected, &got),
    }
}

fn passed(name: &str, begun: Instant) -> Check {
    check(name, true, None, None, begun)
}

fn differs(name: &str, expected: &str, got: &str, begun: Instant) -> Check {
    check(name, false, Some(expected.to_owned()), Some(got.to_owned()), begun)
}

fn compare(name: &str, expected: &str, got: &str) -> Check {
    if expected == got { passed(name, Instant::now()) } else { differs(name, expected, got, Instant::now()) }
}

fn check(name: &str, passed: bool, expected: Option<String>, got: Option<String>, begun: Instant) -> Check {
    Check {
        name: name.to_owned(),
        passed,
        expected,
        got,
        log: Vec::new(),
        hint: None,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests;
