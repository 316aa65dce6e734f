//! Saved plans in a store in memory.

use super::*;
use crate::fakes::FakeStore;

fn document() -> SavedPlanDocument {
    let file = |content: &str| StoredFile { sha256: Digest::of(content), size: content.len() as u64 };
    SavedPlanDocument {
        schema: SCHEMA.into(),
        target: target(),
        environment: "prod".parse().unwrap(),
        at: "2026-11-30T10:00:00Z".parse().unwrap(),
        expires: "2026-12-01T10:00:00Z".parse().unwrap(),
        by: "ada@host".into(),
        caller: Some("arn:aws:sts::222222222222:assumed-role/plan/ada".into()),
        run_url: None,
        stacks: vec![SavedStack {
            promoted_from: None,
            stack: "hello".parse().unwrap(),
            commit: Some("3f2a91c".into()),
            dirty: false,
            deployment: 7,
            serves: Default::default(),
            releases: Default::default(),
            inputs: Default::default(),
            state: None,
            terraform: "1.15.0".into(),
            providers: Default::default(),
            plan: file("the plan"),
            archive: file("the archive"),
            changes: Vec::new(),
            outputs_change: false,
        }],
    }
}

fn target() -> Target {
    Target {
        project: "shop".into(),
        environment: "prod".into(),
        account: "222222222222".into(),
        region: "eu-central-1".into(),
        bucket: "state".into(),
        prefix: String::new(),
    }
}

async fn saved() -> (std::sync::Arc<FakeStore>, PlanId) {
    let (store, folder) = (FakeStore::new("state", Default::default()), tempfile::tempdir().unwrap());
    let (plan, archive) = (folder.path().join("plan"), folder.path().join("archive"));
    std::fs::write(&plan, "the plan").unwrap();
    std::fs::write(&archive, "the archive").unwrap();
    let document = document();
    let stack = &document.stacks[0].stack;
    let files = [FilesToSave { stack, plan: &plan, archive: &archive }];
    let digest = save(store.as_ref(), &document, &files).await.unwrap();
    assert_eq!(save(store.as_ref(), &document, &files).await.unwrap(), digest, "the same again");
    assert_eq!(store.objects("plans/").len(), 3);
    (store, PlanId::of(&digest))
}

async fn loaded(store: &FakeStore, id: &PlanId) -> Result<LoadedPlan> {
    load(store, &"prod".parse().unwrap(), id).await
}

#[tokio::test]
async fn plan_is_read_as_it_was_saved() {
    let (store, id) = saved().await;
    let plan = loaded(&store, &id).await.unwrap();
    assert_eq!(plan.document, document());
    assert_eq!(plan.plan_of(store.as_ref(), &plan.document.stacks[0]).await.unwrap(), b"the plan");
    let to = tempfile::NamedTempFile::new().unwrap();
    plan.archive_of(store.as_ref(), &plan.document.stacks[0], to.path()).await.unwrap();
    assert_eq!(std::fs::read(to.path()).unwrap(), b"the archive");
    assert!(plan.refuse_other_target(&target()).is_ok());
    let other = Target { account: "333333333333".into(), ..target() };
    let failure = plan.refuse_other_target(&other).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::PlanStale);
    assert!(failure.message().ends_with("is for another account"), "{failure}");
}

#[tokio::test]
async fn replaced_or_missing_parts_are_refused_by_name() {
    let (store, id) = saved().await;
    let keys: Vec<String> = store.objects("plans/").into_keys().collect();
    for key in keys {
        let (store, _) = saved().await;
        for replaced in [true, false] {
            if replaced {
                store.set(&key, *b"{\"schema\":\"slipway.saved-plan/1\"}");
            } else {
                store.remove(&key);
            }
            let read = async {
                let plan = loaded(&store, &id).await?;
                let stack = &plan.document.stacks[0];
                plan.plan_of(store.as_ref(), stack).await?;
                let to = tempfile::NamedTempFile::new().unwrap();
                plan.archive_of(store.as_ref(), stack, to.path()).await
            };
            let failure = read.await.unwrap_err();
            if !replaced && key.ends_with(DOCUMENT) {
                assert_eq!(failure.kind(), FailureKind::Usage);
                continue;
            }
            assert_eq!(failure.kind(), FailureKind::PlanStale, "{key} {failure}");
            let details = failure.report().details;
            assert!(details.iter().any(|detail| detail.value.ends_with(&key)), "{key} {details:?}");
        }
    }
}

#[tokio::test]
async fn plan_expires_by_both_clocks() {
    let (store, id) = saved().await;
    let plan = loaded(&store, &id).await.unwrap();
    let at = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
    assert!(plan.refuse_expired(at("2026-12-01T10:00:00Z")).is_ok());
    let failure = plan.refuse_expired(at("2026-12-01T10:00:01Z")).unwrap_err();
    assert_eq!(failure.kind(), FailureKind::PlanStale);
    assert!(failure.message().ends_with("expired at 2026-12-01T10:00:00Z"), "{failure}");
    assert!(plan.refuse_expired(at("2026-11-30T09:00:00Z")).unwrap_err().message().contains("not yet"));
    // This machine's clock stands still; the store's does not.
    store.advance(2 * 86_400);
    let plan = loaded(&store, &id).await.unwrap();
    assert!(plan.refuse_expired(at("2026-11-30T10:00:00Z")).is_err());
}

#[tokio::test]
async fn ids_that_begin_alike_need_more_digits() {
    let (store, id) = saved().await;
    let own = list(store.as_ref(), "").await.unwrap().pop_first().unwrap().hex();
    store.set(&format!("plans/{}{}/plan.json", &own[..12], "0".repeat(52)), *b"{}");
    let failure = loaded(&store, &id).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.report().body.unwrap().contains(&own));
    assert!(loaded(&store, &own.parse().unwrap()).await.is_ok());
    let none = loaded(&store, &"0000-0000".parse().unwrap()).await.unwrap_err();
    assert_eq!(none.kind(), FailureKind::Usage);
}

#[test]
fn providers_are_read_from_a_lock_file() {
    let text = "# x\nprovider \"registry.terraform.io/hashicorp/aws\" {\n  version     = \"6.50.0\"\n  constraints = \">= 6.0\"\n  hashes = [\n    \"h1:x\",\n  ]\n}\n";
    let providers = locked_providers(text);
    assert_eq!(providers["registry.terraform.io/hashicorp/aws"], "6.50.0");
    assert_eq!(providers.len(), 1);
}
