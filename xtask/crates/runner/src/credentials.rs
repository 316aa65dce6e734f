//! Environment variables that hold credentials, by their names: programs that are not trusted with them do not get them.

/// Returns whether a variable of this name holds a credential or leads to one: those of AWS, of GitHub's runners, of Slipway's signing,
/// and any that says so.
pub fn is_credential(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let harmless = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_CA_BUNDLE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_USE_DUALSTACK_ENDPOINT",
    ];
    let words = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL", "PRIVATE_KEY", "API_KEY", "APIKEY"];
    !harmless.contains(&name.as_str())
        && (name.starts_with("AWS_")
            || name.starts_with("ACTIONS_")
            || name == "SLIPWAY_SIGNING_KEY"
            || name == "SSH_AUTH_SOCK"
            || words.iter().any(|word| name.contains(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_known_by_their_names() {
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            "GITHUB_TOKEN",
            "CARGO_REGISTRIES_ACME_TOKEN",
            "SLIPWAY_SIGNING_KEY",
            "SSH_AUTH_SOCK",
            "db_password",
        ] {
            assert!(is_credential(name), "{name}");
        }
        for name in
            ["AWS_REGION", "AWS_CA_BUNDLE", "CARGO_HOME", "PATH", "HOME", "GITHUB_REF", "SLIPWAY_GRACE"]
        {
            assert!(!is_credential(name), "{name}");
        }
    }
}
