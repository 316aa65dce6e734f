//! Whose a stack's ledger and state, and a function's releases are: marked in the stores, and compared before they are used.
//!
//! A bucket may be shared by projects, and names of stacks and functions repeat. A marker below `ledger/<stack>/` or
//! `releases/<function>/` names the project that writes there; it is written once, with the first entry or release. In: the
//! identity of this project, and what a store holds. Out: a refusal that names both projects. What was stored before there were
//! markers is accepted where it shows whose it is ([`ProjectIdentity::wrote`]); else the command `claim` has to say so.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::name::EnvironmentName;
use crate::schema::{schema_of, unknown_schema};

/// The schema of markers.
const SCHEMA: &str = "slipway.marker/1";

/// Tells whether this repository, and no other project in it, has a commit.
type KnowsCommit = dyn Fn(&str) -> bool + Send + Sync;

/// The project on whose behalf a command runs.
#[derive(Clone)]
pub(crate) struct ProjectIdentity {
    /// The name in `pipelines/project.toml`.
    pub(crate) project: String,
    /// The repository's address without credentials, where it has a remote.
    pub(crate) repository: Option<String>,
    knows_commit: Arc<KnowsCommit>,
    is_alone: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// The project that writes below a prefix of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Marker {
    /// `slipway.marker/1`.
    pub(crate) schema: String,
    /// The project's name.
    pub(crate) project: String,
    /// The environment, where the store is one of an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<EnvironmentName>,
    /// The repository's address without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    /// Projects whose marker this one replaces: the project was renamed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
}

/// What an object store shows of who wrote something before there were markers.
#[derive(Debug, Default)]
pub(crate) struct Traces<'a> {
    /// Commits that were deployed or released.
    pub(crate) commits: Vec<&'a str>,
    /// The address of the repository that they were built from.
    pub(crate) repository: Option<&'a str>,
    /// Names of deployed functions in Lambda.
    pub(crate) function_names: Vec<&'a str>,
}

impl ProjectIdentity {
    /// Makes the identity of a project; `knows_commit` tells whether a commit can be only this project's.
    pub(crate) fn new(
        project: &str,
        repository: Option<String>,
        knows_commit: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            project: project.to_owned(),
            repository,
            knows_commit: Arc::new(knows_commit),
            is_alone: Arc::new(|| true),
        }
    }

    /// Sets what tells whether this is the only project of its repository: only then does the repository's name show anything.
    pub(crate) fn alone_if(self, is_alone: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { is_alone: Arc::new(is_alone), ..self }
    }

    /// Returns the marker of this project.
    pub(crate) fn marker(&self, environment: Option<&EnvironmentName>) -> Marker {
        Marker {
            schema: SCHEMA.into(),
            project: self.project.clone(),
            environment: environment.cloned(),
            repository: self.repository.clone(),
            replaces: Vec::new(),
        }
    }

    /// Returns whether a marker is this project's, in the same environment.
    ///
    /// Repositories are compared by their last name alone: forks, mirrors and SSH aliases have other addresses.
    pub(crate) fn owns(&self, marker: &Marker, environment: Option<&EnvironmentName>) -> bool {
        let same = |a: Option<&str>, b: Option<&str>| a.is_none() || b.is_none() || a == b;
        let name = |address: &Option<String>| address.as_deref().and_then(repository_name);
        marker.project == self.project
            && same(
                marker.environment.as_ref().map(EnvironmentName::as_str),
                environment.map(EnvironmentName::as_str),
            )
            && same(name(&marker.repository).as_deref(), name(&self.repository).as_deref())
    }

    /// Returns whether traces show that this project wrote something: a commit that only it can have made, the name of a
    /// repository that only it is in, or functions that are all named `<project>-<account>-…`, as Slipway's modules name them.
    pub(crate) fn wrote(&self, traces: &Traces<'_>) -> bool {
        let is_own = |name: &&str| {
            let rest = name.strip_prefix(self.project.as_str()).and_then(|rest| rest.strip_prefix('-'));
            rest.and_then(|rest| rest.split_once('-')).is_some_and(|(account, _)| {
                account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
            })
        };
        let repository = traces.repository.and_then(repository_name);
        traces.commits.iter().any(|commit| (self.knows_commit)(commit))
            || (repository.is_some()
                && repository == self.repository.as_deref().and_then(repository_name)
                && (self.is_alone)())
            || (!traces.function_names.is_empty() && traces.function_names.iter().all(is_own))
    }

    /// Describes the project for messages: its name, and its repository where that is known.
    pub(crate) fn describe(&self) -> String {
        described(&self.project, self.repository.as_deref(), None)
    }
}

