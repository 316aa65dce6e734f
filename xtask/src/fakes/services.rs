//! The other services of an account in memory: secrets, and HTTP requests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::FakeLambda;
use crate::failure::{Failure, Result};
use crate::ports::{HttpRequest, HttpResponse, Resource, Services};

/// A request, and the service that it was signed for.
pub(crate) type Sent = (HttpRequest, Option<String>);

/// Secrets by id, scripted responses, and the requests that were sent.
#[derive(Clone, Default)]
pub(crate) struct FakeServices {
    /// The text of each secret.
    pub(crate) secrets: Arc<Mutex<BTreeMap<String, String>>>,
    /// The locks in tables, by `table: bucket/key`.
    pub(crate) locks: Arc<Mutex<BTreeMap<String, String>>>,
    /// The responses to return, in order.
    pub(crate) responses: Arc<Mutex<Vec<HttpResponse>>>,
    /// The secrets that were hidden in the log.
    pub(crate) hidden: Arc<Mutex<Vec<String>>>,
    /// The requests that were sent, with the service that each was signed for.
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
    /// The functions that exist.
    pub(crate) lambda: Option<Arc<FakeLambda>>,
}

#[async_trait]
impl Services for FakeServices {
    async fn existing(&self, resource: &Resource) -> Result<Option<String>> {
        let Some(lambda) = &self.lambda else { return Ok(None) };
        Ok(match resource {
            Resource::Function(name) => lambda.latest(name).map(|_| name.clone()),
            Resource::FunctionAlias { function, alias } => {
                lambda.serving(function).map(|_| format!("{function}/{alias}"))
            }
            _ => None,
        })
    }

    async fn state_lock(&self, table: &str, state: &str) -> Result<Option<String>> {
        Ok(self.locks.lock().unwrap().get(&format!("{table}: {state}")).cloned())
    }

    async fn secret(&self, id: &str) -> Result<Option<String>> {
        Ok(self.secrets.lock().unwrap().get(id).cloned())
    }

    fn hide_secret(&self, secret: &str) {
        self.hidden.lock().unwrap().push(secret.to_owned());
    }

    async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        _within: Duration,
    ) -> Result<HttpResponse> {
        self.sent.lock().unwrap().push((request.clone(), sign_for.map(str::to_owned)));
        let mut responses = self.responses.lock().unwrap();
        if responses.is_empty() {
            Err(Failure::failed("no response is scripted"))
        } else {
            Ok(responses.remove(0))
        }
    }
}
