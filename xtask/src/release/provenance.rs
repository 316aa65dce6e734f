//! Provenance: an in-toto statement of how, by whom and from what source a release was built.
//!
//! In: a manifest and the invocation of its build. Out: [`Statement`], the payload of an envelope; whether a statement is
//! about a given manifest and makes the claims that an environment requires. Goes wrong: it is about another manifest.
//! Layouts: <https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md> and <https://slsa.dev/spec/v1.0/provenance>.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::settings::{ProcessEnvironment, ProvenanceClaims};

/// The type of statements.
pub(crate) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub(crate) const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The type of Slipway's builds; the page describes the parameters.
pub(crate) const BUILD_TYPE: &str =
    "https://github.com/slipway/slipway/blob/main/docs/how-to/signing.md#build-type-1";

/// The run that builds a release: who, where and when.
#[derive(Debug, Clone)]
pub(crate) struct BuildInvocation {
    /// The builder: a URI of the CI service's workflow or job, or of a person's machine.
    pub(crate) builder: String,
    /// The run's id.
    pub(crate) id: String,
    /// When the build began.
    pub(crate) started_on: jiff::Timestamp,
    /// The ref that was built, such as `refs/heads/main`; nothing where HEAD is detached.
    pub(crate) git_ref: Option<String>,
    /// The workflow's file or the job's name, in CI.
    pub(crate) workflow: Option<String>,
}

impl BuildInvocation {
    /// Describes a build in this process; `branch` is the one that is checked out.
    pub(crate) fn of(
        process_env: &ProcessEnvironment,
        branch: Option<&str>,
        started_on: jiff::Timestamp,
    ) -> Self {
        let id = process_env.run_url().unwrap_or_else(|| format!("{} {started_on}", process_env.actor()));
        let branch = || branch.map(|branch| format!("refs/heads/{branch}"));
        Self {
            builder: process_env.builder(),
            id,
            started_on,
            git_ref: process_env.git_ref().or_else(branch),
            workflow: process_env.workflow(),
        }
    }
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
    /// States how a release was built; its subjects are the artifact, the manifest and the SBOM.
    pub(crate) fn of(manifest: &Manifest, invocation: &BuildInvocation) -> Result<Self> {
        let source = &manifest.source;
        let git_ref = invocation.git_ref.clone();
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
                        workflow: invocation.workflow.clone(),
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
                        id: invocation.builder.clone(),
                        version: BTreeMap::from([(
                            "slipway".to_owned(),
                            env!("CARGO_PKG_VERSION").to_owned(),
                        )]),
                    },
                    metadata: RunMetadata {
                        invocation_id: invocation.id.clone(),
                        started_on: invocation.started_on,
                    },
                },
            },
        })
    }

    /// Returns the bytes to sign.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self)
            .map_err(|error| Failure::defect("a statement cannot be written as JSON").caused_by(error))
    }

    /// Reads a payload; the error says why it is not a statement of Slipway.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, String> {
        let statement: Self = serde_json::from_slice(payload)
            .map_err(|error| format!("it is not provenance that this version of Slipway reads: {error}"))?;
        for (what, found, expected) in [
            ("statement", &statement.statement_type, STATEMENT_TYPE),
            ("predicate", &statement.predicate_type, PREDICATE_TYPE),
            ("build", &statement.predicate.build_definition.build_type, BUILD_TYPE),
        ] {
            if found != expected {
                return Err(format!("its {what} is of the type {found}, not {expected}"));
            }
        }
        Ok(statement)
    }

    /// Lists how the statement differs from a manifest: in its subjects, and in what both state about the source.
    pub(crate) fn differences(&self, manifest: &Manifest) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        let expected = subjects(manifest)?;
        for (name, digest) in &expected {
            let named = |subject: &Subject| {
                subject.name == *name && subject.digest.get("sha256") == Some(&digest.hex())
            };
            if !self.subject.iter().any(named) {
                wrong.push(format!("no subject is {name} with {digest}"));
            }
        }
        if self.subject.len() != expected.len() {
            wrong.push(format!("it has {} subjects instead of {}", self.subject.len(), expected.len()));
        }
        let definition = &self.predicate.build_definition;
        let (stated, source) = (&definition.external_parameters, &manifest.source);
        let commits = definition.resolved_dependencies.iter().filter_map(|of| of.digest.get("gitCommit"));
        if stated.function != manifest.function || stated.version != manifest.version {
            wrong.push(format!("it is about `{}` {}", stated.function, stated.version));
        }
        if stated.commit != source.commit || commits.into_iter().any(|commit| *commit != source.commit) {
            wrong.push(format!("it states commit {}, the manifest {}", stated.commit, source.commit));
        }
        if stated.repository != source.repository {
            wrong.push("it names another repository than the manifest".to_owned());
        }
        if definition.internal_parameters.inputs_digest != source.inputs_digest {
            wrong.push("it has another inputs digest than the manifest".to_owned());
        }
        Ok(wrong)
    }

    /// Lists the claims that an environment requires and the statement does not make.
    pub(crate) fn missing_claims(&self, claims: &ProvenanceClaims) -> Vec<String> {
        let stated = &self.predicate.build_definition.external_parameters;
        [
            ("repository", &claims.repository, &stated.repository),
            ("ref", &claims.git_ref, &stated.git_ref),
            ("workflow", &claims.workflow, &stated.workflow),
        ]
        .into_iter()
        .filter(|(_, required, found)| required.is_some() && required != found)
        .map(|(what, required, found)| {
            format!(
                "{what} is {}, must be {}",
                found.as_deref().unwrap_or("not stated"),
                required.as_deref().unwrap_or_default()
            )
        })
        .collect()
    }

    /// Returns the builder that the statement names.
    pub(crate) fn builder(&self) -> &str {
        &self.predicate.run_details.builder.id
    }
}

/// Lists the subjects of a release's statement: name and SHA-256.
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
