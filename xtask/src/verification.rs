//! Verification: what came up is what was released, and it answers as it should, before anybody is served by it.
//!
//! In: a published Lambda version, the release that it should be. Out: findings, each with what was expected and got.
//! Goes wrong: only reaching AWS; a version that is not as it should be is a finding, not an error.

mod request;
mod smoke;
mod values;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::Serialize;

use self::smoke::Trial;
pub(crate) use self::values::Values;

use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::interrupt::Interrupt;
use crate::name::FunctionName;
use crate::plan::Output;
use crate::ports::{FunctionConfiguration, Functions, Services};
use crate::release::Manifest;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Finding {
    /// What: `active`, `code`, `configuration`, `smoke "greets"`.
    pub(crate) what: String,
    /// Whether it is as it should be.
    pub(crate) passed: bool,
    /// What was expected, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected: Option<String>,
    /// What was found, where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) got: Option<String>,
    /// The function's log lines, where a smoke event failed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
    /// What to do, where it is not the function that has to be repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Milliseconds.
    pub(crate) took_ms: u64,
}

/// What was found about one version.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub(crate) struct Verification {
    /// The function.
    pub(crate) function: FunctionName,
    /// The function's name in Lambda.
    pub(crate) function_name: String,
    /// The Lambda version that was looked at.
    pub(crate) lambda_version: String,
    /// The digest of its configuration.
    pub(crate) config_digest: Option<Digest>,
    /// What was looked at.
    pub(crate) findings: Vec<Finding>,
}

impl Verification {
    /// Tells whether everything is as it should be.
    pub(crate) fn passed(&self) -> bool {
        self.findings.iter().all(|finding| finding.passed)
    }

    /// Says it on one line: `code ok · configuration ok · 2 smoke events 43 ms`.
    pub(crate) fn summary(&self) -> String {
        let (smokes, others): (Vec<&Finding>, Vec<&Finding>) =
            self.findings.iter().partition(|finding| finding.what.starts_with("smoke"));
        let other = |finding: &&Finding| format!("{} ok", finding.what);
        let mut words: Vec<String> =
            others.iter().filter(|finding| finding.what != "active").map(other).collect();
        let took: u64 = smokes.iter().map(|finding| finding.took_ms).sum();
        match smokes.as_slice() {
            [] => {}
            [one] => words.push(format!("{} {took} ms", one.what)),
            several => words.push(format!("{} smoke events {took} ms", several.len())),
        }
        words.join(" · ")
    }
}

/// How long a version may take until it answers.
const ACTIVE_WITHIN: Duration = Duration::from_secs(180);

/// A version that is looked at, and what it should be.
pub(crate) struct Subject<'a> {
    /// The release that it should be.
    pub(crate) manifest: &'a Manifest,
    /// The function's name in Lambda.
    pub(crate) function_name: &'a str,
    /// The published version's number.
    pub(crate) version: &'a str,
    /// The digest of the configuration that it was verified with before.
    pub(crate) known_configuration: Option<Digest>,
    /// Whether only what is safe may be tried.
    pub(crate) protected: bool,
    /// What the stack puts out.
    pub(crate) outputs: &'a BTreeMap<String, Output>,
    /// Where requests go.
    pub(crate) door: Endpoint<'a>,
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

/// What verification reaches an account through.
pub(crate) struct Clients<'a> {
    /// Its functions.
    pub(crate) functions: &'a Arc<dyn Functions>,
    /// What else it answers.
    pub(crate) services: &'a Arc<dyn Services>,
    /// Signals.
    pub(crate) interrupt: &'a Interrupt,
}

