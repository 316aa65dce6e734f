//! What else an account answers, in memory: secrets, and what is sent to addresses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use crate::failure::{Failure, Result};
use crate::ports::{HttpAnswer, HttpRequest, Services};

/// A request, and the service that it was signed for.
pub(crate) type Sent = (HttpRequest, Option<String>);

/// Secrets by id, answers to be given in their order, and what was sent.
#[derive(Clone, Default)]
pub(crate) struct FakeServices {
    /// The text of each secret.
    pub(crate) secrets: Arc<Mutex<BTreeMap<String, String>>>,
    /// Answers, the next one first.
    pub(crate) answers: Arc<Mutex<Vec<HttpAnswer>>>,
    /// What was sent, with the service that it was signed for.
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
}

#[async_trait]
impl Services for FakeServices {
    async fn secret(&self, id: &str) -> Result<Option<String>> {
        Ok(self.secrets.lock().unwrap().get(id).cloned())
    }

    async fn send(
        &self,
        request: &HttpRequest,
        sign_for: Option<&str>,
        _within: Duration,
    ) -> Result<HttpAnswer> {
        self.sent.lock().unwrap().push((request.clone(), sign_for.map(str::to_owned)));
        let mut answers = self.answers.lock().unwrap();
        if answers.is_empty() { Err(Failure::failed("nobody answers")) } else { Ok(answers.remove(0)) }
    }
}
