//! A state that Terraform could not save, compared with the state that is stored: whether it can be pushed, holds nothing new,
//! or holds resources that the stored state lacks.
//!
//! In: the file and the stack's stored state. Out: an [`UnsavedState`]. Errors: the stored state cannot be read.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::EnvironmentStack;
use crate::failure::Result;
use crate::plan;

/// What there is to do about a state that could not be saved.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnsavedState {
    /// It continues the stored state, or there is none: it can be pushed.
    Newer,
    /// Everything in it is in the stored state, which is newer or of another origin.
    NothingNew,
    /// It does not fit the stored state, and has what that lacks.
    HasMore {
        /// Why it cannot be pushed.
        why: String,
        /// Address and import id of each resource that the stored state does not have.
        missing: BTreeMap<String, String>,
        /// Addresses that both have, with different resources.
        conflicting: Vec<String>,
    },
    /// It is damaged.
    Unreadable(String),
}

impl UnsavedState {
    /// Compares a file with the stack's stored state.
    pub(super) async fn compare(stack: &EnvironmentStack, file: &Path) -> Result<Self> {
        let unsaved: Value = match std::fs::read(file).map(|bytes| serde_json::from_slice(&bytes)) {
            Ok(Ok(unsaved)) => unsaved,
            Ok(Err(error)) => return Ok(Self::Unreadable(error.to_string())),
            Err(error) => return Ok(Self::Unreadable(error.to_string())),
        };
        let stored = plan::read_state(stack.store.as_ref(), stack.name()).await?;
        Ok(Self::of(&unsaved, stored.map(|(_, stored)| stored).as_ref()))
    }

    fn of(unsaved: &Value, stored: Option<&Value>) -> Self {
        let (Some(lineage), Some(serial)) = (unsaved["lineage"].as_str(), unsaved["serial"].as_u64()) else {
            return Self::Unreadable("it has no lineage and serial".to_owned());
        };
        let Some(stored) = stored else { return Self::Newer };
        let stored_lineage = stored["lineage"].as_str().unwrap_or_default();
        let stored_serial = stored["serial"].as_u64().unwrap_or_default();
        if lineage == stored_lineage && serial > stored_serial {
            return Self::Newer;
        }
        let why = if lineage == stored_lineage {
            format!(
                "its serial {serial} is not above {stored_serial}, that of the stored state: something was applied since"
            )
        } else {
            format!(
                "its lineage {lineage} is not {stored_lineage}, that of the stored state: that one was begun anew"
            )
        };
        let (ours, theirs) = (plan::instance_ids(unsaved), plan::instance_ids(stored));
        let conflicting: Vec<String> = ours
            .iter()
            .filter(|(address, id)| theirs.get(*address).is_some_and(|theirs| theirs != *id))
            .map(|(address, _)| address.clone())
            .collect();
        let missing: BTreeMap<String, String> =
            ours.into_iter().filter(|(address, _)| !theirs.contains_key(address)).collect();
        if missing.is_empty() && conflicting.is_empty() {
            return Self::NothingNew;
        }
        Self::HasMore { why, missing, conflicting }
    }
}

