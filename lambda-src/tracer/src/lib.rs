//! An HTTP API that keeps traces and their spans in two DynamoDB tables.
//!
//! A request goes through `event` (what Lambda calls HTTP), `route`, `keys` (who may), `body` and `query` (what may be
//! sent), `record` and `store` (what is kept), and comes back through `http_function::ApiError` and `cors`. `api` alone
//! knows this order.

mod api;
mod aws;
mod body;
mod cors;
mod cursor;
mod event;
mod keys;
mod query;
mod record;
mod route;
mod settings;
mod store;
mod time;

pub use api::Api;
pub use cors::Origins;
pub use event::LONGEST_BODY;
pub use http_function::{InvalidEvent, Response};
pub use settings::{Aws, Pace, Patience, Settings, SettingsError};

/// The root of the targets of this crate's lines in the log.
pub const LOGGED_AS: &str = module_path!();
