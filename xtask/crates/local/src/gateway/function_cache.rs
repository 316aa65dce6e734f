//! A cache of aliases and published versions, so that a warm Invoke does not ask the emulator.
//!
//! A published version never changes, and an alias only through this gateway. In: what
//! [`super::function_lookup`] fetched, and every request that may change a function. Out: the same, until such a request.
//! Entries are kept by access key, so that accounts see nothing of each other. If the emulator is shared, others may change
//! it without this gateway, and nothing is cached.

use super::accounts::Accounts;
use super::function_name::FunctionName;
use super::function_version::{Alias, FunctionVersion};
use super::scope::CredentialScope;
use super::upstream::run_to_completion;
use crate::emulator::Caller;
use crate::http;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The cache is emptied when it has this many entries.
const MOST_ENTRIES: usize = 4096;

/// Who asked for which alias or version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct CacheKey {
    access_key_id: String,
    region: String,
    function: String,
    /// An alias, or a version's number.
    qualifier: String,
}

impl CacheKey {
    pub(super) fn new(caller: &Caller, function: &str, qualifier: &str) -> Self {
        Self {
            access_key_id: caller.access_key_id.clone(),
            region: caller.region.clone(),
            function: function.to_owned(),
            qualifier: qualifier.to_owned(),
        }
    }
}

/// The state of the cache when a value was requested; a value from before an invalidation is not inserted after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation(u64);

/// Aliases and published versions.
pub(crate) struct FunctionCache {
    enabled: bool,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    invalidations: u64,
    aliases: HashMap<CacheKey, Arc<Alias>>,
    versions: HashMap<CacheKey, Arc<FunctionVersion>>,
}

impl FunctionCache {
    /// Makes an empty cache; it stays empty unless it is `enabled`.
    pub(super) fn new(enabled: bool) -> Self {
        Self { enabled, entries: Mutex::default() }
    }

    /// Returns the current generation, to be taken before a value is fetched.
    pub(super) fn generation(&self) -> Generation {
        Generation(self.lock().invalidations)
    }

    /// Returns a cached alias.
    pub(super) fn alias(&self, key: &CacheKey) -> Option<Arc<Alias>> {
        self.lock().aliases.get(key).cloned()
    }

    /// Returns a cached version.
    pub(super) fn version(&self, key: &CacheKey) -> Option<Arc<FunctionVersion>> {
        self.lock().versions.get(key).cloned()
    }

    /// Inserts an alias that was requested in a generation.
    pub(super) fn insert_alias(&self, requested: Generation, key: CacheKey, alias: &Arc<Alias>) {
        self.insert(requested, |entries| entries.aliases.insert(key, Arc::clone(alias)).is_none());
    }

    /// Inserts a published version that was requested in a generation.
    pub(super) fn insert_version(
        &self,
        requested: Generation,
        key: CacheKey,
        version: &Arc<FunctionVersion>,
    ) {
        self.insert(requested, |entries| entries.versions.insert(key, Arc::clone(version)).is_none());
    }

    fn insert(&self, requested: Generation, insert: impl FnOnce(&mut Entries) -> bool) {
        let mut entries = self.lock();
        if !self.enabled || entries.invalidations != requested.0 {
            return;
        }
        if entries.aliases.len() + entries.versions.len() >= MOST_ENTRIES {
            entries.aliases.clear();
            entries.versions.clear();
        }
        insert(&mut entries);
    }

