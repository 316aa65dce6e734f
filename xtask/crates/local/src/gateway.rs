//! The endpoint of the local environment: it runs published functions itself, and forwards all other requests to the
//! emulator, adding checks that the emulator lacks.
//!
//! In: the HTTP APIs of all AWS services, and requests to function URLs and HTTP APIs. Out: the responses of the cloud.
//!
//! - An Invoke runs the artifact from the store, compared with the function's CodeSha256, with the version's configuration
//!   in the emulator. Event source mappings invoke functions with the records of streams.
//! - The gateway enforces the conditions and digests of S3 writes, the conditions of DynamoDB writes, and the guarantees of
//!   Lambda aliases, which the emulator does not.
//! - All other requests are forwarded unchanged.
//!
//! Errors are responses in the service's own form; [`serve`] itself fails only if it cannot listen or write to its folders.
//!
//! The state is divided into parts, and each handler takes only the parts that it needs: see [`parts`].

mod accounts;
mod aliases;
mod artifacts;
mod client_call;
pub(crate) mod config;
mod cors;
mod dead_letters;
mod endpoint_request;
mod event_sources;
mod function_cache;
mod function_lookup;
mod function_name;
mod function_urls;
mod function_variables;
mod function_version;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod hidden_changes;
mod http_apis;
mod image;
mod image_functions;
mod image_launch;
mod instance;
mod invoke;
mod isolation;
mod issued_keys;
mod known_images;
mod lambda_error;
mod launch;
mod layer;
mod locks;
mod log_stream;
mod objects;
mod output;
mod owner;
mod parts;
mod persistence;
mod pool;
mod publication;
pub(crate) mod python;
mod root_file_system;
mod router;
mod runtime_api;
mod scope;
mod signature;
mod spool;
mod streams;
mod tables;
mod tree;
mod unreachable;
mod upstream;

pub use config::{Error, GatewayConfig, HEALTH_PATH};

use crate::open_files;
use parts::Parts;
use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpListener;

/// How long the gateway waits for open responses when it stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);

/// Serves with a configuration file until SIGTERM or SIGINT.
pub async fn run(config: &Path) -> Result<(), Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let config = GatewayConfig::read(config)?;
    open_files::raise();
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Server)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Server)?;
    serve(config, |_| (), async move {
        tokio::select! {
            _ = terminate.recv() => (),
            _ = interrupt.recv() => (),
        }
    })
    .await
}

/// Serves until `shutdown` completes, then ends all functions; calls `listening` with the address.
pub async fn serve(
    config: GatewayConfig,
    listening: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let failed = |source| Error::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let parts = Parts::open(&config, address)?;
    let reaper = tokio::spawn(parts.invoker.clone().end_idle_instances());
    let router = router::router(parts.clone()).into_make_service_with_connect_info::<SocketAddr>();
    if let Some(path) = &config.ready_file {
        write_ready_file(path, address).map_err(|source| Error::File { path: path.to_owned(), source })?;
    }
    parts.event_sources.resume();
    listening(address);

    let stopping = parts.stopping.clone();
    let mut server = tokio::spawn(
        axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned()).into_future(),
    );
    let served = tokio::select! {
        served = &mut server => served,
        () = shutdown => {
            // Running functions are killed now, and their callers get an error. Only idle connections are left then.
            parts.stopping.cancel();
            tokio::time::timeout(SHUTDOWN_GRACE, &mut server).await.unwrap_or(Ok(Ok(())))
        }
    };
    parts.stopping.cancel();
    server.abort();
    reaper.abort();
    parts.invoker.close(SHUTDOWN_GRACE).await;
    served.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(Error::Server)
}

fn write_ready_file(path: &Path, address: SocketAddr) -> std::io::Result<()> {
    use std::io::Write;
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    writeln!(file, "{address}")?;
    file.persist(path)?;
    Ok(())
}
