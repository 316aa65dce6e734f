//! The parts of a gateway: what it consists of, and which part needs which others.
//!
//! A handler takes the part with its state as `State<Arc<…>>`. A part holds the other parts that it needs, so their
//! dependencies are visible in its fields, and there is no circle.

use super::accounts::Accounts;
use super::aliases::{Aliases, Revisions};
use super::artifacts::Artifacts;
use super::config::{Error, GatewayConfig};
use super::dead_letters::DeadLetters;
use super::event_sources::EventSources;
use super::function_cache::FunctionCache;
use super::function_urls::FunctionUrls;
use super::hidden_changes::HiddenChanges;
use super::http_apis::HttpApis;
use super::image_functions::ImageFunctions;
use super::image_launch::ImageLauncher;
use super::invoke::Invoker;
use super::isolation::Isolation;
use super::known_images::KnownImages;
use super::launch::Launcher;
use super::locks::Locks;
use super::log_stream::LogStreams;
use super::objects::Objects;
use super::persistence::PersistentMap;
use super::pool::Pool;
use super::python::Interpreters;
use super::root_file_system::RootFileSystems;
use super::tables::Tables;
use super::upstream::Upstream;
use crate::http;
use crate::registry::Registry;
use axum::extract::FromRef;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// All parts of a gateway.
#[derive(Clone)]
pub(super) struct Parts {
    /// The emulator.
    pub(super) upstream: Arc<Upstream>,
    /// Access keys and their owners.
    pub(super) accounts: Arc<Accounts>,
    /// Images.
    pub(super) registry: Arc<Registry>,
    /// Aliases and published versions.
    pub(super) function_cache: Arc<FunctionCache>,
    /// Running functions.
    pub(super) invoker: Arc<Invoker>,
    /// Calls about aliases.
    pub(super) aliases: Arc<Aliases>,
    /// Calls that create, change or describe functions.
    pub(super) image_functions: Arc<ImageFunctions>,
    /// Function URLs and calls about them.
    pub(super) function_urls: Arc<FunctionUrls>,
    /// S3 calls.
    pub(super) objects: Arc<Objects>,
    /// DynamoDB writes.
    pub(super) tables: Arc<Tables>,
    /// HTTP APIs and calls about them.
    pub(super) http_apis: Arc<HttpApis>,
    /// Event source mappings and their pollers.
    pub(super) event_sources: Arc<EventSources>,
    /// Cancelled when the gateway stops.
    pub(super) stopping: CancellationToken,
}

impl Parts {
    /// Opens the folders of a configuration; `address` is where the gateway listens.
    pub(super) fn open(config: &GatewayConfig, address: SocketAddr) -> Result<Self, Error> {
        let authority = http::authority(&config.emulator_url)?;
        for folder in [&config.work_folder, &config.log_folder] {
            std::fs::create_dir_all(folder)
                .map_err(|source| Error::File { path: folder.to_owned(), source })?;
        }
        let failed = |source| Error::File { path: config.registry_folder.clone(), source };
        let registry = Arc::new(Registry::open(config.registry_folder.clone()).map_err(failed)?);
        let persistent = registry.sibling_folder("lambda");
        let known_images = KnownImages::open(registry.sibling_folder("functions")).map_err(failed)?;
        let known_images = Arc::new(known_images);
        let dead_letters = Arc::new(DeadLetters::open(persistent.join("dead-letters")).map_err(failed)?);
        let urls = PersistentMap::open(persistent.join("urls")).map_err(failed)?;

        let stopping = CancellationToken::new();
        let accounts = Arc::new(Accounts::new(authority.clone(), config.supervisor_folder.clone()));
        let upstream = Arc::new(Upstream::new(config.emulator_url.clone(), authority, Arc::clone(&accounts)));
        let function_cache = Arc::new(FunctionCache::new(config.exclusive_emulator));
        let function_locks = Arc::new(Locks::default());
        let invoker = Arc::new(Invoker {
            accounts: Arc::clone(&accounts),
            function_cache: Arc::clone(&function_cache),
            launcher: Launcher {
                accounts: Arc::clone(&accounts),
                artifacts: Artifacts::new(config.store_bucket.clone(), config.work_folder.clone()),
                images: ImageLauncher {
                    registry: Arc::clone(&registry),
                    known_images: Arc::clone(&known_images),
                    root_file_systems: RootFileSystems::new(config.work_folder.join("images")),
                    isolation: Isolation::default(),
                },
                interpreters: Interpreters::default(),
                log_streams: LogStreams::start(),
                gateway_url: format!("http://{address}"),
                work_folder: config.work_folder.clone(),
                log_folder: config.log_folder.clone(),
                marker: config.supervisor_folder.clone(),
            },
            pool: Pool::new(),
            stopping: stopping.clone(),
        });
        let function_urls = Arc::new(FunctionUrls {
            urls,
            upstream: Arc::clone(&upstream),
            locks: Arc::clone(&function_locks),
        });
        let aliases = Aliases {
            upstream: Arc::clone(&upstream),
            locks: Arc::clone(&function_locks),
            function_urls: Arc::clone(&function_urls),
            dead_letters: Arc::clone(&dead_letters),
            revisions: Revisions::new(),
        };
        let image_functions = ImageFunctions {
            upstream: Arc::clone(&upstream),
            registry: Arc::clone(&registry),
            known_images,
            dead_letters,
            locks: function_locks,
            hidden_changes: HiddenChanges::default(),
        };
        let http_apis = HttpApis::open(
            persistent.join("apis"),
            Arc::clone(&accounts),
            Arc::clone(&upstream),
            Arc::clone(&invoker),
        );
        let event_sources = EventSources::open(
            &persistent,
            Arc::clone(&upstream),
            Arc::clone(&accounts),
            Arc::clone(&invoker),
        );
        Ok(Self {
            objects: Arc::new(Objects::new(Arc::clone(&upstream), config.work_folder.clone())),
            tables: Arc::new(Tables::new(Arc::clone(&upstream))),
            aliases: Arc::new(aliases),
            image_functions: Arc::new(image_functions),
            http_apis: Arc::new(http_apis.map_err(failed)?),
            event_sources: Arc::new(event_sources.map_err(failed)?),
            upstream,
            accounts,
            registry,
            function_cache,
            invoker,
            function_urls,
            stopping,
        })
    }
}

/// Lets handlers take one part as their state.
macro_rules! handler_state {
    ($($field:ident: $part:ty),*) => {
        $(impl FromRef<Parts> for Arc<$part> {
            fn from_ref(parts: &Parts) -> Self {
                Arc::clone(&parts.$field)
            }
        })*
    };
}

handler_state!(
    upstream: Upstream,
    invoker: Invoker,
    aliases: Aliases,
    image_functions: ImageFunctions,
    function_urls: FunctionUrls,
    event_sources: EventSources
);
