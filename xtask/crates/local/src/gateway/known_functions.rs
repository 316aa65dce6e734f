//! What the emulator said of aliases and published versions, so that a warm Invoke does not ask again.
//!
//! A published version never changes, and an alias only by a call that comes through the gateway. In: what
//! [`super::functions::resolve`] was told, and every request that may change a function. Out: the same again, until then.
//! Each access key knows its own, so that accounts see nothing of each other. Where the emulator is somebody else's, who may
//! change it behind our back or start it anew, nothing is known ever.

use super::Shared;
use super::forward::to_the_end;
use super::functions::{Alias, Version};
use super::scope::Scope;
use crate::emulator::Caller;
use crate::http;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All is forgotten once so much is known.
const MANY: usize = 4096;

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    access_key_id: String,
    region: String,
    function: String,
    /// An alias, or a version's number.
    qualifier: String,
}

impl Key {
    pub(super) fn new(caller: &Caller, function: &str, qualifier: &str) -> Self {
        Self {
            access_key_id: caller.access_key_id.clone(),
            region: caller.region.clone(),
            function: function.to_owned(),
            qualifier: qualifier.to_owned(),
        }
    }
}

/// When something was asked for: what was forgotten since must not be noted down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment(u64);

/// Aliases and published versions.
pub(crate) struct KnownFunctions {
    /// Whether all changes are seen.
    sole: bool,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    forgotten: u64,
    aliases: HashMap<Key, Arc<Alias>>,
    versions: HashMap<Key, Arc<Version>>,
}

impl KnownFunctions {
    /// Knows nothing yet; without `sole` it never will.
    pub(super) fn new(sole: bool) -> Self {
        Self { sole, known: Mutex::default() }
    }

    /// Tells the time for what is about to be asked.
    pub(super) fn now(&self) -> Moment {
        Moment(self.lock().forgotten)
    }

    /// Finds an alias.
    pub(super) fn alias(&self, key: &Key) -> Option<Arc<Alias>> {
        self.lock().aliases.get(key).cloned()
    }

    /// Finds a published version.
    pub(super) fn version(&self, key: &Key) -> Option<Arc<Version>> {
        self.lock().versions.get(key).cloned()
    }

    /// Notes down an alias as it was at a moment.
    pub(super) fn note_alias(&self, asked: Moment, key: Key, alias: &Arc<Alias>) {
        self.note(asked, |known| known.aliases.insert(key, Arc::clone(alias)).is_none());
    }

    /// Notes down a published version as it was at a moment.
    pub(super) fn note_version(&self, asked: Moment, key: Key, version: &Arc<Version>) {
        self.note(asked, |known| known.versions.insert(key, Arc::clone(version)).is_none());
    }

    fn note(&self, asked: Moment, insert: impl FnOnce(&mut Known) -> bool) {
        let mut known = self.lock();
        if !self.sole || known.forgotten != asked.0 {
            return;
        }
        if known.aliases.len() + known.versions.len() >= MANY {
            known.aliases.clear();
            known.versions.clear();
        }
        insert(&mut known);
    }

    fn forget(&self, change: &Change) {
        let mut known = self.lock();
        known.forgotten += 1;
        let stays = |key: &Key| matches!(change, Change::Function(name) if key.function != *name);
        known.aliases.retain(|key, _| stays(key));
        known.versions.retain(|key, _| stays(key));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request may change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// The functions of this name, of whatever account.
    Function(String),
    All,
}

/// Lets a request through, and forgets what it may have changed before anybody is told.
pub(super) async fn watch(State(gateway): Shared, request: Request, next: Next) -> Response {
    let Some(change) = change(&request) else {
        return next.run(request).await;
    };
    // A client that goes away does not stop the change.
    let work = async move {
        let answer = next.run(request).await;
        if change == Change::All {
            gateway.accounts.forget().await;
        }
        gateway.known_functions.forget(&change);
        answer
    };
    to_the_end(work).await
}

fn change(request: &Request) -> Option<Change> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let parts: Vec<&str> = request.uri().path().split('/').collect();
    match parts.as_slice() {
        ["", "moto-api", ..] => Some(Change::All),
        ["", _, "functions", _, "invocations", ..] => None,
        ["", _, "functions", name, ..] => {
            let name = http::decode_path(name);
            match super::functions::FunctionName::parse(&name, None) {
                Ok(function) => Some(Change::Function(function.name)),
                Err(_) => Some(Change::All),
            }
        }
        ["", ""] => {
            let scope = Scope::of(request.headers(), request.uri())?;
            (scope.service == "cloudformation").then_some(Change::All)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn alias(version: &str) -> Arc<Alias> {
        Arc::new(serde_json::from_str(&format!(r#"{{"FunctionVersion":"{version}"}}"#)).unwrap())
    }

    fn key(access_key: &str, function: &str) -> Key {
        let caller = Caller {
            authority: String::new(),
            access_key_id: access_key.to_owned(),
            region: "eu-central-1".to_owned(),
            credential: None,
        };
        Key::new(&caller, function, "live")
    }

    #[test]
    fn what_was_asked_before_a_change_is_not_noted_down_after_it() {
        let known = KnownFunctions::new(true);
        let asked = known.now();
        known.note_alias(asked, key("a", "f"), &alias("1"));
        known.note_alias(asked, key("a", "g"), &alias("1"));
        assert!(known.alias(&key("a", "f")).is_some());
        assert!(known.alias(&key("b", "f")).is_none());
        let asked = known.now();
        known.forget(&Change::Function("f".to_owned()));
        known.note_alias(asked, key("a", "f"), &alias("1"));
        assert!(known.alias(&key("a", "f")).is_none());
        assert!(known.alias(&key("a", "g")).is_some());
        known.note_alias(known.now(), key("a", "f"), &alias("2"));
        assert!(known.alias(&key("a", "f")).is_some());
        known.forget(&Change::All);
        assert!(known.alias(&key("a", "g")).is_none());
    }

    #[test]
    fn nothing_is_known_of_an_emulator_that_others_change() {
        let known = KnownFunctions::new(false);
        known.note_alias(known.now(), key("a", "f"), &alias("1"));
        assert!(known.alias(&key("a", "f")).is_none());
    }

    #[test]
    fn every_request_that_may_change_a_function_is_known() {
        let change = |method: &str, uri: &str, service: &str| {
            let scope = format!("AWS4-HMAC-SHA256 Credential=K/20260101/eu-central-1/{service}/aws4_request");
            let request = Request::builder().method(method).uri(uri).header("authorization", scope);
            change(&request.body(Body::empty()).unwrap())
        };
        let function = || Some(Change::Function("f".to_owned()));
        let functions = "/2015-03-31/functions";
        assert_eq!(change("PUT", &format!("{functions}/f/aliases/live"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f/"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f?Qualifier=1"), "lambda"), function());
        let arn = "arn%3Aaws%3Alambda%3Aeu-central-1%3A111111111111%3Afunction%3Af";
        assert_eq!(change("DELETE", &format!("{functions}/{arn}"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f%2Fg"), "lambda"), Some(Change::All));
        assert_eq!(change("GET", &format!("{functions}/f"), "lambda"), None);
        assert_eq!(change("POST", &format!("{functions}/f/invocations"), "lambda"), None);
        assert_eq!(change("POST", functions, "lambda"), None);
        assert_eq!(change("POST", "/moto-api/reset", "lambda"), Some(Change::All));
        assert_eq!(change("POST", "/", "cloudformation"), Some(Change::All));
        assert_eq!(change("POST", "/", "dynamodb"), None);
    }
}
