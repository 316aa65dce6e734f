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
use crate::identity::VerifiedIdentity;
use crate::name::{FunctionName, Version};
use crate::settings::{ProcessEnvironment, ProvenanceClaims};

/// The type of statements.
pub(crate) const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// The type of the predicate.
pub(crate) const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// The type of Slipway's builds: a name that stays the same. docs/how-to/signing.md describes the parameters.
pub(crate) const BUILD_TYPE: &str = "https://github.com/slipway/slipway/build-type/2";
/// The type before: claims came from environment variables, so that they count as unverified.
const BUILD_TYPE_1: &str = "https://github.com/slipway/slipway/blob/main/docs/how-to/signing.md#build-type-1";

/// The run that builds a release: who, where and when.
#[derive(Debug, Clone)]
pub(crate) struct BuildInvocation {
    /// The builder: a URI of the CI service's workflow or job, or of a person's machine.
    pub(crate) builder: String,
    /// The run's id.
    pub(crate) id: String,
    /// When the build began.
    pub(crate) started_on: jiff::Timestamp,
    /// The ref that was built, such as `refs/heads/main`; nothing where HEAD is detached and no token names it.
    pub(crate) git_ref: Option<String>,
    /// The CI run, where its token proves it.
    pub(crate) identity: Option<VerifiedIdentity>,
    /// What went into the build besides the source.
    pub(crate) materials: Vec<Material>,
}

/// Something that went into a build.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Material {
    /// Its name: a file of the project, `base image`, a tool.
    pub(crate) name: String,
    /// Its address, where it has one.
    pub(crate) uri: Option<String>,
    /// Its SHA-256, 64 hex characters.
    pub(crate) sha256: Option<String>,
}

impl BuildInvocation {
    /// Describes a build in this process; `branch` is the one that is checked out, `identity` what a token proves. Environment
    /// variables that name a run, a ref or a workflow are not read: everybody who builds can set them.
    pub(crate) fn of(
        process_env: &ProcessEnvironment,
        branch: Option<&str>,
        started_on: jiff::Timestamp,
        identity: Option<&VerifiedIdentity>,
    ) -> Self {
        let own = process_env.unverified_builder();
        let branch = branch.map(|branch| format!("refs/heads/{branch}"));
        let (builder, run, git_ref) = match identity {
            Some(identity) => (identity.builder_id.clone(), identity.run.clone(), identity.git_ref.clone()),
            None => (own.clone(), None, branch),
        };
        Self {
            id: run.unwrap_or_else(|| format!("{own} {started_on}")),
            builder,
            started_on,
            git_ref,
            identity: identity.cloned(),
            materials: Vec::new(),
        }
    }
}