impl Marker {
    /// Reads a marker; `place` names it in errors.
    pub(crate) fn read(bytes: &[u8], place: &str) -> Result<Self> {
        if let Some(schema) = schema_of(bytes).filter(|schema| schema != SCHEMA) {
            return Err(unknown_schema(place, &schema, SCHEMA).unchanged("Nothing was changed."));
        }
        serde_json::from_slice(bytes).map_err(|error| {
            Failure::failed(format!("{place}, which names the project, cannot be read"))
                .caused_by(error)
                .unchanged("Nothing was changed.")
                .hint("it was edited: restore the object's first version")
        })
    }

    /// Returns the marker's bytes as they are stored.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
            .map_err(|error| Failure::defect("a project's marker cannot be written as JSON").caused_by(error))
    }

    /// Describes the project that it names.
    pub(crate) fn describe(&self) -> String {
        described(&self.project, self.repository.as_deref(), self.environment.as_ref())
    }
}

fn described(project: &str, repository: Option<&str>, environment: Option<&EnvironmentName>) -> String {
    let environment = environment.map(|name| format!(", environment {name}")).unwrap_or_default();
    let repository = repository.map(|address| format!(", {address}")).unwrap_or_default();
    format!("{project}{environment}{repository}")
}

/// Returns the last name of a repository's address in lower case, such as `shop` of `git@github.com:acme/Shop.git`.
fn repository_name(address: &str) -> Option<String> {
    let address = address.trim_end_matches('/').trim_end_matches(".git");
    let name = address.rsplit(['/', ':']).next()?.to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(repository: Option<&str>) -> ProjectIdentity {
        ProjectIdentity::new("shop", repository.map(str::to_owned), |commit| commit == "known")
    }

    #[test]
    fn marker_of_another_project_environment_or_repository_is_not_ours() {
        let dev: EnvironmentName = "dev".parse().unwrap();
        let prod: EnvironmentName = "prod".parse().unwrap();
        let own = shop(Some("https://example.com/acme/shop.git"));
        assert!(own.owns(&own.marker(Some(&dev)), Some(&dev)));
        assert!(!own.owns(&own.marker(Some(&prod)), Some(&dev)));
        for (repository, owned) in [
            (None, true),
            (Some("git@work-alias:ada/Shop"), true),
            (Some("ssh://git@example.com:22/acme/shop/"), true),
            (Some("https://example.com/acme/other-shop"), false),
        ] {
            assert_eq!(own.owns(&shop(repository).marker(Some(&dev)), Some(&dev)), owned, "{repository:?}");
        }
        let other = ProjectIdentity::new("mini", None, |_| true);
        assert!(!own.owns(&other.marker(None), None));
    }

    #[test]
    fn traces_show_whose_they_are_by_commit_repository_or_function_names() {
        let own = shop(Some("git@example.com:acme/shop.git"));
        let names = |function_names: &[&'static str]| Traces {
            function_names: function_names.to_vec(),
            ..Traces::default()
        };
        assert!(!own.wrote(&Traces::default()));
        assert!(own.wrote(&Traces { commits: vec!["other", "known"], ..Traces::default() }));
        assert!(own.wrote(&Traces { repository: Some("https://example.com/x/shop"), ..Traces::default() }));
        assert!(
            !own.wrote(&Traces { repository: Some("https://example.com/acme/mini"), ..Traces::default() })
        );
        assert!(own.wrote(&names(&["shop-111111111111-dev-api"])));
        let traces = || Traces { repository: Some("https://example.com/x/shop"), ..Traces::default() };
        assert!(!own.clone().alone_if(|| false).wrote(&traces()), "another project is in the repository");
        assert!(!own.wrote(&names(&["shop-111111111111-dev-api", "api"])), "one of them says nothing");
        assert!(!own.wrote(&names(&["shop-tool-111111111111-dev-api"])), "another project's");
        assert!(!own.wrote(&names(&["shopping-111111111111-dev-api"])));
    }

    #[test]
    fn marker_is_read_as_it_was_written() {
        let stored = br#"{
  "schema": "slipway.marker/1",
  "project": "shop",
  "environment": "dev",
  "repository": "https://example.com/acme/shop"
}"#;
        let marker = Marker::read(stored, "b/k").unwrap();
        assert_eq!(marker.bytes().unwrap(), stored);
        assert_eq!(marker.describe(), "shop, environment dev, https://example.com/acme/shop");
        let failure = Marker::read(br#"{"schema":"slipway.marker/2"}"#, "b/k").unwrap_err();
        assert!(failure.message().starts_with("b/k has the schema slipway.marker/2"), "{failure}");
        assert!(Marker::read(b"{}", "b/k").is_err());
    }
}
