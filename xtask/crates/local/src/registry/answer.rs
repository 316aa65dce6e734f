//! From a request under `/v2/` to what answers it.
//!
//! In: method, path and query. Out: the answer. What can go wrong: the path is not the registry's, a name in it is
//! malformed, or the method is not for it.

use super::fault::Fault;
use super::name::{Digest, Reference, Repository};
use super::{Registry, blobs, manifests, referrers, uploads};
use crate::http;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    Base,
    Blob { repository: &'a str, digest: &'a str },
    Uploads { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Manifest { repository: &'a str, reference: &'a str },
    Tags { repository: &'a str },
    Referrers { repository: &'a str, digest: &'a str },
}

/// The parameters of a query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Reads a digest; `None` where the query has none of that name.
    pub(super) fn digest(&self, name: &str) -> Result<Option<Digest>, Fault> {
        self.get(name).map(digest).transpose()
    }
}

/// Answers a request whose path begins with `/v2`.
pub(crate) async fn answer(registry: &Registry, request: Request) -> Response {
    let mut response = dispatch(registry, request).await.unwrap_or_else(IntoResponse::into_response);
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    response
}

async fn dispatch(registry: &Registry, request: Request) -> Result<Response, Fault> {
    let path = request.uri().path().replace("%3A", ":").replace("%3a", ":");
    let query = Query(http::query_pairs(request.uri().query().unwrap_or_default()));
    let method = request.method().clone();
    let unknown = || Fault::missing("UNSUPPORTED", format!("`{path}` is no address of a registry"));
    match (place(&path).ok_or_else(unknown)?, &method) {
        (Place::Base, &Method::GET | &Method::HEAD) => Ok(StatusCode::OK.into_response()),
        (Place::Blob { repository, digest: wanted }, &Method::GET | &Method::HEAD) => {
            blobs::read(registry, &named(repository)?, &digest(wanted)?, &method, request.headers()).await
        }
        (Place::Uploads { repository }, &Method::POST) => {
            uploads::begin(registry, &named(repository)?, &query, request.into_body()).await
        }
        (Place::Upload { repository, id }, _) => {
            let repository = named(repository)?;
            match method {
                Method::GET => uploads::status(registry, &repository, id).await,
                Method::PATCH => uploads::append(registry, &repository, id, request).await,
                Method::PUT => uploads::finish(registry, &repository, id, &query, request).await,
                Method::DELETE => uploads::cancel(registry, &repository, id).await,
                _ => Err(not_allowed(&method, &path)),
            }
        }
        (Place::Manifest { repository, reference }, _) => {
            let repository = named(repository)?;
            let reference = Reference::parse(reference).ok_or_else(|| {
                let code = if reference.contains(':') { "DIGEST_INVALID" } else { "TAG_INVALID" };
                Fault::bad(code, format!("`{reference}` is neither a tag nor a SHA-256 digest"))
            })?;
            match method {
                Method::GET | Method::HEAD => manifests::read(registry, &repository, &reference, &method),
                Method::PUT => manifests::write(registry, &repository, &reference, request).await,
                Method::DELETE => manifests::delete(registry, &repository, &reference),
                _ => Err(not_allowed(&method, &path)),
            }
        }
        (Place::Tags { repository }, &Method::GET) => manifests::tags(registry, &named(repository)?, &query),
        (Place::Referrers { repository, digest: subject }, &Method::GET) => {
            referrers::list(registry, &named(repository)?, &digest(subject)?, &query)
        }
        _ => Err(not_allowed(&method, &path)),
    }
}

/// Takes a path apart from its end, because a repository's name may hold any of the words.
fn place(path: &str) -> Option<Place<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if matches!(rest, "" | "/") {
        return Some(Place::Base);
    }
    let rest = rest.strip_prefix('/')?;
    let (before, last) = rest.rsplit_once('/')?;
    let (repository, word) = before.rsplit_once('/')?;
    match (word, last) {
        ("tags", "list") => return Some(Place::Tags { repository }),
        ("blobs", "uploads") => return Some(Place::Uploads { repository }),
        ("blobs", digest) => return Some(Place::Blob { repository, digest }),
        ("manifests", reference) => return Some(Place::Manifest { repository, reference }),
        ("referrers", digest) => return Some(Place::Referrers { repository, digest }),
        _ => {}
    }
    let repository = before.strip_suffix("/blobs/uploads")?;
    Some(if last.is_empty() { Place::Uploads { repository } } else { Place::Upload { repository, id: last } })
}

fn named(repository: &str) -> Result<Repository, Fault> {
    Repository::parse(repository)
        .ok_or_else(|| Fault::bad("NAME_INVALID", format!("`{repository}` is not a repository's name")))
}

fn digest(text: &str) -> Result<Digest, Fault> {
    Digest::parse(text).ok_or_else(|| {
        let message = format!("`{text}` is not a digest of the form sha256:<64 hexadecimal digits>");
        Fault::bad("DIGEST_INVALID", message)
    })
}

fn not_allowed(method: &Method, path: &str) -> Fault {
    Fault::new(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", format!("{method} is not for {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_from_its_end() {
        let cases = [
            ("/v2", Place::Base),
            ("/v2/", Place::Base),
            ("/v2/a/tags/list", Place::Tags { repository: "a" }),
            ("/v2/a/b/blobs/uploads/", Place::Uploads { repository: "a/b" }),
            ("/v2/a/b/blobs/uploads", Place::Uploads { repository: "a/b" }),
            ("/v2/a/blobs/uploads/7", Place::Upload { repository: "a", id: "7" }),
            ("/v2/a/blobs/x", Place::Blob { repository: "a", digest: "x" }),
            ("/v2/a/blobs/b/manifests/x", Place::Manifest { repository: "a/blobs/b", reference: "x" }),
            ("/v2/a/manifests/b/blobs/x", Place::Blob { repository: "a/manifests/b", digest: "x" }),
            ("/v2/a/referrers/x", Place::Referrers { repository: "a", digest: "x" }),
        ];
        for (path, expected) in cases {
            assert_eq!(place(path), Some(expected), "{path}");
        }
        for path in ["/v3/", "/v2/a", "/v2/apis/x", "/v2x"] {
            assert_eq!(place(path), None, "{path}");
        }
    }
}
