//! Checks that an environment trusts the releases of a delivery, and knows which of them it checked before.

use std::collections::BTreeMap;

use super::EnvironmentStack;
use crate::failure::Result;
use crate::ledger::{DeploymentKind, Ended};
use crate::name::FunctionName;
use crate::ports::side_by_side;
use crate::release::Manifest;

/// Refuses releases that the environment does not trust.
///
/// The signatures of releases that serve already are not read again if the ledger proves that they were checked: the newest
/// deployment, no rollback, had the same trust settings and ended with this very manifest verified. So nothing new is let in;
/// and where signatures are required or the environment is protected, each run reads them.
pub(super) async fn check(
    stack: &EnvironmentStack,
    last: Option<&Ended>,
    releases: &BTreeMap<FunctionName, Manifest>,
) -> Result<()> {
    let known = last.filter(|last| {
        !stack.trust.required
            && !stack.environment_settings.protected
            && matches!(last.kind, DeploymentKind::Release | DeploymentKind::Deploy)
            && last.outcome.is_settled()
            && stack.has_trust_of(last)
    });
    let mut unknown = Vec::new();
    for (function, manifest) in releases {
        let digest = manifest.digest()?;
        let served = known.and_then(|last| last.verified(function));
        if served.is_none_or(|serving| serving.digest != digest) {
            unknown.push(manifest);
        }
    }
    side_by_side(unknown.into_iter().map(|manifest| stack.check_trust(manifest))).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;
    use crate::delivery::{RollbackRequest, roll_back_stack};

    async fn check_again(scene: &mut Scene) -> Result<()> {
        let stack = scene.stack(true);
        let last = stack.ledger.head().await.unwrap().last.unwrap();
        let mut releases = BTreeMap::new();
        for (function, serving) in &last.serves {
            let manifest = stack.recorded_manifest(function, &serving.release, serving.digest).await.unwrap();
            scene.break_attestation(&manifest);
            releases.insert(function.clone(), manifest);
        }
        check(&stack, Some(&last), &releases).await
    }

    #[tokio::test]
    async fn signature_of_what_serves_is_left_out_only_where_the_newest_deployment_checked_it() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        check_again(&mut scene).await.unwrap();

        // A protected environment reads it each time.
        let mut protected = Scene::new(true);
        protected.deploy_new_releases().await;
        let failure = check_again(&mut protected).await.unwrap_err();
        assert!(failure.message().contains("does not trust `a` 1.0.0"), "{failure}");

        // A rollback moves traffic before it checks anything.
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        scene.deploy_new_releases().await;
        roll_back_stack(&scene.stack(true), &RollbackRequest::default()).await.unwrap();
        check_again(&mut scene).await.unwrap_err();
    }
}
