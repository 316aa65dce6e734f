//! Traces of OpenTelemetry, sent to a collector that runs beside the function, as a layer does.
//!
//! In: the [standard variables](https://opentelemetry.io/docs/specs/otel/protocol/exporter/): `OTEL_EXPORTER_OTLP_ENDPOINT`, without
//! which nothing is traced, `OTEL_SERVICE_NAME`, else the function's name, `OTEL_TRACES_SAMPLER`. Out: a span for each event,
//! in the trace that X-Ray's header of the event names, with the spans of the function in it and its log lines as events. Goes
//! wrong: a collector that does not answer within a second costs the event that second, after its answer was sent.

use std::task;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use lambda_runtime::layers::{OpenTelemetryFaasTrigger, OpenTelemetryLayer};
use lambda_runtime::tower::{Layer, Service};
use lambda_runtime::tracing::subscriber::layer::SubscriberExt as _;
use lambda_runtime::tracing::subscriber::registry::LookupSpan;
use lambda_runtime::tracing::subscriber::util::SubscriberInitExt as _;
use lambda_runtime::tracing::{Subscriber, error};
use lambda_runtime::{Context as Invocation, LambdaInvocation};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_aws::trace::XrayPropagator;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// How long the collector may take.
const PATIENCE: Duration = Duration::from_secs(1);

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// What makes spans and sends them.
pub(crate) struct Traces(SdkTracerProvider);

/// Starts log lines, and traces if a collector is named.
#[expect(
    clippy::disallowed_methods,
    reason = "variables of OpenTelemetry and Lambda, as their specifications name them"
)]
pub(crate) fn start<S>(lines: S) -> Option<Traces>
where
    S: Subscriber + Send + Sync + for<'span> LookupSpan<'span>,
{
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    let Some(endpoint) = variable(ENDPOINT) else {
        lines.init();
        return None;
    };
    let mut resource = Resource::builder();
    if let (None, Some(name)) = (variable("OTEL_SERVICE_NAME"), variable("AWS_LAMBDA_FUNCTION_NAME")) {
        resource = resource.with_service_name(name);
    }
    let made = SpanExporter::builder().with_http().with_http_client(Collector::new()).build();
    let exporter = match made {
        Ok(exporter) if endpoint.starts_with("http://") => exporter,
        made => {
            lines.init();
            match made {
                Ok(_) => error!(
                    "no traces: {ENDPOINT} is no http:// address; the collector runs beside the function"
                ),
                Err(why) => error!("no traces: {why}"),
            }
            return None;
        }
    };
    let provider =
        SdkTracerProvider::builder().with_resource(resource.build()).with_batch_exporter(exporter).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("function-log"));
    lines.with(layer).init();
    Some(Traces(provider))
}

impl Traces {
    /// Makes a span for each event and sends what there is when the event is done: Lambda may stop the process after it.
    pub(crate) fn spans(&self) -> OpenTelemetryLayer<impl Fn() + Clone + use<>> {
        let provider = self.0.clone();
        let flush = move || {
            if let Err(why) = provider.force_flush() {
                error!("traces were not sent: {why}");
            }
        };
        OpenTelemetryLayer::new(flush).with_trigger(OpenTelemetryFaasTrigger::Http)
    }

    /// Lets the span of an event belong to the trace that called the function.
    pub(crate) fn parents(&self) -> Parents {
        Parents
    }
}

/// The layer around the one that makes spans.
pub(crate) struct Parents;

impl<S> Layer<S> for Parents {
    type Service = InParent<S>;

    fn layer(&self, inner: S) -> InParent<S> {
        InParent(inner)
    }
}

pub(crate) struct InParent<S>(S);

impl<S: Service<LambdaInvocation>> Service<LambdaInvocation> for InParent<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, invocation: LambdaInvocation) -> S::Future {
        // The inner service makes its span before it returns.
        let _parent = XrayPropagator::new()
            .extract_with_context(&Context::new(), &Header(&invocation.context))
            .attach();
        self.0.call(invocation)
    }
}

/// X-Ray's header, which Lambda gives beside the event.
struct Header<'a>(&'a Invocation);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        key.eq_ignore_ascii_case("x-amzn-trace-id").then_some(self.0.xray_trace_id.as_deref()).flatten()
    }

    fn keys(&self) -> Vec<&str> {
        vec!["x-amzn-trace-id"]
    }
}

/// Sends to the collector. It blocks, and runs on the thread of the exporter alone.
#[derive(Debug)]
struct Collector(ureq::Agent);

impl Collector {
    fn new() -> Self {
        Self(
            ureq::Agent::config_builder()
                .timeout_global(Some(PATIENCE))
                .http_status_as_error(false)
                .build()
                .into(),
        )
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let response = self.0.run(Request::from_parts(parts, body.as_ref()))?;
        let (parts, mut body) = response.into_parts();
        Ok(Response::from_parts(parts, body.read_to_vec()?.into()))
    }
}
