//! Who runs a build, proven by the token that its CI system signed.
//!
//! In: an OpenID Connect token, and the [`BuilderSettings`] that the project trusts. Out: a [`VerifiedIdentity`]: repository,
//! ref, commit, workflow and run, as the system's issuer says them. Goes wrong: an issuer that nobody trusts, a signature or
//! key that does not fit, another audience, a token that is not valid now, keys that cannot be read. No claim is taken from an
//! environment variable: everybody who runs a build can set those.

mod claims;
mod issuer;
#[cfg(test)]
pub(crate) mod tests;
mod token;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::ports::Services;
use crate::settings::{BuilderKind, BuilderSettings};
use token::Token;

/// How far the clocks of an issuer and of this machine may differ, in seconds.
const LEEWAY: i64 = 60;

/// The run of a CI system, as a token says it whose signature was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VerifiedIdentity {
    /// The builder's name in the settings.
    pub(crate) builder: String,
    /// The issuer whose key signed the token.
    pub(crate) issuer: String,
    /// The audience that the token was made for.
    pub(crate) audience: String,
    /// The token's subject, which roles in AWS trust.
    pub(crate) subject: String,
    /// The URI of the workflow or job that ran: SLSA's builder.
    pub(crate) builder_id: String,
    /// The repository's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) repository: Option<String>,
    /// The ref that is built, such as `refs/heads/main`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub(crate) git_ref: Option<String>,
    /// The commit that is built, 40 hex characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    /// The workflow's file in the repository, or the job's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) workflow: Option<String>,
    /// The run's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<String>,
    /// Who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<String>,
    /// The deployment environment of the CI system that the job ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    /// The id of the issuer's key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// When the token was verified.
    pub(crate) verified_at: jiff::Timestamp,
}

impl VerifiedIdentity {
    /// Describes the run: the builder, with what its token proves.
    pub(crate) fn text(&self) -> String {
        let or = |value: &Option<String>, missing: &str| value.clone().unwrap_or_else(|| missing.to_owned());
        let commit = self.commit.as_deref().map_or("no commit", |commit| commit.get(..7).unwrap_or(commit));
        format!(
            "{} ({}): {} at {commit}, {}, run {}",
            self.builder,
            self.issuer,
            or(&self.git_ref, "no ref"),
            or(&self.workflow, "no workflow"),
            or(&self.run, "not named")
        )
    }
}

/// The identity of the present run.
#[async_trait]
pub(crate) trait RunIdentity: Send + Sync {
    /// Asks the CI system for a token and verifies it; returns nothing where no system offers one.
    ///
    /// # Errors
    /// There is a token, and it does not prove what it says.
    async fn verified(&self) -> Result<Option<VerifiedIdentity>>;
}

/// Verifies a token against the builders that are trusted. `emulated`: what is built is for this machine alone, and an issuer
/// on it may vouch for it.
pub(crate) async fn verify(
    text: &str,
    builders: &BTreeMap<String, BuilderSettings>,
    emulated: bool,
    services: &dyn Services,
    now: jiff::Timestamp,
) -> Result<VerifiedIdentity> {
    let token = Token::read(text).map_err(|why| refused(&why))?;
    let issuer = token.text("iss").ok_or_else(|| refused("it names no issuer"))?;
    let Some((name, builder)) = builders.iter().find(|(_, builder)| builder.issuer == issuer) else {
        return Err(refused(&format!(
            "its issuer {issuer} is none of the builders that this project trusts"
        ))
        .hint("name the issuer under [builders] of pipelines/project.toml, if it is your CI system"));
    };
    if builder.is_loopback() && !emulated {
        return Err(refused(&format!("its issuer {issuer} is on this machine, and the release is not"))
            .hint("an issuer on 127.0.0.1 is accepted for emulated environments alone"));
    }
    let keys = issuer::keys(builder, services).await?;
    keys.verify(&token).map_err(|why| refused(&why))?;
    check_claims(&token, builder, now.as_second()).map_err(|why| refused(&why))?;
    let found = claims::read(builder, &token).map_err(|why| refused(&why))?;
    Ok(VerifiedIdentity {
        builder: name.clone(),
        issuer: issuer.to_owned(),
        audience: builder.audience.clone(),
        key: token.key_id().map(str::to_owned),
        verified_at: now,
        ..found
    })
}

/// Checks the audience and the times of a token whose signature is right.
fn check_claims(token: &Token, builder: &BuilderSettings, now: i64) -> Result<(), String> {
    let audiences = token.texts("aud");
    if audiences != [builder.audience.as_str()] {
        let found = crate::format::list(&audiences);
        return Err(format!("it was made for the audience `{found}`, not for `{}`", builder.audience));
    }
    let expires = token.seconds("exp").ok_or("it does not say until when it is valid")?;
    if now - LEEWAY >= expires {
        return Err(format!("it expired {} s ago", now - expires));
    }
    for (claim, what) in [("nbf", "is not valid before"), ("iat", "was issued at")] {
        match token.seconds(claim) {
            Some(from) if from > now + LEEWAY => {
                return Err(format!("it {what} a time that is {} s ahead: compare the clocks", from - now));
            }
            None if token.has(claim) => return Err(format!("its `{claim}` is not a time")),
            _ => {}
        }
    }
    Ok(())
}

/// Returns the refusal of a token, whose text is never shown: until it expires, it is a credential.
fn refused(why: &str) -> Failure {
    Failure::refused(format!("the token of the CI system proves nothing: {why}"))
        .unchanged("Nothing was built, published or deployed.")
}

/// Returns how a builder's token reaches Slipway, for hints.
pub(crate) fn how_to_offer(kind: BuilderKind) -> &'static str {
    match kind {
        BuilderKind::Github => "give the job `permissions: id-token: write`",
        BuilderKind::Gitlab => "give the job `id_tokens: SLIPWAY_ID_TOKEN: aud: slipway`",
        BuilderKind::Jenkins => {
            "bind a credential of the plug-in OpenID Connect Provider to SLIPWAY_ID_TOKEN, or its file to SLIPWAY_ID_TOKEN_FILE"
        }
    }
}
