//! The endpoint of the local environment: the emulator's, stricter where releases depend on it, and a Lambda that runs
//! what was published.
//!
//! In: the HTTP APIs of all services, and requests to function URLs and HTTP APIs. An Invoke is answered by running the
//! artifact from the store, checked against the function's CodeSha256, with the configuration that the emulator holds for
//! the version. Streams feed functions as event source mappings say. Conditions and digests of S3's writes, conditions of
//! DynamoDB's, and what Lambda promises of aliases, hold here though the emulator does not keep them. Every other request
//! goes to the emulator as it is. Out: what the cloud would answer. What can go wrong is answered as the service's
//! errors; [`serve`] itself fails only when it cannot listen or write to its folders.

mod accounts;
mod aliases;
mod code;
mod cors;
mod dead_letters;
mod event_sources;
mod forward;
mod front;
mod function_urls;
mod functions;
mod http_apis;
mod id;
mod image;
mod image_functions;
mod image_launch;
mod instance;
mod invoke;
mod isolation;
mod kept;
mod known_functions;
mod known_images;
mod launch;
mod layer;
mod locks;
mod log_stream;
mod objects;
mod output;
mod pool;
mod python;
mod refusal;
mod root_file_system;
mod runtime_api;
mod scope;
mod signature;
mod spool;
mod streams;
mod tables;
mod tree;
mod unreachable;

pub use python::{Interpreter, find_python, link_python, places_of_python};

use crate::http::{self, HttpError};
use crate::registry::{self, Registry};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware;
use axum::response::Response;
use axum::routing::{any, get, post, put};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The one path that the gateway answers about itself.
pub const HEALTH_PATH: &str = "/_slipway/health";

/// How long answers under way may take once the gateway is told to stop.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// How a gateway is set up; a JSON file on its way from the keeper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes any free one.
    pub listen: SocketAddr,
    /// The emulator: `http://host:port`.
    pub emulator_url: String,
    /// The bucket that holds `artifacts/sha256/<hex>.zip`.
    pub store_bucket: String,
    /// Where artifacts and images are unpacked, each once.
    pub work_folder: PathBuf,
    /// Where the registry keeps images, of all accounts, for one life of the emulator.
    pub registry_folder: PathBuf,
    /// Where `<function>.log` is written.
    pub log_folder: PathBuf,
    /// A file that gets `host:port` as soon as the gateway listens.
    #[serde(default)]
    pub ready_file: Option<PathBuf>,
    /// Whether the emulator is the keeper's own, so that nobody changes it but by way of this gateway.
    #[serde(default)]
    pub sole: bool,
    /// The keeper's folder: marks the functions' processes, so that the keeper finds those left behind.
    #[serde(default)]
    pub kept_in: Option<PathBuf>,
}

impl GatewayConfig {
    /// Reads a configuration file.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = std::fs::read(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        serde_json::from_slice(&bytes).map_err(|source| Error::Config { path: path.to_owned(), source })
    }
}

/// What keeps a gateway from serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration file says something else.
    #[error("{path} is not a gateway's configuration", path = path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What serde said.
        source: serde_json::Error,
    },
    /// A file or folder cannot be read or written.
    #[error("{path}", path = path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The address cannot be listened on.
    #[error("the gateway cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The emulator's or gateway's address is of no use.
    #[error("an address in the configuration is wrong")]
    Address(#[from] HttpError),
    /// The server broke down, or signals cannot be listened for.
    #[error("the gateway broke down")]
    Broken(#[source] std::io::Error),
}

/// What every request needs.
pub(crate) struct Gateway {
    pub(crate) config: GatewayConfig,
    pub(crate) authority: String,
    /// Where we listen: `http://host:port`.
    pub(crate) url: String,
    pub(crate) code: code::Code,
    pub(crate) registry: Arc<Registry>,
    pub(crate) known_images: known_images::KnownImages,
    known_functions: known_functions::KnownFunctions,
    root_file_systems: root_file_system::RootFileSystems,
    isolation: isolation::Isolation,
    pub(crate) interpreters: python::Interpreters,
    pub(crate) pool: pool::Pool,
    pub(crate) log_streams: log_stream::LogStreams,
    /// Who writes which object or bucket.
    pub(crate) objects: locks::Locks,
    /// Who writes to which table.
    tables: locks::Locks,
    /// Who changes which function's aliases.
    pub(crate) functions: locks::Locks,
    pub(crate) revisions: aliases::Revisions,
    pub(crate) accounts: accounts::Accounts,
    pub(crate) function_urls: function_urls::FunctionUrls,
    pub(crate) dead_letters: dead_letters::DeadLetters,
    pub(crate) apis: http_apis::Apis,
    pub(crate) event_sources: event_sources::EventSources,
    pub(crate) stopping: CancellationToken,
}

/// Serves the gateway of a configuration file until SIGTERM or SIGINT.
pub async fn run(config: &Path) -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let config = GatewayConfig::read(config)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Broken)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Broken)?;
    serve(config, |_| (), async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
    .await
}

