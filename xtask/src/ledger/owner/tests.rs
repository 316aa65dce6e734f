//! Whose a ledger is, over a store in memory.

use std::sync::Arc;

use super::super::format::{self, FORMATS};
use super::super::{Ended, Head, Ledger, Serving, Started};
use super::{Claim, function_names};
use crate::failure::{Failure, FailureKind};
use crate::fakes::{FakeStore, Faults};
use crate::ownership::ProjectIdentity;

/// Entries that version 0.1.0 stored, without a marker; the release's function is named `shop-111111111111-dev-hello`.
const STARTED: &str = include_str!("../stored/release.started.json");
const ENDED: &str = include_str!("../stored/release.ended.json");
const MARKER: &str = "ledger/s/project.json";

fn store() -> Arc<FakeStore> {
    FakeStore::new("state", Arc::new(Faults::default()))
}

/// A project without any commit.
fn project(name: &str) -> ProjectIdentity {
    ProjectIdentity::new(name, None, |_| false)
}

fn ledger(store: &Arc<FakeStore>, environment: &str, project: &ProjectIdentity) -> Ledger {
    Ledger::new(store.clone(), environment.parse().unwrap(), "s".parse().unwrap()).of_project(project)
}

fn started() -> Started {
    let started: Started = format::read(FORMATS, STARTED.as_bytes(), "b/k").unwrap();
    Started { deployment: 1, stack: "s".parse().unwrap(), environment: "dev".parse().unwrap(), ..started }
}

/// Stores a deployment of version 0.1.0, whose functions have this name.
fn store_deployment(store: &FakeStore, function_name: &str) {
    let mut ended: Ended = format::read(FORMATS, ENDED.as_bytes(), "b/k").unwrap();
    (ended.deployment, ended.stack) = (1, "s".parse().unwrap());
    ended.environment = "dev".parse().unwrap();
    ended.serves.values_mut().for_each(|serving| function_name.clone_into(&mut serving.function_name));
    assert!(!ended.serves.is_empty());
    store.set("ledger/s/9999999998.started.json", serde_json::to_vec(&started()).unwrap());
    store.set("ledger/s/9999999998.ended.json", serde_json::to_vec(&ended).unwrap());
}

fn text(failure: &Failure) -> String {
    let report = failure.report();
    let details = report.details.iter().map(|detail| format!("{} {}\n", detail.name, detail.value));
    format!("{}\n{}{}", report.message, details.collect::<String>(), report.hint.unwrap_or_default())
}

#[tokio::test]
async fn first_entry_marks_the_ledger_and_another_project_is_refused() {
    let store = store();
    let (contact, mini) = (project("contact"), project("mini"));
    let own = ledger(&store, "dev", &contact);
    assert!(own.head().await.unwrap().last.is_none());
    assert!(store.objects("").is_empty(), "reading writes nothing");
    // Another project that began at the same time, and read an empty ledger as well.
    let other = ledger(&store, "dev", &mini);
    other.head().await.unwrap();
    own.begin(&Started { deployment: 1, ..started() }).await.unwrap();
    assert!(store.objects("").contains_key(MARKER));

    for failure in [
        other.begin(&Started { deployment: 2, ..started() }).await.unwrap_err(),
        ledger(&store, "dev", &mini).head().await.unwrap_err(),
        ledger(&store, "dev", &mini).history(9).await.unwrap_err(),
        ledger(&store, "dev", &mini).refuse_foreign().await.unwrap_err(),
    ] {
        assert_eq!(failure.kind(), FailureKind::Refused);
        let text = text(&failure);
        assert!(text.contains("belongs to the project contact, and this is mini"), "{text}");
        assert!(text.contains("prefix = \"mini/\" under [state]"), "{text}");
        assert!(text.contains("terraform/environments/dev/environment.toml"), "{text}");
    }
    assert!(ledger(&store, "dev", &contact).head().await.unwrap().open.is_some());
    let failure = ledger(&store, "prod", &contact).head().await.unwrap_err();
    assert!(text(&failure).contains("contact, environment dev"), "another environment: {failure}");
}

