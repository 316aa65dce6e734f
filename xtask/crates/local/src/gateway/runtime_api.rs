//! The Runtime API of one instance: `next`, `response`, `error`, `init/error`.
//!
//! Each instance has its own listener, so that a `next` of a killed instance cannot take another's invocation. In:
//! invocations from [`super::instance`]. Out: the runtime's messages.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio::task::AbortHandle;

/// The longest response of a function, in bytes.
pub(crate) const LONGEST_RESPONSE: usize = 6_291_556;

/// One invocation of a function.
#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    /// The request id.
    pub(crate) id: String,
    pub(crate) payload: Bytes,
    pub(crate) time_limit: Duration,
    pub(crate) arn: String,
    pub(crate) trace: String,
    /// The client context, JSON.
    pub(crate) client_context: Option<String>,
}

/// A message of the runtime.
#[derive(Debug)]
pub(crate) enum RuntimeMessage {
    /// It asked for its first invocation.
    Ready,
    /// It could not start; the error as JSON.
    InitError(Bytes),
    /// The function's response.
    Response { id: String, body: Bytes },
    /// The function's error as JSON.
    Error { id: String, body: Bytes },
}

/// The running API; it ends with this value.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    pub(crate) invocations: mpsc::Sender<Invocation>,
    pub(crate) messages: mpsc::Receiver<RuntimeMessage>,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Listens on a free loopback port.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (invocation_sender, invocation_receiver) = mpsc::channel(1);
        let (message_sender, message_receiver) = mpsc::channel(8);
        let api = Arc::new(Api {
            invocations: AsyncMutex::new(invocation_receiver),
            messages: message_sender,
            progress: Mutex::new(Progress::default()),
        });
        let base = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{base}/invocation/next"), get(next))
            .route(&format!("{base}/invocation/{{id}}/response"), post(response))
            .route(&format!("{base}/invocation/{{id}}/error"), post(error))
            .route(&format!("{base}/init/error"), post(init_error))
            .with_state(api);
        let server = tokio::spawn(axum::serve(listener, router).into_future()).abort_handle();
        Ok(Self { address, invocations: invocation_sender, messages: message_receiver, server })
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Api {
    invocations: AsyncMutex<mpsc::Receiver<Invocation>>,
    messages: mpsc::Sender<RuntimeMessage>,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    ready: bool,
    /// The id of the invocation that is running.
    running: Option<String>,
}

impl Api {
    /// Ends the running invocation; `false` if it has another id.
    fn end_invocation(&self, id: &str) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = progress.running.as_deref() == Some(id);
        if ends {
            progress.running = None;
        }
        ends
    }

    fn is_first_next(&self) -> bool {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut progress.ready, true)
    }
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    if api.is_first_next() {
        let _ = api.messages.send(RuntimeMessage::Ready).await;
    }
    let Some(invocation) = api.invocations.lock().await.recv().await else {
        return error_response(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Stopping",
            "the instance is being stopped",
        );
    };
    api.progress.lock().unwrap_or_else(PoisonError::into_inner).running = Some(invocation.id.clone());
    let deadline = jiff::Timestamp::now().as_millisecond()
        + i64::try_from(invocation.time_limit.as_millis()).unwrap_or(0);
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &invocation.id)
        .header("Lambda-Runtime-Deadline-Ms", deadline)
        .header("Lambda-Runtime-Invoked-Function-Arn", &invocation.arn)
        .header("Lambda-Runtime-Trace-Id", &invocation.trace);
    if let Some(context) = &invocation.client_context {
        response = response.header("Lambda-Runtime-Client-Context", context);
    }
    response.body(Body::from(invocation.payload)).unwrap_or_else(|_| {
        error_response(StatusCode::INTERNAL_SERVER_ERROR, "InvalidHeader", "a header is malformed")
    })
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, request: Request) -> Response {
    let body = match axum::body::to_bytes(request.into_body(), LONGEST_RESPONSE).await {
        Ok(body) => body,
        Err(_) => {
            if api.end_invocation(&id) {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({LONGEST_RESPONSE} bytes)."
                );
                let body = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
                let _ = api.messages.send(RuntimeMessage::Error { id, body: body.to_string().into() }).await;
            }
            let message = "the response is too long";
            return error_response(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message);
        }
    };
    if !api.end_invocation(&id) {
        return unknown_invocation(&id);
    }
    let _ = api.messages.send(RuntimeMessage::Response { id, body }).await;
    accepted()
}

async fn error(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let body = error_body(&headers, request).await;
    if !api.end_invocation(&id) {
        return unknown_invocation(&id);
    }
    let _ = api.messages.send(RuntimeMessage::Error { id, body }).await;
    accepted()
}

async fn init_error(State(api): State<Arc<Api>>, headers: HeaderMap, request: Request) -> Response {
    let _ = api.messages.send(RuntimeMessage::InitError(error_body(&headers, request).await)).await;
    accepted()
}

/// Returns the runtime's description of the error, or one with the error type of the header if there is none.
async fn error_body(headers: &HeaderMap, request: Request) -> Bytes {
    let body = axum::body::to_bytes(request.into_body(), LONGEST_RESPONSE).await.unwrap_or_default();
    if !body.is_empty() {
        return body;
    }
    let kind = headers.get("lambda-runtime-function-error-type").and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or("Runtime.Unknown");
    json!({ "errorType": kind, "errorMessage": "the runtime gave no message" }).to_string().into()
}

fn accepted() -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::ACCEPTED, headers, r#"{"status":"OK"}"#).into_response()
}

fn unknown_invocation(id: &str) -> Response {
    error_response(
        StatusCode::BAD_REQUEST,
        "InvalidRequestID",
        &format!("the invocation {id} is not running"),
    )
}

fn error_response(status: StatusCode, error_type: &str, message: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, json!({ "errorType": error_type, "errorMessage": message }).to_string()).into_response()
}
