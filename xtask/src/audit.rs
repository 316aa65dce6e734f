//! The audit of an environment: what is proven, refuted, or without evidence, of every function that serves.
//!
//! In: ledgers, the catalogue, Lambda, and the keys that the environment trusts. Out: [`EnvironmentAudit`], whose claims each say
//! what was read in this run; on request a folder of evidence that openssl and sha256sum verify. Nothing is taken from an earlier
//! audit. Errors: something could not be read; what is wrong is part of the result.

pub(crate) mod evidence;
#[cfg(test)]
mod tests;

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::failure::Result;
use crate::ledger::{BrokenLink, Ended, Ledger, Serving};
use crate::name::{EnvironmentName, FunctionName, StackName, Version};
use crate::ports::{Alias, FunctionConfiguration, Functions};
use crate::release::{self, Catalogue, Manifest, StoredAttestation, StoredBundle, TrustPolicy};

/// How many deployments of a stack are read.
const DEPLOYMENTS: usize = 10_000;

/// What the evidence says of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Evidence that was read in this run proves it.
    Proven,
    /// There is no evidence, or none that proves it.
    Unproven,
    /// Evidence contradicts it.
    Refuted,
}

impl Verdict {
    /// Returns the verdict in a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Refuted => "REFUTED",
        }
    }
}

/// A claim, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Claim")]
pub(crate) struct AuditClaim {
    /// The claim: `serves`, `bytes`, `release`, `signature`, `commit`, `workflow`, `deployed by`, `verified`, `ledger`; `bundle` where one
    /// is stored that is not about the artifact.
    pub(crate) claim: String,
    /// What the evidence says.
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) found: String,
}

/// A function that the ledger says serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FunctionAudit {
    /// The stack.
    pub(crate) stack: StackName,
    /// The function.
    pub(crate) function: FunctionName,
    /// Its release.
    pub(crate) release: Version,
    /// The worst verdict of the claims.
    pub(crate) verdict: Verdict,
    /// The claims, in order.
    pub(crate) claims: Vec<AuditClaim>,
    /// The Sigstore bundle that is kept beside the artifact, which nothing here verified; `null` where there is none.
    pub(crate) bundle: Option<StoredBundle>,
}

/// An environment's audit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct EnvironmentAudit {
    /// The environment.
    pub(crate) environment: EnvironmentName,
    /// Whether it was reached; a local environment that is stopped is not.
    pub(crate) reached: bool,
    /// The worst verdict of its functions.
    pub(crate) verdict: Verdict,
    /// Keys among the ledgers' entries that are none.
    pub(crate) ignored: Vec<String>,
    /// Every function that the ledgers say serves.
    pub(crate) functions: Vec<FunctionAudit>,
}

/// What an audit reads.
pub(crate) struct AuditContext<'a> {
    /// The environment.
    pub(crate) environment: &'a EnvironmentName,
    /// Where its releases are.
    pub(crate) catalogue: &'a Catalogue,
    /// Its functions in Lambda.
    pub(crate) functions: &'a dyn Functions,
    /// What it trusts.
    pub(crate) policy: &'a TrustPolicy,
    /// A folder for downloads.
    pub(crate) scratch: &'a Path,
}

/// A stack's ledger, as it was read.
pub(crate) struct AuditedLedger {
    history: Vec<Ended>,
    broken: Vec<BrokenLink>,
}

impl AuditedLedger {
    /// Reads a ledger, and the keys in it that are no entries.
    pub(crate) async fn read(ledger: &Ledger) -> Result<(Self, Vec<String>)> {
        let ignored = ledger.head().await?.ignored;
        let (history, broken) = ledger.examined_history(DEPLOYMENTS).await?;
        let history = history.into_iter().map(|(_, ended)| ended).collect();
        Ok((Self { history, broken }, ignored))
    }

