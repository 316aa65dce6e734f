//! The HTTP client of a session, with its time limits and retries.
//!
//! In: the session's endpoints. Out: an HTTP client and settings for one service. A client with TLS reads the root
//! certificates at its first request; where no endpoint needs TLS, the client has none.

use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;

/// The time limit of one attempt of a small call.
const ATTEMPT: Duration = Duration::from_secs(20);
/// The time limit of a small call with its retries.
const OPERATION: Duration = Duration::from_secs(70);
/// The time limit of one attempt to upload a file or a part of one; a stalled upload is aborted much sooner.
pub(crate) const UPLOAD_ATTEMPT: Duration = Duration::from_secs(15 * 60);

/// Returns the client that all services of a session share.
pub(super) fn http_client(plain: bool) -> SharedHttpClient {
    if plain {
        return Builder::new().build_http();
    }
    let proxy = ProxyConfig::from_env();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(tls::Provider::rustls(CryptoMode::Ring)).build()
    })
}

/// Returns the time limits of calls to an endpoint; `None` is AWS itself.
pub(super) fn timeouts(endpoint: Option<&str>) -> TimeoutConfig {
    let connect = if is_loopback(endpoint) { 1 } else { 3 };
    TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(connect))
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build()
}

/// Returns the time limits of a call that sends many bytes.
pub(crate) fn upload_timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(UPLOAD_ATTEMPT)
        .operation_timeout(2 * UPLOAD_ATTEMPT)
        .build()
}

/// Returns how often a call is tried: the SDK's adaptive mode, which also slows down where a service throttles. A stopped
/// emulator is noticed quickly.
///
/// With two attempts, 5 % of failing calls failed a third of all commands: a command makes some dozen calls. Every call that is
/// repeated is idempotent, or looks at what is there afterwards ([`crate::ObjectStore::put_new`], `move_alias`). Invocations
/// and conditional overwrites are not repeated here.
pub(super) fn retries(endpoint: Option<&str>) -> RetryConfig {
    if is_loopback(endpoint) {
        RetryConfig::adaptive()
            .with_max_attempts(5)
            .with_initial_backoff(Duration::from_millis(50))
            .with_max_backoff(Duration::from_millis(500))
    } else {
        RetryConfig::adaptive().with_max_attempts(8)
    }
}

/// Returns whether an endpoint is on this machine.
pub(super) fn is_loopback(endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else { return false };
    let authority = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    if authority.starts_with("[::1]") {
        return true;
    }
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let is_v4 = host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    is_v4 || host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::retry::RetryMode;

    use super::{is_loopback, retries};

    #[test]
    fn calls_are_retried_in_the_adaptive_mode_often_enough() {
        for endpoint in [None, Some("http://127.0.0.1:5000")] {
            let retries = retries(endpoint);
            assert_eq!(retries.mode(), RetryMode::Adaptive);
            // Of calls that fail with 5 %, one in three million fails five times.
            assert!(retries.max_attempts() >= 5, "{endpoint:?}");
        }
    }

    #[test]
    fn loopback_endpoints_are_those_of_this_machine() {
        for near in ["http://127.0.0.1:5000", "http://localhost:1/", "https://[::1]:3", "http://s3.localhost"]
        {
            assert!(is_loopback(Some(near)), "{near}");
        }
        for far in ["https://s3.amazonaws.com", "http://127.example.com", "http://10.0.0.1:5000"] {
            assert!(!is_loopback(Some(far)), "{far}");
        }
        assert!(!is_loopback(None));
    }
}
