//! The settings that decide which releases an environment trusts, compared with those of the last deployment.

use super::EnvironmentStack;
use crate::failure::{Failure, Result};
use crate::ledger::{Ended, TrustRecord};
use crate::settings::ProvenanceClaims;

impl EnvironmentStack {
    /// Returns the settings that decide which releases are trusted, with what is weaker than at the last deployment.
    pub(super) fn trust_record(&self, last: Option<&Ended>) -> TrustRecord {
        let ProvenanceClaims { builder, repository, git_ref, workflow } = &self.trust.claims;
        let claims = [
            ("builder", builder),
            // The name alone would let another system take its place.
            ("issuer", &self.trust.issuer),
            ("repository", repository),
            ("ref", git_ref),
            ("workflow", workflow),
        ];
        let claims = claims.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text.clone()?)));
        let mut now = TrustRecord::new(
            self.environment_settings.protected,
            self.trust.required,
            self.trust.keys.iter().map(|key| key.id().to_owned()).collect(),
            claims.collect(),
        );
        let before = last.and_then(|last| last.trust.as_ref());
        now.accepted_weaker = before.map(|before| now.weaker_than(before)).unwrap_or_default();
        now
    }

    /// Returns whether a deployment ran with the present settings that decide which releases are trusted.
    pub(in crate::delivery) fn has_trust_of(&self, last: &Ended) -> bool {
        last.trust.as_ref().is_some_and(|before| before.digest == self.trust_record(None).digest)
    }

    /// Refuses settings that trust more than those of the last deployment, unless that is accepted. Returns whether it is.
    pub(in crate::delivery) fn refuse_weaker_trust(&self, last: Option<&Ended>) -> Result<bool> {
        let weaker = self.trust_record(last).accepted_weaker;
        if weaker.is_empty() || self.accept_weaker_trust {
            return Ok(!weaker.is_empty());
        }
        let (environment, stack) = (self.environment(), self.name());
        let failure = Failure::refused(format!(
            "the trust settings of {environment} are weaker than at deployment {} of `{stack}`",
            last.map_or(0, |last| last.deployment)
        ));
        let failure = weaker.into_iter().fold(failure, |failure, what| failure.detail("weaker", what));
        Err(failure.unchanged("Nothing was changed.").hint(format!(
            "restore them in terraform/environments/{environment}/environment.toml, or accept them once with \
             --accept-weaker-trust, which the ledger records"
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{DeployRequest, deliver, rollback};
    use crate::failure::FailureKind;

    #[tokio::test]
    async fn weaker_trust_settings_are_refused_until_they_are_accepted_and_the_ledger_records_it() {
        let mut scene = Scene::new(true);
        scene.deploy_new_releases().await;
        let recorded = scene.last_ended().await.unwrap().trust.unwrap();
        assert!(recorded.protected && recorded.accepted_weaker.is_empty());

        let weaker = |scene: &mut Scene, accept| {
            let mut stack = scene.stack(true);
            stack.environment_settings.protected = false;
            stack.accept_weaker_trust = accept;
            stack
        };
        let stack = weaker(&mut scene, false);
        let request = DeployRequest { always_plan: true, ..deploy_request(BTreeMap::new()) };
        let failure = deliver(&stack, &request).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        let report = failure.report();
        assert_eq!(report.message, "the trust settings of dev are weaker than at deployment 1 of `s`");
        assert_eq!(report.details[0].value, "protected = true before, now false");
        assert!(report.hint.unwrap().contains("--accept-weaker-trust"));
        assert_eq!(scene.last_ended().await.unwrap().deployment, 1, "nothing was written");
        // A rollback and a destruction as well, before any alias moves.
        let end = scene.last_ended().await.unwrap();
        let failure =
            rollback::roll_back(&stack, &end, &BTreeMap::new(), &BTreeMap::new()).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(scene.stack(true).ledger.head().await.unwrap().open.is_none());

        // Nothing else is to be done, and what was accepted is recorded.
        deliver(&weaker(&mut scene, true), &request).await.unwrap();
        let accepted = scene.last_ended().await.unwrap();
        assert_eq!(accepted.deployment, 2);
        let trust = accepted.trust.unwrap();
        assert_eq!(trust.accepted_weaker, ["protected = true before, now false"]);
        assert_ne!(trust.digest, recorded.digest);
        deliver(&weaker(&mut scene, false), &deploy_request(BTreeMap::new())).await.unwrap();
    }
}