    fn invalidate(&self, change: &Change) {
        let mut entries = self.lock();
        entries.invalidations += 1;
        let stays = |key: &CacheKey| matches!(change, Change::Function(name) if key.function != *name);
        entries.aliases.retain(|key, _| stays(key));
        entries.versions.retain(|key, _| stays(key));
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a request may change.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    /// The functions with this name, in all accounts.
    Function(String),
    Everything,
}

/// Passes a request on and invalidates what it may have changed, before the client gets the response.
pub(super) async fn invalidate_on_change(
    State((cache, accounts)): State<(Arc<FunctionCache>, Arc<Accounts>)>,
    request: Request,
    next: Next,
) -> Response {
    let Some(change) = change_of(&request) else {
        return next.run(request).await;
    };
    // The change happens even if the client disconnects.
    let work = async move {
        let response = next.run(request).await;
        if change == Change::Everything {
            accounts.forget().await;
        }
        cache.invalidate(&change);
        response
    };
    run_to_completion(work).await
}

fn change_of(request: &Request) -> Option<Change> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return None;
    }
    let parts: Vec<&str> = request.uri().path().split('/').collect();
    match parts.as_slice() {
        ["", "moto-api", ..] => Some(Change::Everything),
        ["", _, "functions", _, "invocations", ..] => None,
        ["", _, "functions", name, ..] => {
            let name = http::decode_path(name);
            match FunctionName::parse(&name, None) {
                Ok(function) => Some(Change::Function(function.name)),
                Err(_) => Some(Change::Everything),
            }
        }
        ["", ""] => {
            let scope = CredentialScope::of(request.headers(), request.uri())?;
            (scope.service == "cloudformation").then_some(Change::Everything)
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

    fn key(access_key: &str, function: &str) -> CacheKey {
        let caller = Caller {
            authority: String::new(),
            access_key_id: access_key.to_owned(),
            region: "eu-central-1".to_owned(),
            credential: None,
        };
        CacheKey::new(&caller, function, "live")
    }

    #[test]
    fn value_from_before_a_change_is_not_cached_after_it() {
        let cache = FunctionCache::new(true);
        let requested = cache.generation();
        cache.insert_alias(requested, key("a", "f"), &alias("1"));
        cache.insert_alias(requested, key("a", "g"), &alias("1"));
        assert!(cache.alias(&key("a", "f")).is_some());
        assert!(cache.alias(&key("b", "f")).is_none());
        let requested = cache.generation();
        cache.invalidate(&Change::Function("f".to_owned()));
        cache.insert_alias(requested, key("a", "f"), &alias("1"));
        assert!(cache.alias(&key("a", "f")).is_none());
        assert!(cache.alias(&key("a", "g")).is_some());
        cache.insert_alias(cache.generation(), key("a", "f"), &alias("2"));
        assert!(cache.alias(&key("a", "f")).is_some());
        cache.invalidate(&Change::Everything);
        assert!(cache.alias(&key("a", "g")).is_none());
    }

    #[test]
    fn cache_of_a_shared_emulator_stays_empty() {
        let cache = FunctionCache::new(false);
        cache.insert_alias(cache.generation(), key("a", "f"), &alias("1"));
        assert!(cache.alias(&key("a", "f")).is_none());
    }

    #[test]
    fn requests_that_may_change_a_function_are_recognized() {
        let change = |method: &str, uri: &str, service: &str| {
            let scope = format!("AWS4-HMAC-SHA256 Credential=K/20260101/eu-central-1/{service}/aws4_request");
            let request = Request::builder().method(method).uri(uri).header("authorization", scope);
            change_of(&request.body(Body::empty()).unwrap())
        };
        let function = || Some(Change::Function("f".to_owned()));
        let functions = "/2015-03-31/functions";
        assert_eq!(change("PUT", &format!("{functions}/f/aliases/live"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f/"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f?Qualifier=1"), "lambda"), function());
        let arn = "arn%3Aaws%3Alambda%3Aeu-central-1%3A111111111111%3Afunction%3Af";
        assert_eq!(change("DELETE", &format!("{functions}/{arn}"), "lambda"), function());
        assert_eq!(change("DELETE", &format!("{functions}/f%2Fg"), "lambda"), Some(Change::Everything));
        assert_eq!(change("GET", &format!("{functions}/f"), "lambda"), None);
        assert_eq!(change("POST", &format!("{functions}/f/invocations"), "lambda"), None);
        assert_eq!(change("POST", functions, "lambda"), None);
        assert_eq!(change("POST", "/moto-api/reset", "lambda"), Some(Change::Everything));
        assert_eq!(change("POST", "/", "cloudformation"), Some(Change::Everything));
        assert_eq!(change("POST", "/", "dynamodb"), None);
    }
}
