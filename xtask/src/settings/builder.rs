//! `[builders]` of `pipelines/project.toml`: the CI systems whose tokens prove who built a release.
//!
//! In: the table. Out: the builders that are trusted, by name, with `github` and `gitlab` where the table does not name them.
//! Goes wrong: an issuer that is no `https://` address, or one that two builders have. An issuer is trusted because a reviewed
//! file names it; nothing in the environment of a run adds one.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{EnvironmentSettings, Project};
use crate::failure::{Failure, Result};

/// What a token must be made for, where the builder does not say otherwise.
const AUDIENCE: &str = "slipway";

/// How a CI system names repository, commit, workflow and run in its tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BuilderKind {
    /// [GitHub Actions](https://docs.github.com/en/actions/reference/security/oidc).
    Github,
    /// [GitLab CI](https://docs.gitlab.com/ci/secrets/id_token_authentication/).
    Gitlab,
    /// [Jenkins](https://plugins.jenkins.io/oidc-provider/), with the plug-in OpenID Connect Provider.
    Jenkins,
}

/// A CI system whose tokens are trusted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BuilderSettings {
    /// Whose claims they are.
    pub(crate) kind: BuilderKind,
    /// The issuer, as the tokens' `iss` says it.
    pub(crate) issuer: String,
    /// The audience that a token must have.
    #[serde(default = "audience")]
    pub(crate) audience: String,
}

impl BuilderSettings {
    /// Returns whether the issuer is on this machine, as in a test: it proves nothing to anybody else.
    pub(crate) fn is_loopback(&self) -> bool {
        self.issuer.starts_with("http://")
    }
}

fn audience() -> String {
    AUDIENCE.to_owned()
}

/// Returns the builders that a project trusts: those that it names, and the public GitHub and GitLab.
pub(super) fn trusted(
    named: &BTreeMap<String, BuilderSettings>,
) -> Result<BTreeMap<String, BuilderSettings>> {
    let wrong = |message: String| Failure::usage(format!("pipelines/project.toml: {message}"));
    let mut builders: BTreeMap<String, BuilderSettings> = [
        ("github", BuilderKind::Github, "https://token.actions.githubusercontent.com"),
        ("gitlab", BuilderKind::Gitlab, "https://gitlab.com"),
    ]
    .into_iter()
    .filter(|(_, _, issuer)| named.values().all(|builder| builder.issuer != *issuer))
    .map(|(name, kind, issuer)| {
        (name.to_owned(), BuilderSettings { kind, issuer: issuer.to_owned(), audience: audience() })
    })
    .collect();
    for (name, builder) in named {
        let issuer = &builder.issuer;
        if !is_issuer(issuer) {
            return Err(wrong(format!(
                "`issuer = \"{issuer}\"` of [builders.{name}] is not an https:// address without query and fragment"
            ))
            .hint("write it as the token's `iss` says it; http:// is for an issuer on 127.0.0.1, which emulated environments alone accept"));
        }
        if named.iter().any(|(other, builder)| other != name && builder.issuer == *issuer) {
            return Err(wrong(format!("two [builders] have the issuer {issuer}"))
                .hint("keep one of them: a token is judged by its issuer"));
        }
        builders.insert(name.clone(), builder.clone());
    }
    Ok(builders)
}

impl Project {
    /// Refuses a builder that an environment requires, and that is unknown or proves nothing there.
    pub(super) fn check_builder(&self, file: &str, settings: &EnvironmentSettings) -> Result<()> {
        let Some(name) = &settings.claims.builder else { return Ok(()) };
        let wrong = |message: String| Failure::usage(format!("{file}: {message}"));
        let builders = &self.settings.builders;
        let known: Vec<&str> = builders.keys().map(String::as_str).collect();
        let builder = builders.get(name).ok_or_else(|| {
            wrong(format!("unknown builder `{name}`")).hint(format!(
                "builders here: {}; pipelines/project.toml adds others under [builders]",
                known.join(", ")
            ))
        })?;
        if builder.is_loopback() && !settings.is_emulated() {
            return Err(wrong(format!(
                "the builder `{name}` has an issuer on this machine: {}",
                builder.issuer
            ))
            .hint("its tokens prove nothing to anybody else; an emulated environment alone may require it"));
        }
        Ok(())
    }

    /// Returns the issuer of the builder that an environment requires.
    pub(crate) fn required_issuer(&self, settings: &EnvironmentSettings) -> Option<&str> {
        let name = settings.claims.builder.as_ref()?;
        self.settings.builders.get(name).map(|builder| builder.issuer.as_str())
    }
}

/// Returns whether a text is an issuer: an `https://` address, or a plain one on this machine.
fn is_issuer(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else { return false };
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]"));
    plain && url.host_str().is_some() && (url.scheme() == "https" || url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder(issuer: &str) -> BuilderSettings {
        BuilderSettings { kind: BuilderKind::Jenkins, issuer: issuer.into(), audience: audience() }
    }

    #[test]
    fn public_systems_are_known_and_a_project_names_its_own() {
        let own = BTreeMap::from([("ci".to_owned(), builder("https://jenkins.example/oidc"))]);
        let trusted = trusted(&own).unwrap();
        assert_eq!(trusted.keys().collect::<Vec<_>>(), ["ci", "github", "gitlab"]);
        assert_eq!(trusted["github"].issuer, "https://token.actions.githubusercontent.com");
        assert!(trusted.values().all(|builder| builder.audience == "slipway" && !builder.is_loopback()));
    }

    #[test]
    fn issuer_is_encrypted_or_on_this_machine() {
        for good in ["https://a.example", "https://a.example/oidc", "http://127.0.0.1:7", "http://[::1]:7"] {
            assert!(is_issuer(good), "{good}");
        }
        for bad in [
            "http://a.example",
            "http://127.0.0.1.evil.example",
            "http://localhost:7",
            "https://ada@a.example",
            "https://a.example/?x=1",
            "https://a.example/#x",
            "file:///etc",
            "a.example",
            "",
        ] {
            let named = BTreeMap::from([("ci".to_owned(), builder(bad))]);
            let failure = trusted(&named).unwrap_err();
            assert!(failure.message().contains("[builders.ci]"), "{bad}: {failure}");
        }
        let twice = ["a", "b"].map(|name| (name.to_owned(), builder("https://a.example")));
        assert!(trusted(&BTreeMap::from(twice)).unwrap_err().message().contains("two [builders]"));
    }
}
