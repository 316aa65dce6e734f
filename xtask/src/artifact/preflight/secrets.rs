//! Secrets that were packed by mistake: private keys, files of credentials, AWS access keys with their secrets.
//!
//! In: a file's name and bytes. Out: the kind of secret that the file seems to contain, never the secret itself. Certificates,
//! public keys, code that names a PEM header and the example keys of AWS's documentation are not secrets.

use memchr::memmem;

/// Why credentials do not belong in a function's code.
pub(super) const RULE: &str =
    "https://docs.aws.amazon.com/secretsmanager/latest/userguide/best-practices.html";

/// How far from an access key's id its secret may be, in bytes.
const SECRET_DISTANCE: usize = 300;
/// How many characters a private key has at least: a header alone is not a key.
const MIN_KEY_LENGTH: usize = 64;

/// Returns the kind of secret that a file seems to contain, as the end of a sentence.
pub(super) fn secret_in(name: &str, bytes: &[u8]) -> Option<String> {
    secret_by_name(name, bytes).or_else(|| {
        // Binary data contains no PEM and no settings.
        if memchr::memchr(0, &bytes[..bytes.len().min(8192)]).is_some() {
            return None;
        }
        if holds_private_key(bytes) {
            return Some("contains a private key (PEM)".into());
        }
        access_key(bytes).map(|id| format!("contains an AWS access key with its secret ({}…)", &id[..8]))
    })
}

fn secret_by_name(name: &str, bytes: &[u8]) -> Option<String> {
    let parts: Vec<&str> = name.rsplit('/').take(2).collect();
    let file = *parts.first()?;
    let harmless = ["example", "sample", "template", "dist"];
    if bytes.is_empty() {
        return None;
    }
    if file == ".env" || file.strip_prefix(".env.").is_some_and(|kind| !harmless.contains(&kind)) {
        return Some("is a file of environment variables, which usually contains secrets".into());
    }
    if ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519"].contains(&file) {
        return Some("has the name of a private SSH key".into());
    }
    if [".netrc", ".pypirc", ".pgpass"].contains(&file)
        || (file == "credentials" && parts.get(1) == Some(&".aws"))
    {
        return Some("is a file of credentials".into());
    }
    let extension = file.rsplit_once('.').map(|(_, extension)| extension)?;
    if ["p12", "pfx", "jks", "keystore"].contains(&extension) {
        return Some(format!("is a key store (.{extension})"));
    }
    // A key in binary form; text files are checked by their content.
    let der = bytes.starts_with(&[0x30, 0x82])
        || bytes.starts_with(&[0x30, 0x81])
        || bytes.starts_with(&[0x30, 0x77]);
    (extension == "key" && der).then(|| "is a private key in binary form (.key)".into())
}

/// Returns whether a file has the header of a private key with a body after it.
fn holds_private_key(bytes: &[u8]) -> bool {
    const HEADER: &[u8] = b"PRIVATE KEY-----";
    memmem::find_iter(bytes, HEADER).any(|at| {
        let line = &bytes[at.saturating_sub(40)..at];
        let Some(begin) = memmem::rfind(line, b"-----BEGIN ") else { return false };
        if line[begin..].contains(&b'\n') {
            return false;
        }
        let rest = &bytes[at + HEADER.len()..];
        // In code a line may end with an escaped newline; an old key has headers before its body.
        let body = memmem::find(rest, b"-----END").map_or(rest, |end| &rest[..end]);
        let longest = body
            .split(|byte| !(byte.is_ascii_alphanumeric() || b"+/=".contains(byte)))
            .map(<[u8]>::len)
            .fold((0, 0), |(sum, long), length| (sum + length, long.max(length)));
        longest.0 >= MIN_KEY_LENGTH && longest.1 >= 32
    })
}

/// Returns the id of an access key that has a secret nearby.
///
/// The forms are those of [IAM's identifiers](https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html):
/// AKIA for long-term keys, ASIA for temporary ones; a secret has 40 characters.
fn access_key(bytes: &[u8]) -> Option<String> {
    [&b"AKIA"[..], b"ASIA"].iter().find_map(|prefix| {
        memmem::find_iter(bytes, prefix).find_map(|at| {
            let id = bytes.get(at..at + 20)?;
            let word = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
            let apart = |at: Option<&u8>| !at.is_some_and(u8::is_ascii_alphanumeric);
            let before = at.checked_sub(1).and_then(|at| bytes.get(at));
            if !id.iter().copied().all(word)
                || !apart(before)
                || !apart(bytes.get(at + 20))
                || id.ends_with(b"EXAMPLE")
            {
                return None;
            }
            let around =
                &bytes[at.saturating_sub(SECRET_DISTANCE)..bytes.len().min(at + 20 + SECRET_DISTANCE)];
            let secret = |word: &&[u8]| {
                word.len() == 40
                    && word.iter().any(u8::is_ascii_uppercase)
                    && word.iter().any(u8::is_ascii_lowercase)
                    && word.iter().any(u8::is_ascii_digit)
                    && memmem::find(word, b"EXAMPLE").is_none()
            };
            around.split(|byte| !(byte.is_ascii_alphanumeric() || b"+/".contains(byte))).find(secret)?;
            Some(String::from_utf8_lossy(id).into_owned())
        })
    })
}
