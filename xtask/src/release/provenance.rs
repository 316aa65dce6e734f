//! Provenance: an in-toto statement that says of a release's bytes from what, how and by whom they were made.
//!
//! In: a manifest and the circumstances of its build. Out: [`Statement`], which an envelope carries; and whether a
//! statement speaks of a given manifest and claims what an environment demands. Goes wrong: it speaks of another one.
//! Layouts: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md> and <https://slsa.dev/spec/v1.0/provenance>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::settings::ProvenanceClaims;

/// The type of statements.
pub(crate) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub(crate) const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// How Slipway builds; the page says what the parameters mean.
pub(crate) const BUILD_TYPE: &str =
    "https://github.com/slipway/slipway/blob/main/docs/how-to/signing.md#build-type-1";

/// The circumstances of a build.
#[derive(Debug, Clone)]
pub(crate) struct Circumstances {
    /// Who built: a URI of the CI service's workflow or job, or of a person's machine.
    pub(crate) builder: String,
    /// This run.
    pub(crate) invocation: String,
    /// When it began.
    pub(crate) started_on: jiff::Timestamp,
    /// The ref that was built, such as `refs/heads/main`; nothing where HEAD is detached.
    pub(crate) git_ref: Option<String>,
    /// The workflow's file or the job's name, in CI.
    pub(crate) workflow: Option<String>,
}

/// An in-toto statement with SLSA provenance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
    resolved_dependencies: Vec<ResolvedDependency>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExternalParameters {
    function: FunctionName,
    version: Version,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    git_ref: Option<String>,
    commit: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InternalParameters {
    inputs_digest: Digest,
    tools: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResolvedDependency {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RunDetails {
    builder: Builder,
    metadata: RunMetadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Builder {
    id: String,
    version: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RunMetadata {
    invocation_id: String,
    started_on: jiff::Timestamp,
}

impl Statement {
    /// States how a release was made; subjects are its artifact, its manifest and its SBOM.
    pub(crate) fn of(manifest: &Manifest, circumstances: &Circumstances) -> Result<Self> {
        let source = &manifest.source;
        let git_ref = circumstances.git_ref.clone();
        let uri = source.repository.as_ref().map(|repository| {
            let scheme = if repository.contains("://") { "git+" } else { "" };
            let at = git_ref.as_ref().map(|git_ref| format!("@{git_ref}")).unwrap_or_default();
            format!("{scheme}{repository}{at}")
        });
        Ok(Self {
            statement_type: STATEMENT_TYPE.to_owned(),
            subject: subjects(manifest)?
                .into_iter()
                .map(|(name, digest)| Subject {
                    name,
                    digest: BTreeMap::from([("sha256".to_owned(), digest.hex())]),
                })
                .collect(),
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: Predicate {
                build_definition: BuildDefinition {
                    build_type: BUILD_TYPE.to_owned(),
                    external_parameters: ExternalParameters {
                        function: manifest.function.clone(),
                        version: manifest.version.clone(),
                        repository: source.repository.clone(),
                        git_ref,
                        commit: source.commit.clone(),
                        workflow: circumstances.workflow.clone(),
                    },
                    internal_parameters: InternalParameters {
                        inputs_digest: source.inputs_digest,
                        tools: manifest.built.tools.clone(),
                    },
                    resolved_dependencies: vec![ResolvedDependency {
                        uri,
                        name: "source".to_owned(),
                        digest: BTreeMap::from([("gitCommit".to_owned(), source.commit.clone())]),
                    }],
                },
                run_details: RunDetails {
                    builder: Builder {
                        id: circumstances.builder.clone(),
                        version: BTreeMap::from([(
                            "slipway".to_owned(),
                            env!("CARGO_PKG_VERSION").to_owned(),
                        )]),
                    },
                    metadata: RunMetadata {
                        invocation_id: circumstances.invocation.clone(),
                        started_on: circumstances.started_on,
                    },
                },
            },
        })
    }

    /// Returns the bytes that are signed.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Failure::defect("a statement cannot be written as JSON").caused_by(error))
    }

    /// Reads a payload and says what is wrong with one that is no statement of Slipway's.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, String> {
        let statement: Self = serde_json::from_slice(payload)
            .map_err(|error| format!("it is no provenance that this version of Slipway knows: {error}"))?;
        for (what, is, should) in [
            ("statement", &statement.statement_type, STATEMENT_TYPE),
            ("predicate", &statement.predicate_type, PREDICATE_TYPE),
            ("build", &statement.predicate.build_definition.build_type, BUILD_TYPE),
        ] {
            if is != should {
                return Err(format!("its {what} is of the type {is}, not {should}"));
            }
        }
        Ok(statement)
    }

    /// Says where the statement does not speak of a manifest: of its bytes, and of what it says itself.
    pub(crate) fn differences(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let wanted = subjects(manifest)?;
        for (name, digest) in &wanted {
            let named = |subject: &Subject| {
                subject.name == *name && subject.digest.get("sha256") == Some(&digest.hex())
            };
            if !self.subject.iter().any(named) {
                wrong.push(format!("no subject is {name} with {digest}"));
            }
        }
        if self.subject.len() != wanted.len() {
            wrong.push(format!("it has {} subjects instead of {}", self.subject.len(), wanted.len()));
        }
        let definition = &self.predicate.build_definition;
        let (says, source) = (&definition.external_parameters, &manifest.source);
        let commits = definition.resolved_dependencies.iter().filter_map(|of| of.digest.get("gitCommit"));
        if says.function != manifest.function || says.version != manifest.version {
            wrong.push(format!("it is that of `{}` {}", says.function, says.version));
        }
        if says.commit != source.commit || commits.into_iter().any(|commit| *commit != source.commit) {
            wrong.push(format!("it says commit {}, the manifest {}", says.commit, source.commit));
        }
        if says.repository != source.repository {
            wrong.push("it names another repository than the manifest".to_owned());
        }
        if definition.internal_parameters.inputs_digest != source.inputs_digest {
            wrong.push("it has another inputs digest than the manifest".to_owned());
        }
        Ok(wrong)
    }

    /// Says which of an environment's claims the statement does not make.
    pub(crate) fn missing_claims(&self, claims: &ProvenanceClaims) -> Vec<String> {
        let says = &self.predicate.build_definition.external_parameters;
        [
            ("repository", &claims.repository, &says.repository),
            ("ref", &claims.git_ref, &says.git_ref),
            ("workflow", &claims.workflow, &says.workflow),
        ]
        .into_iter()
        .filter(|(_, wanted, is)| wanted.is_some() && wanted != is)
        .map(|(what, wanted, is)| {
            format!(
                "{what} is {}, must be {}",
                is.as_deref().unwrap_or("not told"),
                wanted.as_deref().unwrap_or_default()
            )
        })
        .collect()
    }

    /// Returns who says to have built it.
    pub(crate) fn builder(&self) -> &str {
        &self.predicate.run_details.builder.id
    }
}

/// Lists what a release's statement is about: name and SHA-256.
fn subjects(manifest: &Manifest) -> Result<Vec<(String, Digest)>> {
    let artifact = &manifest.artifact;
    let mut subjects = vec![
        (artifact.key.clone(), artifact.sha256),
        (Manifest::key(&manifest.function, &manifest.version), manifest.digest()?),
    ];
    subjects.extend(manifest.sbom.map(|sbom| (super::sbom::key(&artifact.sha256), sbom)));
    Ok(subjects)
}

#[cfg(test)]
pub(crate) mod tests;