    /// Returns what serves, by the newest deployment.
    pub(crate) fn serving(&self) -> impl Iterator<Item = (&FunctionName, &Serving)> {
        self.history.first().into_iter().flat_map(|last| &last.serves)
    }
}

/// What was read of a function: the claims about it, and the evidence behind them.
pub(crate) struct AuditedFunction {
    /// The claims.
    pub(crate) audit: FunctionAudit,
    /// Its manifest, where the one that the ledger names is stored.
    pub(crate) manifest: Option<Manifest>,
    /// Its attestation, where it can be read.
    pub(crate) attestation: Option<StoredAttestation>,
    /// The alias, as Lambda has it.
    pub(crate) alias: Option<Alias>,
    /// The configuration of the version that serves.
    pub(crate) configuration: Option<FunctionConfiguration>,
}

/// Claims in the making.
struct Claims(Vec<AuditClaim>);

impl Claims {
    fn add(&mut self, claim: &str, verdict: Verdict, found: impl Into<String>) {
        self.0.push(AuditClaim { claim: claim.to_owned(), verdict, found: found.into() });
    }
}

impl AuditContext<'_> {
    /// Judges a function that a ledger says serves.
    pub(crate) async fn function(
        &self,
        stack: &StackName,
        function: &FunctionName,
        serving: &Serving,
        ledger: &AuditedLedger,
    ) -> Result<AuditedFunction> {
        let mut claims = Claims(Vec::new());
        let (name, version) = (&serving.function_name, &serving.lambda_version);
        let (alias, configuration) = futures::try_join!(
            self.functions.alias(name, &serving.alias),
            self.functions.published(name, version)
        )?;
        serves(serving, alias.as_ref(), &mut claims);
        let manifest = self.manifest(function, serving, &mut claims).await?;
        self.bytes(function, serving, manifest.as_ref(), configuration.as_ref(), &mut claims).await?;
        let attestation = match &manifest {
            Some(manifest) => self.provenance(manifest, &mut claims).await?,
            None => {
                for claim in ["signature", "commit", "workflow"] {
                    claims.add(claim, Verdict::Unproven, "the manifest that was deployed is not stored");
                }
                None
            }
        };
        history(serving, function, ledger, &mut claims);
        let bundle = match &manifest {
            Some(manifest) => self.bundle(manifest, &mut claims).await?,
            None => None,
        };
        let verdict = claims.0.iter().map(|claim| claim.verdict).max().unwrap_or(Verdict::Unproven);
        let audit = FunctionAudit {
            stack: stack.clone(),
            function: function.clone(),
            release: serving.release.clone(),
            verdict,
            claims: claims.0,
            bundle,
        };
        Ok(AuditedFunction { audit, manifest, attestation, alias, configuration })
    }

    /// Reads the bundle beside an artifact. One that is about something else is refuted; none, or one that is not verified, is no
    /// claim.
    async fn bundle(&self, manifest: &Manifest, claims: &mut Claims) -> Result<Option<StoredBundle>> {
        let repository = manifest.source.repository.as_deref();
        match release::stored_bundle(self.catalogue, &manifest.artifact.sha256, repository).await? {
            Some(Ok(bundle)) => Ok(Some(bundle)),
            Some(Err(why)) => {
                claims.add("bundle", Verdict::Refuted, why);
                Ok(None)
            }
            None => Ok(None),
        }
    }

    /// Reads the manifest that the ledger names.
    async fn manifest(
        &self,
        function: &FunctionName,
        serving: &Serving,
        claims: &mut Claims,
    ) -> Result<Option<Manifest>> {
        let version = &serving.release;
        let stored = self.catalogue.store().get(&Manifest::key(function, version)).await?;
        let recorded = format!("the ledger names {}", serving.digest);
        let read = stored.map(|stored| Manifest::read(&stored.bytes, function, version));
        let (verdict, found, manifest) = match read {
            None => (Verdict::Refuted, format!("no manifest is stored; {recorded}"), None),
            Some(Err(failure)) => (Verdict::Refuted, format!("{}; {recorded}", failure.message()), None),
            Some(Ok(manifest)) => match manifest.digest()? {
                digest if digest == serving.digest => {
                    (Verdict::Proven, format!("manifest {digest}, as the ledger names it"), Some(manifest))
                }
                digest => (Verdict::Refuted, format!("the manifest is {digest}; {recorded}"), None),
            },
        };
        claims.add("release", verdict, found);
        Ok(manifest)
    }

    /// Compares what Lambda runs with the bytes in the store.
    async fn bytes(
        &self,
        function: &FunctionName,
        serving: &Serving,
        manifest: Option<&Manifest>,
        configuration: Option<&FunctionConfiguration>,
        claims: &mut Claims,
    ) -> Result<()> {
        let version = &serving.lambda_version;
        let Some(configuration) = configuration else {
            claims.add("bytes", Verdict::Refuted, format!("Lambda has no version {version}"));
            return Ok(());
        };
        let Some(manifest) = manifest else {
            claims.add("bytes", Verdict::Unproven, "the manifest that was deployed is not stored");
            return Ok(());
        };
        let wanted = &manifest.artifact.code_sha256;
        if configuration.code_sha256 != *wanted || serving.code_sha256 != *wanted {
            let found = &configuration.code_sha256;
            let text = format!("version {version} has the code {found}, the release {wanted}");
            claims.add("bytes", Verdict::Refuted, text);
            return Ok(());
        }
        let environments = [(self.environment.clone(), self.policy.clone())];
        let release = &manifest.version;
        let examined =
            release::examine(self.catalogue, function, release, &environments, self.scratch).await?;
        let of_bytes = |what: &str| matches!(what, "manifest" | "artifact" | "content" | "sbom" | "inputs");
        let wrong: Vec<String> = examined
            .checks
            .iter()
            .filter(|check| of_bytes(&check.what) && check.holds == Some(false))
            .map(|check| format!("{}: {}", check.what, check.found))
            .collect();
        if wrong.is_empty() {
            let text = format!(
                "version {version} has the code {wanted}, which is {} in the store",
                manifest.artifact.sha256
            );
            claims.add("bytes", Verdict::Proven, text);
        } else {
            claims.add("bytes", Verdict::Refuted, wrong.join("; "));
        }
        Ok(())
    }

    /// Judges who signed a release, and what its provenance proves.
    async fn provenance(
        &self,
        manifest: &Manifest,
        claims: &mut Claims,
    ) -> Result<Option<StoredAttestation>> {
        let source = &manifest.source;
        let found = release::stored_attestation(self.catalogue, manifest, &self.policy.keys).await?;
        let attestation = match found {
            Some(Ok(attestation)) => Some(attestation),
            Some(Err(why)) => {
                claims.add("signature", Verdict::Refuted, format!("the attestation: {why}"));
                None
            }
            None => {
                let verdict = if self.policy.required { Verdict::Refuted } else { Verdict::Unproven };
                claims.add("signature", verdict, "the release is not signed");
                None
            }
        };
        let mut trusted = false;
        if let Some(attestation) = &attestation {
            let check = release::check_trust(self.catalogue, manifest, self.policy, self.environment).await;
            match (check, &attestation.signed_by) {
                (Ok(()), Some(key)) => {
                    trusted = true;
                    claims.add("signature", Verdict::Proven, format!("by the trusted key {}", key.id()));
                }
                (Ok(()), None) => {
                    claims.add(
                        "signature",
                        Verdict::Unproven,
                        "the environment trusts no key that could verify it",
                    );
                }
                (Err(failure), _) => claims.add("signature", Verdict::Refuted, failure.message().to_owned()),
            }
        }
        let dirty = if source.dirty { ", with uncommitted changes" } else { "" };
        let place = source.repository.as_deref().unwrap_or("a repository without a remote");
        let commit = format!("{} of {place}{dirty}", source.commit);
        let identity =
            attestation.as_ref().and_then(|attestation| attestation.identity.as_ref()).filter(|_| trusted);
        match identity {
            Some(identity) if identity.commit.as_ref() == Some(&source.commit) && !source.dirty => {
                claims.add(
                    "commit",
                    Verdict::Proven,
                    format!("{commit}, by the token of {}", identity.issuer),
                );
            }
            Some(_) => claims.add(
                "commit",
                Verdict::Unproven,
                format!("{commit}; the builder's token does not say so"),
            ),
            None => claims.add(
                "commit",
                Verdict::Unproven,
                format!("{commit}, as its builder says; no token proves it"),
            ),
        }
        match identity {
            Some(identity) => claims.add("workflow", Verdict::Proven, identity.text()),
            None => {
                let builder =
                    attestation.as_ref().map_or("nobody that is known", |attestation| &attestation.builder);
                claims.add("workflow", Verdict::Unproven, format!("built by {builder}; no token proves it"));
            }
        }
        Ok(attestation)
    }
}