/// Looks at a published version and tries its smoke events; in protected environments only those that are safe.
pub(crate) async fn verify(reach: &Clients<'_>, subject: &Subject<'_>) -> Result<Verification> {
    let Clients { functions, interrupt, .. } = *reach;
    let Subject { manifest, function_name, version, known_configuration, protected, .. } = *subject;
    let mut verification = Verification {
        function: manifest.function.clone(),
        function_name: function_name.to_owned(),
        lambda_version: version.to_owned(),
        config_digest: None,
        findings: Vec::new(),
    };
    let (active, configuration) = await_active(functions, function_name, version, interrupt).await?;
    let good = active.passed;
    verification.findings.push(active);
    let Some(configuration) = configuration else {
        return Ok(verification);
    };
    let digest = Digest::from_bytes(configuration.digest());
    verification.config_digest = Some(digest);
    verification.findings.push(same("code", &manifest.artifact.code_sha256, &configuration.code_sha256));
    verification.findings.push(configured(manifest, &configuration, known_configuration, digest));
    if !good || !verification.passed() {
        return Ok(verification);
    }
    let mut trial = Trial::new(reach, subject);
    for smoke in manifest.smoke.iter().filter(|smoke| smoke.safe || !protected) {
        interrupt.check()?;
        verification.findings.push(trial.run(smoke).await?);
    }
    Ok(verification)
}

/// Waits until a published version is Active; returns its configuration where it exists.
pub(crate) async fn await_active(
    functions: &Arc<dyn Functions>,
    function_name: &str,
    version: &str,
    interrupt: &Interrupt,
) -> Result<(Finding, Option<FunctionConfiguration>)> {
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
            "Active" => return Ok((fine("active", begun), Some(configuration))),
            "Failed" => {
                let reason = configuration.state_reason.clone().unwrap_or_default();
                return Ok((
                    differs("active", "Active", &format!("Failed {reason}"), begun),
                    Some(configuration),
                ));
            }
            // A version that was idle for weeks wakes up only by being called.
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

/// Makes the failure of versions that are not as they should be.
pub(crate) fn failure(environment: &str, verifications: &[Verification]) -> Failure {
    let failed: Vec<&Verification> =
        verifications.iter().filter(|verification| !verification.passed()).collect();
    let names =
        crate::format::list(failed.iter().map(|verification| {
            format!("`{}` version {}", verification.function, verification.lambda_version)
        }));
    let mut body = String::new();
    for (verification, finding) in failed.iter().flat_map(|verification| {
        verification
            .findings
            .iter()
            .filter(|finding| !finding.passed)
            .map(move |finding| (verification, finding))
    }) {
        body.push_str(&format!("{} {}\n", verification.function, finding.what));
        body.push_str(&format!("  expected  {}\n", finding.expected.as_deref().unwrap_or("-")));
        body.push_str(&format!("  got       {}\n", finding.got.as_deref().unwrap_or("-")));
        finding.log.iter().for_each(|line| body.push_str(&format!("  log       {line}\n")));
    }
    let failure =
        Failure::new(FailureKind::VerificationFailed, format!("{names} in {environment} did not verify"))
            .body(body.trim_end().to_owned());
    let mut findings = failed.iter().flat_map(|verification| &verification.findings);
    match findings.find_map(|finding| finding.hint.clone()) {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
    .hint("repair the function (or its smoke events) and release again; what serves now goes on serving")
}

fn configured(
    manifest: &Manifest,
    configuration: &FunctionConfiguration,
    known: Option<Digest>,
    digest: Digest,
) -> Finding {
    let (runtime, handler) = manifest.managed().unwrap_or(("-", "-"));
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
            same("configuration", &known.to_string(), &digest.to_string())
        }
        _ => same("configuration", &expected, &got),
    }
}

fn fine(what: &str, begun: Instant) -> Finding {
    finding(what, true, None, None, begun)
}

fn differs(what: &str, expected: &str, got: &str, begun: Instant) -> Finding {
    finding(what, false, Some(expected.to_owned()), Some(got.to_owned()), begun)
}

fn same(what: &str, expected: &str, got: &str) -> Finding {
    if expected == got { fine(what, Instant::now()) } else { differs(what, expected, got, Instant::now()) }
}

fn finding(
    what: &str,
    passed: bool,
    expected: Option<String>,
    got: Option<String>,
    begun: Instant,
) -> Finding {
    Finding {
        what: what.to_owned(),
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
