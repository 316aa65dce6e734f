//! Calls to the emulator that the gateway makes on behalf of a client, as parts of one client's call.

use super::lambda_error::LambdaError;
use super::upstream::Upstream;
use crate::http::{self, BufferedResponse};
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};
use serde_json::Value;
use std::time::Duration;

/// The longest response of the emulator, in bytes.
const LONGEST: usize = 8 << 20;
const WITHIN: Duration = Duration::from_secs(30);

/// A client's call, and the emulator.
pub(super) struct ClientCall<'a> {
    upstream: &'a Upstream,
    headers: &'a HeaderMap,
    /// The path of the client's call.
    pub(super) path: &'a str,
}

impl<'a> ClientCall<'a> {
    pub(super) fn new(upstream: &'a Upstream, parts: &'a Parts) -> Self {
        Self { upstream, headers: &parts.headers, path: parts.uri.path() }
    }

    /// Sends a request to the emulator with the client's credential; an error response is an error.
    ///
    /// A change is the client's own request and keeps its signature. A read is signed again.
    pub(super) async fn send(
        &self,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<BufferedResponse, LambdaError> {
        let reads = method == Method::GET;
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in self.headers {
            let needed = [header::AUTHORIZATION, header::CONTENT_TYPE, header::HOST].contains(name);
            let of_the_body =
                [header::CONTENT_LENGTH, header::EXPECT, header::TRANSFER_ENCODING].contains(name);
            if needed || (!reads && !of_the_body && name != header::CONNECTION) {
                request = request.header(name, value);
            }
        }
        let request = request.body(()).map_err(|error| LambdaError::invalid_parameter(error.to_string()))?;
        let (mut parts, ()) = request.into_parts();
        if reads {
            self.upstream.resign(&mut parts, b"");
        }
        let request = Request::from_parts(parts, Body::from(body));
        let response = http::exchange(self.upstream.authority(), request, LONGEST, WITHIN).await?;
        match response.status.is_success() {
            true => Ok(response),
            false => Err(LambdaError::Emulator(Box::new(response))),
        }
    }

    /// Reads a JSON document.
    pub(super) async fn get_json(&self, target: &str) -> Result<Value, LambdaError> {
        let response = self.send(Method::GET, target, Bytes::new()).await?;
        serde_json::from_slice(&response.body).map_err(|error| {
            LambdaError::service(format!("The emulator's response to {target} is not JSON: {error}"))
        })
    }
}

/// Parses the JSON body of a request.
pub(super) fn parse_json(body: &[u8]) -> Result<Value, LambdaError> {
    serde_json::from_slice(body).map_err(|error| {
        LambdaError::invalid_content(format!("Could not parse request body into json: {error}"))
    })
}