/// Judges whether the alias sends all traffic to the version that the ledger names.
fn serves(serving: &Serving, alias: Option<&Alias>, claims: &mut Claims) {
    let Serving { function_name, alias: name, lambda_version, .. } = serving;
    let (verdict, found) = match alias {
        None => (Verdict::Refuted, format!("{function_name} has no alias `{name}`")),
        Some(alias) if alias.points_only_to(lambda_version) => (
            Verdict::Proven,
            format!("the alias `{name}` of {function_name} sends all traffic to version {lambda_version}"),
        ),
        Some(alias) => (
            Verdict::Refuted,
            format!(
                "the alias `{name}` of {function_name} points to {}, not to {lambda_version}",
                alias.points_to()
            ),
        ),
    };
    claims.add("serves", verdict, found);
}

/// Judges what the ledger says of a release: who deployed it, when it was verified, whether its entries are whole.
fn history(serving: &Serving, function: &FunctionName, ledger: &AuditedLedger, claims: &mut Claims) {
    let number = serving.since;
    match ledger.history.iter().find(|ended| ended.deployment == number) {
        Some(ended) => {
            let run = ended.run_url.as_deref().map(|url| format!(", {url}")).unwrap_or_default();
            let said = format!("deployment {number}, {}: {}{run}", ended.at, ended.by);
            match &ended.caller {
                Some(caller) => {
                    claims.add("deployed by", Verdict::Proven, format!("{caller} ({said})"));
                }
                None => claims.add("deployed by", Verdict::Unproven, format!("{said}; AWS did not say who")),
            }
        }
        None => claims.add("deployed by", Verdict::Unproven, format!("deployment {number} has no entry")),
    }
    let same =
        |ended: &&Ended| ended.verified(function).is_some_and(|served| served.is_same_version(serving));
    match ledger.history.iter().rev().find(same) {
        Some(ended) if serving.verified => {
            let text = format!("{} by deployment {}, before it served", ended.at, ended.deployment);
            claims.add("verified", Verdict::Proven, text);
        }
        _ => claims.add("verified", Verdict::Unproven, "the ledger has no verification of this version"),
    }
    let chained = ledger.history.iter().filter(|ended| ended.previous.is_some()).count();
    let count = crate::format::plural(ledger.history.len(), "deployment");
    match ledger.broken.first() {
        Some(link) => {
            let before = link.deployment.saturating_sub(1);
            let text = format!(
                "the end of deployment {before} is not the one that deployment {} began after",
                link.deployment
            );
            claims.add("ledger", Verdict::Refuted, text);
        }
        // The first deployment has none before it.
        None if chained + 1 >= ledger.history.len() => {
            claims.add("ledger", Verdict::Proven, format!("{count}, each with the digest of the one before"));
        }
        None => {
            let text = format!("{count}, of which {chained} have the digest of the one before");
            claims.add("ledger", Verdict::Unproven, text);
        }
    }
}