/// Gives a state that was dealt with another name, so that it no longer counts; returns it.
pub(super) fn set_aside(file: &Path, what: &str, second: i64) -> std::io::Result<PathBuf> {
    let kept = file.with_extension(format!("tfstate.{what}-{second}"));
    std::fs::rename(file, &kept)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::delivery::model::scene::{Scene, deploy_request};
    use crate::delivery::{
        DestroyRequest, RecoverRequest, RollbackRequest, deliver, destroy_all, preview, recover,
        roll_back_stack,
    };
    use crate::failure::FailureKind;
    use crate::fakes::StackFlaw;
    use crate::interrupt::Interrupt;
    use crate::ledger::DeploymentOutcome;

    fn state(lineage: &str, serial: u64, resources: &[(&str, &str)]) -> Value {
        let resources: Vec<Value> = resources
            .iter()
            .map(|(name, id)| {
                let instances = json!([{ "attributes": { "id": id } }]);
                json!({ "mode": "managed", "type": "aws_iam_role", "name": name, "instances": instances })
            })
            .collect();
        json!({ "lineage": lineage, "serial": serial, "resources": resources })
    }

    #[test]
    fn state_that_continues_the_stored_one_can_be_pushed() {
        let unsaved = state("l", 3, &[("a", "1")]);
        assert_eq!(UnsavedState::of(&unsaved, None), UnsavedState::Newer);
        assert_eq!(UnsavedState::of(&unsaved, Some(&state("l", 2, &[]))), UnsavedState::Newer);
    }

    #[test]
    fn state_that_does_not_fit_is_compared_by_its_resources() {
        let unsaved = state("l", 3, &[("a", "1"), ("b", "2")]);
        let same = state("l", 4, &[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(UnsavedState::of(&unsaved, Some(&same)), UnsavedState::NothingNew);
        let other = state("m", 1, &[("a", "9")]);
        let UnsavedState::HasMore { why, missing, conflicting } = UnsavedState::of(&unsaved, Some(&other))
        else {
            panic!("it has more")
        };
        assert!(why.starts_with("its lineage l is not m"), "{why}");
        assert_eq!(missing, BTreeMap::from([("aws_iam_role.b".to_owned(), "2".to_owned())]));
        assert_eq!(conflicting, ["aws_iam_role.a"]);
        let behind = UnsavedState::of(&unsaved, Some(&state("l", 3, &[])));
        assert!(matches!(behind, UnsavedState::HasMore { why, .. } if why.starts_with("its serial 3")));
        assert!(matches!(UnsavedState::of(&json!({}), None), UnsavedState::Unreadable(_)));
    }

    /// Returns a scene whose last apply could not save its state.
    async fn unsaved_scene(deployed_before: bool) -> Scene {
        let mut scene = Scene::new(false);
        if deployed_before {
            // Two, so that there is something to roll back to.
            scene.deploy_new_releases().await;
            scene.deploy_new_releases().await;
        }
        scene.flaw = StackFlaw::CannotSave;
        for function in scene.functions.clone() {
            scene.release_of(&function, None);
        }
        let failure = scene.deploy_all().await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::StateNotSaved);
        scene.flaw = StackFlaw::None;
        scene
    }

    #[tokio::test]
    async fn nothing_is_planned_or_written_until_the_state_is_saved() {
        for deployed_before in [false, true] {
            let mut scene = unsaved_scene(deployed_before).await;
            let (history, aliases) = (scene.state.objects("ledger/"), scene.lambda.aliases());
            let state = scene.state.objects("s.tfstate");
            let stack = scene.stack(true);
            let request = deploy_request(BTreeMap::new());
            let mut refused = vec![
                scene.deploy_all().await.map(drop),
                deliver(&stack, &request).await.map(drop),
                preview(&stack, &BTreeMap::new(), None).await.map(drop),
            ];
            if deployed_before {
                refused.push(roll_back_stack(&stack, &RollbackRequest::default()).await.map(drop));
            }
            let stacks = [stack];
            let destruction = DestroyRequest { stacks: &stacks, kept: &[], confirmed: &BTreeSet::new() };
            let destroyed = destroy_all(&destruction, &Interrupt::never()).await.unwrap();
            refused.push(destroyed.failure.map_or(Ok(()), Err));
            for result in refused {
                let failure = result.unwrap_err();
                assert_eq!(failure.kind(), FailureKind::StateNotSaved, "{failure}");
                let report = failure.report();
                assert_eq!(report.unchanged.as_deref(), Some("Nothing was changed."));
                assert!(report.hint.unwrap().contains("cargo xtask recover --env dev"));
            }
            assert_eq!(scene.state.objects("ledger/"), history);
            assert_eq!((scene.state.objects("s.tfstate"), scene.lambda.aliases()), (state, aliases));

            let recovered = recover(&scene.stack(true), &RecoverRequest::default()).await.unwrap();
            let saved = recovered.leftovers.iter().any(|leftover| leftover.done.starts_with("saved; "));
            assert!(saved, "{:?}", recovered.leftovers);
            scene.deploy_all().await.unwrap();
            assert_eq!(scene.last_ended().await.unwrap().outcome, DeploymentOutcome::Verified);
        }
    }

    #[tokio::test]
    async fn state_that_does_not_fit_is_explained_and_one_with_nothing_new_is_set_aside() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        let file = stack.plan.work.join("errored.tfstate");
        let stored = scene.state.objects("s.tfstate")["s.tfstate"].clone();
        let mut other: Value = serde_json::from_slice(&stored).unwrap();
        other["lineage"] = "another".into();
        let texts = async |stack: &EnvironmentStack| {
            let recovered = recover(stack, &RecoverRequest::default()).await.unwrap();
            recovered.leftovers.into_iter().map(|left| (left.found, left.done)).collect::<Vec<_>>()
        };
        other["resources"][0]["name"] = "orphan".into();
        std::fs::write(&file, other.to_string()).unwrap();
        let explained = texts(&stack).await;
        assert!(explained[0].0.contains("its lineage another is not 8d7f"), "{explained:?}");
        assert!(explained[0].0.contains("aws_lambda_function.orphan: "), "{explained:?}");
        assert!(explained[0].1.contains("terraform import"), "{explained:?}");
        assert!(file.exists());
        let mut same: Value = serde_json::from_slice(&stored).unwrap();
        same["lineage"] = "another".into();
        std::fs::write(&file, same.to_string()).unwrap();
        let aside = texts(&stack).await;
        assert!(aside[0].1.starts_with("the file is now "), "{aside:?}");
        assert!(!file.exists());
        assert_eq!(scene.state.objects("s.tfstate")["s.tfstate"], stored, "the stored state is untouched");
        std::fs::write(&file, "half a st").unwrap();
        let damaged = texts(&stack).await;
        assert!(damaged[0].0.contains("cannot be read"), "{damaged:?}");
    }
}