/// Serves until `shutdown` is done, then ends all functions; `listening` learns the address.
pub async fn serve(
    config: GatewayConfig,
    listening: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let authority = http::authority(&config.emulator_url)?;
    for folder in [&config.work_folder, &config.log_folder] {
        std::fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.to_owned(), source })?;
    }
    let failed = |source| Error::File { path: config.registry_folder.clone(), source };
    let registry = Registry::open(config.registry_folder.clone()).map_err(failed)?;
    let known_images = known_images::KnownImages::open(registry.beside("functions")).map_err(failed)?;
    let stopping = CancellationToken::new();
    let kept = registry.beside("lambda");
    let function_urls = kept::Kept::open(kept.join("urls")).map_err(failed)?;
    let dead_letters = kept::Kept::open(kept.join("dead-letters")).map_err(failed)?;
    let apis = http_apis::Apis::open(kept.join("apis")).map_err(failed)?;
    let event_sources = event_sources::EventSources::open(&kept, stopping.clone()).map_err(failed)?;
    let failed = |source| Error::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let gateway = Arc::new(Gateway {
        authority: authority.clone(),
        url: format!("http://{address}"),
        code: code::Code::new(config.store_bucket.clone(), config.work_folder.clone()),
        registry: Arc::new(registry),
        known_images,
        known_functions: known_functions::KnownFunctions::new(config.sole),
        root_file_systems: root_file_system::RootFileSystems::new(config.work_folder.join("images")),
        isolation: isolation::Isolation::default(),
        interpreters: python::Interpreters::default(),
        pool: pool::Pool::new(),
        log_streams: log_stream::LogStreams::start(),
        objects: locks::Locks::default(),
        tables: locks::Locks::default(),
        functions: locks::Locks::default(),
        revisions: aliases::Revisions::new(),
        accounts: accounts::Accounts::new(authority.clone(), config.kept_in.as_ref()),
        function_urls,
        dead_letters,
        apis,
        event_sources,
        stopping: stopping.clone(),
        config,
    });
    let reaper = tokio::spawn(pool::reap(Arc::clone(&gateway)));
    let router = router(Arc::clone(&gateway));
    if let Some(path) = &gateway.config.ready_file {
        write_ready(path, address).map_err(|source| Error::File { path: path.to_owned(), source })?;
    }
    event_sources::EventSources::resume(&gateway);
    listening(address);

    let told = stopping.clone();
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = tokio::spawn(
        axum::serve(listener, router).with_graceful_shutdown(told.cancelled_owned()).into_future(),
    );
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown => {
            // Running functions are killed by this and answer so; then only clients that hold on are left.
            stopping.cancel();
            tokio::time::timeout(LAST_ANSWERS, &mut server).await.unwrap_or(Ok(Ok(())))
        }
    };
    stopping.cancel();
    server.abort();
    reaper.abort();
    gateway.pool.close(LAST_ANSWERS).await;
    served.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(Error::Broken)
}

fn router(gateway: Arc<Gateway>) -> Router {
    let functions = "/2015-03-31/functions";
    let one = "/2015-03-31/functions/{name}";
    let mappings = "/2015-03-31/event-source-mappings";
    let invocations = || post(invoke::invoke).fallback(forward::forward);
    let all = || post(image_functions::create).get(image_functions::describe).fallback(forward::forward);
    let versions =
        || post(image_functions::describe).get(image_functions::describe).fallback(forward::forward);
    Router::new()
        .route(HEALTH_PATH, get(async || "ok"))
        .route("/v2", any(images))
        .route("/v2/", any(images))
        .route("/v2/{*rest}", any(images))
        .route(functions, all())
        .route(&format!("{functions}/"), all())
        .route(one, get(image_functions::describe).delete(aliases::delete_version).fallback(forward::forward))
        .route(&format!("{one}/invocations"), invocations())
        .route(&format!("{one}/invocations/"), invocations())
        .route(&format!("{one}/code"), put(image_functions::update_code).fallback(forward::forward))
        .route(
            &format!("{one}/configuration"),
            get(image_functions::describe)
                .put(image_functions::update_configuration)
                .fallback(forward::forward),
        )
        .route(&format!("{one}/versions"), versions())
        .route(&format!("{one}/versions/"), versions())
        .route(&format!("{one}/aliases"), get(aliases::read).post(aliases::create).fallback(forward::forward))
        .route(
            &format!("{one}/aliases/{{alias}}"),
            get(aliases::read).put(aliases::update).delete(aliases::delete).fallback(forward::forward),
        )
        .route("/2021-10-31/functions/{name}/url", any(function_urls::answer))
        .route("/2021-10-31/functions/{name}/urls", get(function_urls::list))
        .route(mappings, any(event_sources::api::all))
        .route(&format!("{mappings}/"), any(event_sources::api::all))
        .route(&format!("{mappings}/{{uuid}}"), any(event_sources::api::one))
        .route("/2017-03-31/tags/{arn}", any(event_sources::api::tags))
        .fallback(tables::answer)
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), known_functions::watch))
        .layer(middleware::from_fn_with_state(Arc::clone(&gateway), front::answer))
        .with_state(gateway)
}

/// Tells the registry's requests from those for services whose paths begin the same (API Gateway, SES).
async fn images(state: Shared, request: Request) -> Response {
    match scope::Scope::of(request.headers(), request.uri()) {
        Some(scope) if scope.service == "apigateway" => http_apis::manage(state, request).await,
        Some(_) => objects::answer(state, request).await,
        None => registry::answer(&state.0.registry, request).await,
    }
}

fn write_ready(path: &Path, address: SocketAddr) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{address}")?;
    file.persist(path)?;
    Ok(())
}

pub(crate) use id::request_id;

/// The state of every handler.
pub(crate) type Shared = State<Arc<Gateway>>;
