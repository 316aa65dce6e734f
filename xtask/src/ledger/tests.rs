//! Entries over a store in memory: written once, looked at after a lost answer, and believed only under their own keys.

use std::sync::Arc;

use super::*;
use crate::fakes::{FakeStore, Fault, Faults};

fn started(deployment: u64) -> Started {
    let stored = include_str!("stored/release.started.json");
    let started: Started = serde_json::from_str(stored).unwrap();
    Started { deployment, ..started }
}

fn ended(deployment: u64) -> Ended {
    Ended::of(&started(deployment), None, DeploymentOutcome::Verified, jiff::Timestamp::UNIX_EPOCH)
}

fn ledger() -> (Arc<Faults>, Arc<FakeStore>, Ledger) {
    let faults: Arc<Faults> = Arc::default();
    let store = FakeStore::new("state", faults.clone());
    let ledger = Ledger::new(store.clone(), started(1).environment, started(1).stack);
    (faults, store, ledger)
}

#[tokio::test]
async fn entry_whose_answer_was_lost_counts_as_written() {
    let (faults, _, ledger) = ledger();
    for (fault, written) in [(Fault::ErrorAfter, true), (Fault::ErrorBefore, false)] {
        let number = if written { 1 } else { 2 };
        faults.arm(Some((0, fault)));
        assert_eq!(ledger.begin(&started(number)).await.is_ok(), written, "{fault:?}");
        if written {
            faults.arm(Some((0, fault)));
            ledger.end(&ended(number)).await.unwrap();
        }
    }
    // Where nothing can be read either, the failure says what is not known.
    faults.arm(Some((0, Fault::CutAfter)));
    let failure = ledger.begin(&started(2)).await.unwrap_err();
    let detail = &failure.report().details[0];
    assert_eq!(detail.name, "not known");
    assert!(
        detail.value.starts_with("whether memory://state/ledger/echo/9999999997.started.json"),
        "{detail:?}"
    );
    faults.arm(None);
    ledger.begin(&started(2)).await.unwrap();
}

#[tokio::test]
async fn entry_of_another_deployment_is_refused_under_its_key() {
    let (_, store, ledger) = ledger();
    for number in [1, 2] {
        ledger.begin(&started(number)).await.unwrap();
        ledger.end(&ended(number)).await.unwrap();
    }
    let first = store.objects("ledger/echo/9999999998.ended.json").into_values().next().unwrap();
    let second = store.objects("ledger/echo/9999999997.ended.json").into_values().next().unwrap();
    store.set("ledger/echo/9999999997.ended.json", first);
    for failure in [ledger.head().await.unwrap_err(), ledger.history(9).await.unwrap_err()] {
        assert_eq!(failure.kind(), FailureKind::Refused);
        assert!(
            failure.message().ends_with(
                "says that it is deployment 1 of `echo` in local, and its key says 2 of `echo` in local"
            ),
            "{failure}"
        );
    }
    let other = String::from_utf8(second).unwrap().replace("\"stack\": \"echo\"", "\"stack\": \"other\"");
    store.set("ledger/echo/9999999997.ended.json", other);
    assert!(ledger.deployment(2).await.unwrap_err().message().contains("deployment 2 of `other`"));
}

#[tokio::test]
async fn end_that_is_missing_before_the_newest_deployment_is_refused() {
    let (_, store, ledger) = ledger();
    ledger.begin(&started(1)).await.unwrap();
    ledger.end(&ended(1)).await.unwrap();
    ledger.begin(&started(2)).await.unwrap();
    assert_eq!(ledger.head().await.unwrap().last.unwrap().deployment, 1);
    store.remove("ledger/echo/9999999998.ended.json");
    let failure = ledger.head().await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().contains("lacks the end of deployment 1"), "{failure}");
}
