//! Parses `WWW-Authenticate`, the header in which a registry's 401 names the login that it wants.
//!
//! In: the header's lines. Out: a supported [`Challenge`], a bearer token preferred to a password; `None` where there is
//! none. <https://distribution.github.io/distribution/spec/auth/token/>

/// A supported way to log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token of a token server.
    Bearer {
        /// The token server's URL.
        realm: String,
        /// The registry's name at the token server.
        service: Option<String>,
    },
}

/// Returns the preferred supported challenge.
pub(super) fn supported<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut basic = None;
    for line in lines {
        let (scheme, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if scheme.eq_ignore_ascii_case("bearer") {
            let parameters = parameters(rest);
            let value = |name: &str| {
                let mut found = parameters.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
                found.next().map(|(_, value)| value.clone())
            };
            if let Some(realm) = value("realm") {
                return Some(Challenge::Bearer { realm, service: value("service") });
            }
        } else if scheme.eq_ignore_ascii_case("basic") {
            basic = Some(Challenge::Basic);
        }
    }
    basic
}

/// Splits `a="x, y",b=z`; commas within quotes do not separate.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted_value(quoted),
            None => {
                let end = after.find(',').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        found.push((name.trim().to_owned(), value));
        rest = after.trim_start_matches([' ', ',']);
    }
    found
}

fn quoted_value(text: &str) -> (String, &str) {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, c)| c)),
            c => value.push(c),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_challenge_is_preferred_and_commas_in_quotes_do_not_separate() {
        let bearer = r#"Bearer realm="https://auth.example/token?a=b",service="registry, the \"one\"",scope="repository:x:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.example/token?a=b".into(),
            service: Some("registry, the \"one\"".into()),
        };
        assert_eq!(supported(["Basic realm=\"x\"", bearer].into_iter()), Some(expected));
        assert_eq!(supported(["basic"].into_iter()), Some(Challenge::Basic));
        let plain = Challenge::Bearer { realm: "http://a/b".into(), service: None };
        assert_eq!(supported(["bearer realm=http://a/b, error=invalid"].into_iter()), Some(plain));
        assert_eq!(supported(["Negotiate", "Bearer service=\"x\""].into_iter()), None);
        assert_eq!(supported(std::iter::empty()), None);
    }
}
