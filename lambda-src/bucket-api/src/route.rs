//! The routes of the API.
//!
//! In: a request. Out: a [`Route`], with the object's key checked. What can go wrong: 404 for an unknown path,
//! 405 with the method that the path has, 400 for a key that no object can have.

use percent_encoding::percent_decode_str;

use crate::event::Request;
use crate::text::check;
use http_function::ApiError;

/// An operation of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    List,
    Describe { key: String },
}

/// A path of the API, without a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PathMatch<'a> {
    Health,
    Objects,
    /// With the rest of the path after `/objects/`, still encoded.
    Object(&'a str),
}

impl Route {
    /// Returns the operation of a request.
    pub(crate) fn find(request: &Request) -> Result<Self, ApiError> {
        let found =
            PathMatch::at(&request.path).ok_or_else(|| ApiError::not_found("there is no such path"))?;
        // Every path knows this one method.
        if request.method != "GET" {
            return Err(ApiError::method("GET"));
        }
        match found {
            PathMatch::Health => Ok(Self::Health),
            PathMatch::Objects => Ok(Self::List),
            PathMatch::Object(encoded) => {
                let invalid = |why: &str| ApiError::field("invalid_key", "key", why);
                let key = match &request.key {
                    Some(key) => key.clone(),
                    None => percent_decode_str(encoded)
                        .decode_utf8()
                        .map_err(|_| invalid("is no UTF-8"))?
                        .into_owned(),
                };
                if key.is_empty() {
                    return Err(invalid("is empty: the list is at /objects, without a slash at its end"));
                }
                check(&key).map_err(|why| invalid(&why))?;
                Ok(Self::Describe { key })
            }
        }
    }
}

impl<'a> PathMatch<'a> {
    /// Returns the match of a path.
    pub(crate) fn at(path: &'a str) -> Option<Self> {
        // A base URL ends with a slash, and clients add one more.
        match path.trim_start_matches('/') {
            "health" => Some(Self::Health),
            "objects" => Some(Self::Objects),
            path => path.strip_prefix("objects/").map(Self::Object),
        }
    }

    /// Returns the path's template, for logs: they never contain what a caller sent.
    pub(crate) fn template(self) -> &'static str {
        match self {
            Self::Health => "/health",
            Self::Objects => "/objects",
            Self::Object(_) => "/objects/{key}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PathMatch, Route};
    use crate::event::Request;
    use http_function::ApiError;

    fn find(method: &str, path: &str, key: Option<&str>) -> Result<Route, ApiError> {
        Route::find(&Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: String::new(),
            key: key.map(str::to_owned),
        })
    }

    fn object(key: &str) -> Route {
        Route::Describe { key: key.to_owned() }
    }

    #[test]
    fn finds_every_route() {
        for (path, expected) in [
            ("/health", Route::Health),
            ("/objects", Route::List),
            ("//objects", Route::List),
            ("/objects/a", object("a")),
            ("/objects/2026/11/a%20b%2Bc+d.json", object("2026/11/a b+c+d.json")),
            ("/objects//a/", object("/a/")),
            ("/objects/%C3%A4%2F%25", object("ä/%")),
            ("/objects/objects", object("objects")),
            ("/objects/../health", object("../health")),
        ] {
            assert_eq!(find("GET", path, None).expect(path), expected);
        }
    }

    #[test]
    fn takes_the_key_that_an_http_api_decoded_as_it_is() {
        // Decoded once more it would be another object's.
        assert_eq!(find("GET", "/objects/100%25", Some("100%25")).expect("a route"), object("100%25"));
    }

    #[test]
    fn a_template_is_its_own_place() {
        for path in ["/health", "/objects", "/objects/{key}"] {
            assert_eq!(PathMatch::at(path).expect(path).template(), path);
        }
    }

    #[test]
    fn refuses_unknown_paths_methods_and_keys() {
        for path in ["/", "", "/Objects", "/health/", "/objectss", "/api/objects", "/objects%2Fa"] {
            assert_eq!(find("GET", path, None).expect_err(path).status(), 404, "{path}");
            assert_eq!(find("POST", path, None).expect_err(path).status(), 404, "{path}");
        }
        for (method, path) in
            [("POST", "/objects"), ("DELETE", "/objects/a"), ("PUT", "/health"), ("HEAD", "/objects")]
        {
            let error = find(method, path, None).expect_err(path);
            assert_eq!((error.status(), error.response("").header("allow")), (405, Some("GET")));
        }
        let long = format!("/objects/{}", "ä".repeat(513));
        for (path, why) in [
            ("/objects/", "without a slash"),
            ("/objects/%FF", "UTF-8"),
            ("/objects/a%00b", "zero"),
            (long.as_str(), "1024 bytes"),
        ] {
            let error = find("GET", path, None).expect_err(path);
            assert_eq!((error.status(), error.code()), (400, "invalid_key"), "{path}");
            assert!(error.to_string().contains(why), "{path}: {error}");
        }
        assert!(find("GET", &format!("/objects/{}", "ä".repeat(512)), None).is_ok());
    }
}