#[tokio::test]
async fn ledger_from_before_there_were_markers_is_read_where_it_shows_whose_it_is() {
    for (name, function_name, accepted) in [
        ("shop", "shop-111111111111-dev-hello", true),
        ("mini", "shop-111111111111-dev-hello", false),
        ("shop", "shop-hello", false),
    ] {
        let store = store();
        store_deployment(&store, function_name);
        let head = ledger(&store, "dev", &project(name)).head().await;
        assert_eq!(head.is_ok(), accepted, "{name} reads {function_name}");
        if let Err(failure) = head {
            assert_eq!(failure.kind(), FailureKind::Refused);
            let text = text(&failure);
            assert!(text.contains("may be another project's"), "{text}");
            assert!(text.contains(function_name) && text.contains("cargo xtask claim s --env dev"), "{text}");
        }
        // History is only shown, and shown from where it is.
        assert_eq!(ledger(&store, "dev", &project(name)).history(9).await.unwrap().len(), 1);
    }
    // A commit that only this project has shows it as well.
    let store = store();
    store_deployment(&store, "hello");
    let commit = {
        let ended: Ended = format::read(FORMATS, ENDED.as_bytes(), "b/k").unwrap();
        ended.serves.into_values().next().unwrap().commit
    };
    let own = ProjectIdentity::new("shop", None, move |known| known == commit);
    let own = ledger(&store, "dev", &own);
    assert!(own.head().await.unwrap().last.is_some());
    own.begin(&Started { deployment: 2, ..started() }).await.unwrap();
    assert!(store.objects("").contains_key(MARKER), "the next entry marks it");
}

#[tokio::test]
async fn claim_marks_what_shows_nothing_and_takes_over_only_from_the_project_that_is_named() {
    let store = store();
    store_deployment(&store, "hello");
    let shop = project("shop");
    ledger(&store, "dev", &shop).head().await.unwrap_err();
    assert_eq!(ledger(&store, "dev", &shop).claim(None).await.unwrap(), Claim::Written);
    assert_eq!(ledger(&store, "dev", &shop).claim(None).await.unwrap(), Claim::Known);
    assert!(ledger(&store, "dev", &shop).head().await.unwrap().last.is_some());

    let renamed = project("market");
    for from in [None, Some("other")] {
        let failure = ledger(&store, "dev", &renamed).claim(from).await.unwrap_err();
        assert!(text(&failure).contains("cargo xtask claim s --env dev --from shop"), "{failure}");
    }
    assert_eq!(ledger(&store, "dev", &renamed).claim(Some("shop")).await.unwrap(), Claim::Written);
    assert!(ledger(&store, "dev", &renamed).head().await.unwrap().last.is_some());
    ledger(&store, "dev", &shop).head().await.unwrap_err();
}

#[tokio::test]
async fn state_with_resources_that_no_deployment_recorded_is_refused_until_it_is_claimed() {
    let store = store();
    let shop = project("shop");
    store.set("s.tfstate", r#"{"lineage":"x","serial":1,"resources":[]}"#);
    ledger(&store, "dev", &shop).head().await.unwrap();
    store.set("s.tfstate", r#"{"lineage":"x","serial":2,"resources":[{},{}]}"#);
    let failure = ledger(&store, "dev", &shop).head().await.unwrap_err();
    assert!(text(&failure).starts_with("the state of `s` in dev has 2 resources that no deployment of shop"));
    ledger(&store, "dev", &shop).claim(None).await.unwrap();
    ledger(&store, "dev", &shop).head().await.unwrap();
}

#[test]
fn functions_of_the_open_deployment_and_of_the_one_before_it_are_named_once() {
    let mut ended: Ended = format::read(FORMATS, ENDED.as_bytes(), "b/k").unwrap();
    let serving = std::mem::take(&mut ended.serves).into_values().next().unwrap();
    for name in ["a", "b"] {
        let serving = Serving { function_name: name.to_owned(), ..serving.clone() };
        ended.serves.insert(name.parse().unwrap(), serving);
    }
    let open = Started { serves: ended.serves.clone(), ..started() };
    let head = Head { open: Some(open), last: Some(ended), ..Head::default() };
    assert_eq!(function_names(&head), ["a", "b"]);
}
