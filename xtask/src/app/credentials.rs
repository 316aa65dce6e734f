//! Whether AWS credentials are configured on this machine, found out without a call to AWS.
//!
//! The places are those of the SDK's default chain:
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>. Configured credentials may still be
//! expired or refused; that shows at the first call.

use std::path::{Path, PathBuf};

use super::AppContext;

/// Variables that hold credentials or name where they come from.
const VARIABLES: [&str; 5] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

impl AppContext {
    /// Returns whether AWS credentials are configured: by variables, by a default profile, or by an EC2 instance's role.
    pub(crate) fn has_credentials(&self) -> bool {
        are_configured(|name| self.process_env.get(name), is_ec2_instance)
    }
}

fn are_configured<'a>(variable: impl Fn(&str) -> Option<&'a str>, is_ec2: impl FnOnce() -> bool) -> bool {
    if VARIABLES.iter().any(|name| variable(name).is_some()) {
        return true;
    }
    let file = |name: &str, below_home: &str| {
        let named = variable(name).map(PathBuf::from);
        named.or_else(|| variable("HOME").map(|home| Path::new(home).join(below_home)))
    };
    let files =
        [file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), file("AWS_CONFIG_FILE", ".aws/config")];
    if files.iter().flatten().any(|path| has_default_profile(path)) {
        return true;
    }
    let disabled =
        variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    !disabled && (variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_some() || is_ec2())
}

/// Returns whether a profile file has the section `[default]` with a key for credentials; a region alone is none.
fn has_default_profile(path: &Path) -> bool {
    let keys = ["aws_access_key_id", "credential_process", "sso_", "role_arn", "login_session"];
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(str::trim).skip_while(|line| *line != "[default]").skip(1);
    lines.take_while(|line| !line.starts_with('[')).any(|line| keys.iter().any(|key| line.starts_with(key)))
}

/// Returns whether this machine is an EC2 instance, as its firmware says:
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html>.
fn is_ec2_instance() -> bool {
    let begins = |path: &str, text: &str| {
        std::fs::read_to_string(path).is_ok_and(|content| content.to_ascii_lowercase().starts_with(text))
    };
    begins("/sys/devices/virtual/dmi/id/sys_vendor", "amazon ec2")
        || begins("/sys/devices/virtual/dmi/id/product_uuid", "ec2")
        || begins("/sys/hypervisor/uuid", "ec2")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(variables: &[(&str, &str)], is_ec2: bool) -> bool {
        let variable =
            |name: &str| variables.iter().find(|(variable, _)| *variable == name).map(|(_, value)| *value);
        are_configured(variable, || is_ec2)
    }

    #[test]
    fn credentials_are_configured_by_a_variable_or_an_instance_role() {
        assert!(!configured(&[("HOME", "/nowhere"), ("AWS_REGION", "eu-central-1")], false));
        for name in VARIABLES {
            assert!(configured(&[(name, "x")], false), "{name}");
        }
        assert!(configured(&[], true));
        assert!(!configured(&[("AWS_EC2_METADATA_DISABLED", "TRUE")], true));
    }

    #[test]
    fn default_profile_counts_only_with_a_key_for_credentials() {
        let home = tempfile::tempdir().unwrap();
        let config = home.path().join(".aws/config");
        std::fs::create_dir_all(config.parent().unwrap()).unwrap();
        let home = home.path().to_str().unwrap();
        for (text, expected) in [
            ("[default]\nregion = eu-central-1\n", false),
            ("[default]\nregion = eu-central-1\n[profile dev]\nsso_session = x\n", false),
            ("[profile dev]\nregion = x\n[default]\nregion = y\nsso_session = x\n", true),
            ("[default]\naws_access_key_id = x\n", true),
        ] {
            std::fs::write(&config, text).unwrap();
            assert_eq!(configured(&[("HOME", home)], false), expected, "{text}");
        }
    }
}
