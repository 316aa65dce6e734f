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

/// Writes deployments one after the other, each with the digest of the one before.
async fn chained(ledger: &Ledger, count: u64) {
    for number in 1..=count {
        let last = ledger.head().await.unwrap().last;
        let previous = last.and_then(|last| last.stored.0);
        assert_eq!(previous.is_some(), number > 1);
        let started = Started { previous, ..started(number) };
        ledger.begin(&started).await.unwrap();
        let time = jiff::Timestamp::UNIX_EPOCH;
        ledger.end(&Ended::of(&started, None, DeploymentOutcome::Verified, time)).await.unwrap();
    }
}

#[tokio::test]
async fn entry_that_was_changed_or_removed_since_the_next_deployment_is_named() {
    let (_, store, ledger) = ledger();
    chained(&ledger, 3).await;
    assert_eq!(ledger.history(9).await.unwrap().len(), 3);
    let key = "ledger/echo/9999999997.ended.json";
    let bytes = store.objects(key).remove(key).unwrap();
    let edited = String::from_utf8(bytes.clone()).unwrap().replace("\"by\": \"", "\"by\": \"not ");
    store.set(key, edited);
    let failure = ledger.history(9).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(
        failure.message(),
        "the ledger of `echo` in local is broken: the end of deployment 2 was changed since deployment 3 began"
    );
    assert!(failure.report().details[0].value.ends_with(key));
    let (history, broken) = ledger.examined_history(9).await.unwrap();
    assert_eq!((history.len(), broken.len(), broken[0].deployment), (3, 1, 3), "it can be shown");
    store.remove(key);
    let failure = ledger.history(9).await.unwrap_err();
    assert!(failure.message().ends_with("the end of deployment 2 is missing since deployment 3 began"));
    store.set(key, bytes);
    ledger.history(9).await.unwrap();
    // A deployment that is open has seen the one before as well.
    let last = ledger.head().await.unwrap().last.unwrap();
    ledger.begin(&Started { previous: last.stored.0, ..started(4) }).await.unwrap();
    ledger.head().await.unwrap();
    let key = "ledger/echo/9999999996.ended.json";
    let text = String::from_utf8(store.objects(key).remove(key).unwrap()).unwrap();
    store.set(key, text.replace("\"by\": \"", "\"by\": \"not "));
    assert!(
        ledger.head().await.unwrap_err().message().contains("deployment 3 was changed since deployment 4")
    );
}

#[tokio::test]
async fn entries_of_before_there_was_a_chain_are_read() {
    let (_, _, ledger) = ledger();
    for number in [1, 2] {
        ledger.begin(&started(number)).await.unwrap();
        ledger.end(&ended(number)).await.unwrap();
    }
    let last = ledger.head().await.unwrap().last.unwrap();
    let third = Started { previous: last.stored.0, ..started(3) };
    ledger.begin(&third).await.unwrap();
    let time = jiff::Timestamp::UNIX_EPOCH;
    ledger.end(&Ended::of(&third, None, DeploymentOutcome::Verified, time)).await.unwrap();
    assert_eq!(ledger.history(9).await.unwrap().len(), 3);
}

#[tokio::test]
async fn keys_that_are_no_entries_hide_none() {
    let (_, store, ledger) = ledger();
    chained(&ledger, 2).await;
    let foreign = [
        "ledger/echo/!.tflock",
        "ledger/echo/!0.ended.json",
        "ledger/echo/0000000000.json",
        "ledger/echo/00000000001.ended.json",
        "ledger/echo/0000000001.ended.json.tflock",
        "ledger/echo/+000000001.ended.json",
    ];
    for key in foreign {
        store.set(key, "{}");
    }
    let head = ledger.head().await.unwrap();
    assert_eq!(head.last.unwrap().deployment, 2);
    assert_eq!(head.ignored.len(), foreign.len(), "{:?}", head.ignored);
    assert_eq!(ledger.history(9).await.unwrap().len(), 2);
    assert!(ledger.written().await.unwrap().is_some());
    assert_eq!(ledger.stored_entries().await.unwrap().len(), 4);
    ledger.begin(&started(3)).await.unwrap();
    assert_eq!(ledger.head().await.unwrap().open.unwrap().deployment, 3);
}