/// An in-toto statement with SLSA provenance. Unknown fields are ignored, as in-toto's
/// [parsing rules](https://github.com/in-toto/attestation/blob/main/spec/v1/README.md#parsing-rules) say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statement {
    #[serde(rename = "_type")]
    statement_type: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Predicate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Subject {
    name: String,
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Predicate {
    build_definition: BuildDefinition,
    run_details: RunDetails,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BuildDefinition {
    build_type: String,
    external_parameters: ExternalParameters,
    internal_parameters: InternalParameters,
    resolved_dependencies: Vec<ResolvedDependency>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
struct InternalParameters {
    inputs_digest: Digest,
    tools: BTreeMap<String, String>,
    /// Whether inputs differed from the commit; unknown in build type 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dirty: Option<bool>,
    /// What the CI system's token proves; without it the claims are unverified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    identity: Option<VerifiedIdentity>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ResolvedDependency {
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    name: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    digest: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RunDetails {
    builder: Builder,
    metadata: RunMetadata,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Builder {
    id: String,
    version: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
                        workflow: invocation.identity.as_ref().and_then(|identity| identity.workflow.clone()),
                    },
                    internal_parameters: InternalParameters {
                        inputs_digest: source.inputs_digest,
                        tools: manifest.built.tools.clone(),
                        dirty: Some(source.dirty),
                        identity: invocation.identity.clone(),
                    },
                    resolved_dependencies: dependencies(uri, &source.commit, &invocation.materials),
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
            ("statement", &statement.statement_type, &[STATEMENT_TYPE][..]),
            ("predicate", &statement.predicate_type, &[PREDICATE_TYPE]),
            ("build", &statement.predicate.build_definition.build_type, &[BUILD_TYPE, BUILD_TYPE_1]),
        ] {
            if !expected.contains(&found.as_str()) {
                return Err(format!("its {what} is of the type {found}, not {}", expected[0]));
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
        if definition.internal_parameters.dirty.is_some_and(|dirty| dirty != source.dirty) {
            wrong.push(
                "it says otherwise than the manifest whether the source had uncommitted changes".to_owned(),
            );
        }
        let proven = self.identity().and_then(|identity| identity.commit.as_ref());
        if proven.is_some_and(|commit| *commit != source.commit) {
            wrong.push("its builder's token was for another commit than the manifest's".to_owned());
        }
        Ok(wrong)
    }

    /// Lists the claims that an environment requires and the statement does not make.
    ///
    /// `issuer` is that of the builder that is required. What a token proved is compared; without one, what the statement says
    /// of itself.
    pub(crate) fn missing_claims(&self, claims: &ProvenanceClaims, issuer: Option<&str>) -> Vec<String> {
        let stated = &self.predicate.build_definition.external_parameters;
        let (repository, git_ref, workflow) = match self.identity() {
            Some(identity) => (&identity.repository, &identity.git_ref, &identity.workflow),
            None => (&stated.repository, &stated.git_ref, &stated.workflow),
        };
        missing_claims(claims, issuer, self.identity(), [repository, git_ref, workflow])
    }

    /// Returns the CI run that a token proved; nothing where the claims are unverified.
    pub(crate) fn identity(&self) -> Option<&VerifiedIdentity> {
        self.predicate.build_definition.internal_parameters.identity.as_ref()
    }

    /// Returns the builder that the statement names.
    pub(crate) fn builder(&self) -> &str {
        &self.predicate.run_details.builder.id
    }
}

/// Lists the claims that are required and not made; `found` has repository, ref and workflow.
fn missing_claims(
    claims: &ProvenanceClaims,
    issuer: Option<&str>,
    identity: Option<&VerifiedIdentity>,
    found: [&Option<String>; 3],
) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(builder) = &claims.builder {
        match identity {
            None => missing.push(format!(
                "its claims are unverified: no token of a builder proves them, `{builder}` is required"
            )),
            Some(identity) if Some(identity.issuer.as_str()) != issuer => missing.push(format!(
                "it was built by {}, must be `{builder}` ({})",
                identity.issuer,
                issuer.unwrap_or("which is unknown")
            )),
            Some(_) => {}
        }
    }
    let required =
        [("repository", &claims.repository), ("ref", &claims.git_ref), ("workflow", &claims.workflow)];
    let differing = required.into_iter().zip(found);
    let differing = differing.filter(|((_, required), found)| required.is_some() && required != found);
    missing.extend(differing.map(|((what, required), found)| {
        format!(
            "{what} is {}, must be {}",
            found.as_deref().unwrap_or("not stated"),
            required.as_deref().unwrap_or_default()
        )
    }));
    missing
}

/// Lists what a build that has not begun would not prove and an environment requires; `remote` is the repository's address.
pub(crate) fn claims_of_build(
    claims: &ProvenanceClaims,
    issuer: Option<&str>,
    invocation: &BuildInvocation,
    remote: &Option<String>,
) -> Vec<String> {
    let identity = invocation.identity.as_ref();
    let workflow = identity.and_then(|identity| identity.workflow.clone());
    let repository = identity.map_or(remote, |identity| &identity.repository);
    missing_claims(claims, issuer, identity, [repository, &invocation.git_ref, &workflow])
}

/// Lists what was resolved for a build: the source at its commit, and the materials.
fn dependencies(uri: Option<String>, commit: &str, materials: &[Material]) -> Vec<ResolvedDependency> {
    let source = ResolvedDependency {
        uri,
        name: "source".to_owned(),
        digest: BTreeMap::from([("gitCommit".to_owned(), commit.to_owned())]),
    };
    let mut materials = materials.to_vec();
    materials.sort();
    let others = materials.into_iter().map(|material| ResolvedDependency {
        uri: material.uri,
        name: material.name,
        digest: material.sha256.into_iter().map(|sha256| ("sha256".to_owned(), sha256)).collect(),
    });
    std::iter::once(source).chain(others).collect()
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
