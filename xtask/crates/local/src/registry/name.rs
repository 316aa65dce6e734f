//! Names in a registry: repositories, tags, digests, and image URIs.
//!
//! In: text from a path or a request. Out: names that are safe as parts of a path on the disk; `None` for any other text.

pub(crate) use slipway_values::digest::Digest;

/// A repository's name, such as `shop/hello`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository(String);

impl Repository {
    /// Reads a name of at most 255 characters: components of lower-case letters and digits with single separators.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        (text.len() <= 255 && text.split('/').all(component)).then(|| Self(text.to_owned()))
    }

    /// Returns the name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn component(text: &str) -> bool {
    let alphanumeric = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit();
    let ends = text.starts_with(alphanumeric) && text.ends_with(alphanumeric);
    let mut separators = text.split(alphanumeric).filter(|separator| !separator.is_empty());
    ends && separators
        .all(|separator| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'))
}

/// A reference to a manifest within a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    /// At most 128 characters.
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Reads a digest, which has a colon, or a tag.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.contains(':') {
            return text.parse().ok().map(Self::Digest);
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let starts = !text.is_empty() && !text.starts_with(['.', '-']);
        (text.len() <= 128 && starts && text.bytes().all(fits)).then(|| Self::Tag(text.to_owned()))
    }
}

/// An image URI: `<host>/<repository>@sha256:<hex>` or `<host>/<repository>:<tag>`.
///
/// Images are found by repository and reference. The host is ignored: there is one registry, and its port may have changed
/// since the image was pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageUri {
    /// Host and repository, as given.
    pub(crate) host_and_repository: String,
    pub(crate) repository: String,
    pub(crate) reference: Reference,
}

impl ImageUri {
    /// Reads an image URI; the digest counts if both a tag and a digest are given.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(Reference::Digest(digest.parse().ok()?))),
            None => (text, None),
        };
        let (host, path) = named.split_once('/')?;
        let (path, tag) = match path.rsplit_once(':') {
            Some((path, tag)) => (path, Some(Reference::parse(tag)?)),
            None => (path, None),
        };
        let repository = Repository::parse(path)?;
        let host_and_repository = format!("{host}/{path}");
        let latest = || Reference::Tag("latest".to_owned());
        let reference = digest.or(tag).unwrap_or_else(latest);
        (!host.is_empty()).then(|| Self {
            host_and_repository,
            repository: repository.as_str().to_owned(),
            reference,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_in_paths() {
        for valid in ["a", "shop/hello", "a.b/c_d/e__f/g---h/1"] {
            assert!(Repository::parse(valid).is_some(), "{valid}");
        }
        for invalid in
            ["", "/", "a/", "/a", "..", "a/..", "a/../b", "A", "a..b", "a___b", "_tags", "a/_tags", ".a"]
        {
            assert!(Repository::parse(invalid).is_none(), "{invalid}");
        }
        for invalid in ["", "..", ".", "-a", "a/b", "a b", "sha256:00", &"a".repeat(129)] {
            assert!(Reference::parse(invalid).is_none(), "{invalid}");
        }
        assert_eq!(Reference::parse("1.4.2"), Some(Reference::Tag("1.4.2".to_owned())));
        for algorithm in ["sha256:A", "sha512:a"] {
            let (name, digit) = algorithm.split_at(7);
            assert!(Reference::parse(&format!("{name}{}", digit.repeat(64))).is_none(), "{algorithm}");
        }
    }

    #[test]
    fn image_uri_names_the_same_image_on_any_host() {
        let hex = "b".repeat(64);
        let digest = Reference::Digest(format!("sha256:{hex}").parse().unwrap());
        for host in ["127.0.0.1:5000", "111111111111.dkr.ecr.eu-central-1.amazonaws.com", "localhost"] {
            for tag in ["", ":1.0.0"] {
                let uri = ImageUri::parse(&format!("{host}/shop/hello{tag}@sha256:{hex}")).unwrap();
                assert_eq!((uri.repository.as_str(), &uri.reference), ("shop/hello", &digest));
                assert_eq!(uri.host_and_repository, format!("{host}/shop/hello"));
            }
            let tagged = ImageUri::parse(&format!("{host}/shop/hello:1.0.0")).unwrap();
            assert_eq!(tagged.reference, Reference::Tag("1.0.0".to_owned()));
        }
        for invalid in ["hello", "host/", "host/a@sha256:1", "/a", "host/a:b:c", "host/../a"] {
            assert_eq!(ImageUri::parse(invalid), None, "{invalid}");
        }
    }
}
