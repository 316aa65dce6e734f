//! The function's program, built with the feature `opentelemetry`, against a Runtime API and a collector on loopback.

#![expect(clippy::unwrap_used, reason = "what fails here fails its test, in helpers as well")]
#![expect(clippy::disallowed_methods, reason = "the program under test is started here")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::{Value, json};

const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const CALLER: &str = "53995c3f42cd8ad8";
const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
const KEY: &str = "a-key-that-nobody-may-read";
const LONG: Duration = Duration::from_secs(60);

/// One request that a server got: method, path, body.
type Request = (String, String, Vec<u8>);

/// Serves on loopback with one thread for each connection. `answer` gets method and path; without one the connection is kept open.
fn serve(
    answer: impl Fn(&str, &str) -> Option<String> + Clone + Send + 'static,
) -> (String, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (sender, answer) = (sender.clone(), answer.clone());
            thread::spawn(move || converse(&stream.unwrap(), &sender, &answer));
        }
    });
    (address, receiver)
}

fn converse(stream: &TcpStream, sender: &Sender<Request>, answer: &impl Fn(&str, &str) -> Option<String>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut words = line.split(' ');
        let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        let mut length = 0;
        loop {
            let mut header = String::new();
            reader.read_line(&mut header).unwrap();
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if header == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let response = answer(&method, &path);
        // The test may have ended.
        let _ = sender.send((method, path, body));
        match response {
            Some(response) => (&mut &*stream).write_all(response.as_bytes()).unwrap(),
            None => thread::sleep(LONG),
        }
    }
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

/// The program, which ends with the test.
struct Function {
    child: Child,
    calls: Receiver<Request>,
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Function {
    /// Starts the function with one event; `collector` is what the environment names.
    fn start(collector: Option<&str>) -> Self {
        let event = json!({
            "version": "2.0", "rawPath": "/api/projects/shop/traces", "rawQueryString": "",
            "headers": { "x-api-key": KEY }, "requestContext": { "http": { "method": "GET" } },
        });
        let once = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
        let (api, calls) = serve(move |method, _| {
            match method {
            "GET" => once.swap(false, std::sync::atomic::Ordering::SeqCst).then(|| {
                let headers = format!(
                    "lambda-runtime-aws-request-id: request-1\r\nlambda-runtime-deadline-ms: 9999999999999\r\nlambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:222222222222:function:tracer\r\nlambda-runtime-trace-id: {XRAY}\r\n"
                );
                ok(&headers, &event.to_string())
            }),
            _ => Some("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()),
        }
        });
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tracer"));
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "shop-tracer")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "7")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "key")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL", format!("http://{closed}"))
            .env("TRACES_TABLE", "traces")
            .env("SPANS_TABLE", "spans")
            .env("API_KEYS_SECRET", "keys")
            .stdout(Stdio::piped());
        if let Some(collector) = collector {
            command.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector);
        }
        Self { child: command.spawn().unwrap(), calls }
    }

    /// Waits until the event is answered and Lambda is asked for the next one; returns the answer.
    fn answer(&self) -> Value {
        let mut answer = None;
        loop {
            let (method, path, body) = self.calls.recv_timeout(LONG).expect("the function asks Lambda");
            if path.ends_with("/request-1/response") {
                answer = Some(serde_json::from_slice(&body).unwrap());
            } else if let (Some(answer), "GET") = (&answer, method.as_str()) {
                return Value::clone(answer);
            }
        }
    }

    /// Ends the function; returns its log.
    fn log(mut self) -> String {
        self.child.kill().unwrap();
        let mut log = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

fn spans(body: &[u8]) -> (String, Vec<Span>) {
    let request = ExportTraceServiceRequest::decode(body).expect("OTLP in protobuf");
    let mut resources = request.resource_spans.into_iter();
    let one = resources.next().expect("what the service did");
    assert!(resources.next().is_none());
    let resource = format!("{:?}", one.resource);
    (resource, one.scope_spans.into_iter().flat_map(|scope| scope.spans).collect())
}

#[test]
fn event_is_a_span_in_the_callers_trace_and_calls_of_aws_are_spans_in_it() {
    let (collector, received) = serve(|_, _| Some(ok("", "")));
    let function = Function::start(Some(&format!("http://{collector}")));
    assert_eq!(function.answer()["statusCode"], 503);

    let (method, path, body) = received.recv_timeout(LONG).expect("the spans");
    assert_eq!((method.as_str(), path.as_str()), ("POST", "/v1/traces"));
    let (resource, spans) = spans(&body);
    assert!(resource.contains("shop-tracer"), "{resource}");
    let named = |name: &str| {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:#?}"))
    };
    let (event, call) = (named("shop-tracer"), named("SecretsManager.GetSecretValue"));
    for span in &spans {
        assert_eq!(hex::encode(&span.trace_id), TRACE, "{}", span.name);
    }
    assert_eq!(hex::encode(&event.parent_span_id), CALLER);
    // From the call up to the event.
    let mut above = call;
    while above.parent_span_id != event.span_id {
        let parent = &above.parent_span_id;
        above = spans.iter().find(|span| span.span_id == *parent).expect("a span above the call");
    }
    let text = format!("{spans:?}");
    assert!(text.contains("answered") && text.contains("request-1"), "{text}");
    assert!(!text.contains(KEY), "{text}");
}

#[test]
fn event_is_answered_without_a_collector_and_the_log_says_what_is_wrong_with_one() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (collector, says) in [
        (None, None),
        (
            Some("https://collector.example".to_owned()),
            Some("no traces: OTEL_EXPORTER_OTLP_ENDPOINT is no http:// address"),
        ),
        (Some(format!("http://{closed}")), Some("traces were not sent")),
    ] {
        let function = Function::start(collector.as_deref());
        assert_eq!(function.answer()["statusCode"], 503, "{collector:?}");
        let log = function.log();
        let answered = log.lines().find(|line| line.contains("\"message\":\"answered\"")).expect("a line");
        assert!(answered.contains("\"requestId\":\"request-1\""), "{collector:?}: {answered}");
        match says {
            Some(says) => assert!(log.contains(says), "{collector:?}: {log}"),
            None => assert!(!log.contains("no traces") && !log.contains("traces were"), "{log}"),
        }
    }
}
