//! The Runtime API of one instance: `next`, `response`, `error`, `init/error`.
//!
//! Each instance has a listener of its own, so that a `next` of one that was killed never takes another's event.
//! In: events from [`super::instance`]; out: what the runtime says. See
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>.

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

/// The longest answer of a function, in bytes.
pub(crate) const LONGEST_ANSWER: usize = 6_291_556;

/// One call, on its way to the function.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) payload: Bytes,
    pub(crate) limit: Duration,
    pub(crate) arn: String,
    pub(crate) trace: String,
    /// The client context, JSON.
    pub(crate) client_context: Option<String>,
}

/// What the runtime tells us.
#[derive(Debug)]
pub(crate) enum Word {
    /// It asked for its first event.
    Ready,
    /// It could not start; the error as JSON.
    InitError(Bytes),
    /// The function's answer.
    Response { id: String, body: Bytes },
    /// The function's error as JSON.
    Error { id: String, body: Bytes },
}

/// The running API; it ends with this value.
pub(crate) struct RuntimeApi {
    pub(crate) address: SocketAddr,
    pub(crate) events: mpsc::Sender<Event>,
    pub(crate) words: mpsc::Receiver<Word>,
    server: AbortHandle,
}

impl RuntimeApi {
    /// Listens on a free loopback port.
    pub(crate) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (event_sender, event_receiver) = mpsc::channel(1);
        let (word_sender, word_receiver) = mpsc::channel(8);
        let api = Arc::new(Api {
            events: AsyncMutex::new(event_receiver),
            words: word_sender,
            under_way: Mutex::new(UnderWay::default()),
        });
        let base = "/2018-06-01/runtime";
        let router = Router::new()
            .route(&format!("{base}/invocation/next"), get(next))
            .route(&format!("{base}/invocation/{{id}}/response"), post(response))
            .route(&format!("{base}/invocation/{{id}}/error"), post(error))
            .route(&format!("{base}/init/error"), post(init_error))
            .with_state(api);
        let server = tokio::spawn(axum::serve(listener, router).into_future()).abort_handle();
        Ok(Self { address, events: event_sender, words: word_receiver, server })
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Api {
    events: AsyncMutex<mpsc::Receiver<Event>>,
    words: mpsc::Sender<Word>,
    under_way: Mutex<UnderWay>,
}

#[derive(Default)]
struct UnderWay {
    ready: bool,
    id: Option<String>,
}

impl Api {
    /// Ends the invocation under way if it is the one named.
    fn ends(&self, id: &str) -> bool {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = under_way.id.as_deref() == Some(id);
        if ends {
            under_way.id = None;
        }
        ends
    }

    fn first(&self) -> bool {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        !std::mem::replace(&mut under_way.ready, true)
    }
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    if api.first() {
        let _ = api.words.send(Word::Ready).await;
    }
    let Some(event) = api.events.lock().await.recv().await else {
        return refusal(StatusCode::INTERNAL_SERVER_ERROR, "Stopping", "the instance is being stopped");
    };
    api.under_way.lock().unwrap_or_else(PoisonError::into_inner).id = Some(event.id.clone());
    let deadline =
        jiff::Timestamp::now().as_millisecond() + i64::try_from(event.limit.as_millis()).unwrap_or(0);
    let mut response = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("Lambda-Runtime-Aws-Request-Id", &event.id)
        .header("Lambda-Runtime-Deadline-Ms", deadline)
        .header("Lambda-Runtime-Invoked-Function-Arn", &event.arn)
        .header("Lambda-Runtime-Trace-Id", &event.trace);
    if let Some(context) = &event.client_context {
        response = response.header("Lambda-Runtime-Client-Context", context);
    }
    response.body(Body::from(event.payload)).unwrap_or_else(|_| {
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "InvalidHeader", "a header is malformed")
    })
}

async fn response(State(api): State<Arc<Api>>, Path(id): Path<String>, request: Request) -> Response {
    let body = match axum::body::to_bytes(request.into_body(), LONGEST_ANSWER).await {
        Ok(body) => body,
        Err(_) => {
            if api.ends(&id) {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({LONGEST_ANSWER} bytes)."
                );
                let body = json!({ "errorType": "Function.ResponseSizeTooLarge", "errorMessage": message });
                let _ = api.words.send(Word::Error { id, body: body.to_string().into() }).await;
            }
            let message = "the response is too long";
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message);
        }
    };
    if !api.ends(&id) {
        return unknown(&id);
    }
    let _ = api.words.send(Word::Response { id, body }).await;
    accepted()
}

async fn error(
    State(api): State<Arc<Api>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> Response {
    let body = error_body(&headers, request).await;
    if !api.ends(&id) {
        return unknown(&id);
    }
    let _ = api.words.send(Word::Error { id, body }).await;
    accepted()
}

async fn init_error(State(api): State<Arc<Api>>, headers: HeaderMap, request: Request) -> Response {
    let _ = api.words.send(Word::InitError(error_body(&headers, request).await)).await;
    accepted()
}

/// Takes the error as the runtime describes it, or makes one of the header that names its type.
async fn error_body(headers: &HeaderMap, request: Request) -> Bytes {
    let body = axum::body::to_bytes(request.into_body(), LONGEST_ANSWER).await.unwrap_or_default();
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

fn unknown(id: &str) -> Response {
    refusal(StatusCode::BAD_REQUEST, "InvalidRequestID", &format!("no invocation {id} is under way"))
}

fn refusal(status: StatusCode, kind: &str, message: &str) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json")];
    (status, headers, json!({ "errorType": kind, "errorMessage": message }).to_string()).into_response()
}
