//! The stored releases that a delivery to one environment takes: the recorded manifest, a signature, the bytes.

use super::EnvironmentStack;
use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::{FunctionName, Version};
use crate::release::{self, Manifest};

impl EnvironmentStack {
    /// Reads the manifest of a release that the ledger names; refuses one that is not the recorded one.
    ///
    /// A release that was not asked for by name is known by its digest alone: whatever is stored under its version may have
    /// been replaced since it was verified.
    pub(crate) async fn recorded_manifest(
        &self,
        function: &FunctionName,
        version: &Version,
        recorded: Digest,
    ) -> Result<Manifest> {
        let manifest = self.catalogue.find(function, version).await?.ok_or_else(|| {
            let (key, place) = (Manifest::key(function, version), self.catalogue.store().place());
            Failure::refused(format!(
                "the manifest of `{function}` {version}, which was deployed to {}, is missing",
                self.environment()
            ))
            .detail("manifest", format!("{place}/{key}"))
            .detail("in the ledger", recorded.to_string())
            .hint("it was deleted: restore that object; a version is never cut again")
        })?;
        self.check_recorded(&manifest, recorded)?;
        Ok(manifest)
    }

    /// Refuses a manifest of a release that the ledger names, if it has another digest than was recorded.
    pub(crate) fn check_recorded(&self, manifest: &Manifest, recorded: Digest) -> Result<()> {
        let Manifest { function, version, .. } = manifest;
        let found = manifest.digest()?;
        if found == recorded {
            return Ok(());
        }
        let key = Manifest::key(function, version);
        let place = self.catalogue.store().place();
        Err(Failure::refused(format!(
            "the manifest of `{function}` {version} is not the one that was deployed to {}",
            self.environment()
        ))
        .detail("manifest", format!("{place}/{key}"))
        .detail("in the ledger", recorded.to_string())
        .detail("found", found.to_string())
        .hint(format!(
            "the object was replaced: restore its first version, or deploy another release of `{function}`: cargo xtask deploy {function} --env {} --version <VERSION>",
            self.environment()
        )))
    }

    /// Refuses a release whose signature this environment does not accept.
    pub(crate) async fn check_trust(&self, manifest: &Manifest) -> Result<()> {
        release::check_trust(&self.catalogue, manifest, &self.trust, self.environment()).await
    }

    /// Checks that the parts of a release are in the store; byte for byte if signatures are required.
    pub(crate) async fn check_bytes(&self, manifest: &Manifest) -> Result<()> {
        self.catalogue.check_artifact(manifest).await?;
        if self.trust.required { release::check_bytes(&self.catalogue, manifest).await } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::delivery::deliver;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::failure::FailureKind;

    #[tokio::test]
    async fn replaced_bytes_of_the_same_length_are_refused_before_anything_is_planned() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let function = scene.functions[0].clone();
        let release = scene.release_of(&function, None);
        let key = scene.replace_artifact(&release);
        let (aliases, history) = (scene.lambda.aliases(), scene.state.objects("ledger/"));
        let request = deploy_request(BTreeMap::from([(function, release)]));
        let failure = deliver(&scene.stack(true), &request).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(failure.message().contains("`a` 1.1.0 do not match its manifest"), "{failure}");
        assert!(failure.report().details[0].value.ends_with(&key), "the object is named");
        assert_eq!((scene.lambda.aliases(), scene.state.objects("ledger/")), (aliases, history));
        assert_eq!(scene.lambda.newest(&Scene::function_name(&scene.functions[0])), Some(1));
    }
}
