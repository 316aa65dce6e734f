//! The environment variables that a build runs with.
//!
//! A build gets none of this process's variables but those that a machine needs to find its programs, its network and its
//! downloads, and those that the function's settings declare, whose values are inputs. So a variable that nobody declared is
//! missing in the build rather than unnoticed in its bytes.

use super::ProcessEnvironment;

/// Variables that say where programs, folders, proxies and certificates are.
const ALWAYS: [&str; 49] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "SSH_AUTH_SOCK",
    "GIT_SSH",
    "GIT_SSH_COMMAND",
    "GIT_ASKPASS",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "ZIG_GLOBAL_CACHE_DIR",
    "ZIG_LOCAL_CACHE_DIR",
    "PYENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
    "ASDF_DATA_DIR",
    "DOCKER_HOST",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_CERT",
    "UV_INDEX",
    "UV_DEFAULT_INDEX",
    "UV_CACHE_DIR",
    "NPM_CONFIG_REGISTRY",
    "npm_config_registry",
    "NPM_CONFIG_USERCONFIG",
    "NPM_CONFIG_CACHE",
];

/// Beginnings of variables that say how packages are downloaded.
const PREFIXES: [&str; 5] =
    ["CARGO_NET_", "CARGO_HTTP_", "CARGO_REGISTRY_", "CARGO_REGISTRIES_", "UV_INDEX_"];

impl ProcessEnvironment {
    /// Returns the variables that a build runs with: those of this machine, and the declared ones that are set.
    pub(crate) fn for_builds(&self, declared: &[String]) -> Vec<(String, String)> {
        let undeclared = self.variables_with_prefix("").filter(|(name, _)| {
            ALWAYS.contains(name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        });
        let declared = declared.iter().filter_map(|name| Some((name.as_str(), self.get(name)?)));
        // Messages and the order of names do not depend on who builds.
        let fixed = [("LC_ALL", "C.UTF-8"), ("LANG", "C.UTF-8"), ("TZ", "UTC")];
        let all = fixed.into_iter().chain(undeclared).chain(declared);
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_gets_the_machines_variables_and_the_declared_ones() {
        let process_env = ProcessEnvironment::of(&[
            ("PATH", "/bin"),
            ("RUSTFLAGS", "-C opt-level=0"),
            ("CARGO_PROFILE_RELEASE_LTO", "off"),
            ("CARGO_NET_OFFLINE", "true"),
            ("API_BASE", "https://api"),
            ("SECRET", "x"),
        ]);
        let variables = process_env.for_builds(&["API_BASE".to_owned(), "NOT_SET".to_owned()]);
        let mut names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["API_BASE", "CARGO_NET_OFFLINE", "LANG", "LC_ALL", "PATH", "TZ"]);
    }
}
