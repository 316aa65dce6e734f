//! Dispatches requests under `/v2/`.
//!
//! In: method, path and query. Out: the response. Errors: an unknown path, a malformed name in it, a method that the path
//! does not have.

use super::error::RegistryError;
use super::name::{Reference, Repository};
use super::query::{Query, parse_digest};
use super::store::Registry;
use super::{blobs, manifests, referrers, uploads};
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

/// The resource of a path.
#[derive(Debug, PartialEq, Eq)]
enum Resource<'a> {
    Base,
    Blob { repository: &'a str, digest: &'a str },
    Uploads { repository: &'a str },
    Upload { repository: &'a str, id: &'a str },
    Manifest { repository: &'a str, reference: &'a str },
    Tags { repository: &'a str },
    Referrers { repository: &'a str, digest: &'a str },
}

/// Responds to a request whose path begins with `/v2`.
pub(crate) async fn handle(registry: &Registry, request: Request) -> Response {
    let mut response = dispatch(registry, request).await.unwrap_or_else(IntoResponse::into_response);
    let version = HeaderValue::from_static("registry/2.0");
    response.headers_mut().insert("docker-distribution-api-version", version);
    response
}

async fn dispatch(registry: &Registry, request: Request) -> Result<Response, RegistryError> {
    let path = request.uri().path().replace("%3A", ":").replace("%3a", ":");
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let method = request.method().clone();
    let unknown = || RegistryError::not_found("UNSUPPORTED", format!("a registry has no path `{path}`"));
    match (resource(&path).ok_or_else(unknown)?, &method) {
        (Resource::Base, &Method::GET | &Method::HEAD) => Ok(StatusCode::OK.into_response()),
        (Resource::Blob { repository, digest }, &Method::GET | &Method::HEAD) => {
            let (repository, digest) = (parse_repository(repository)?, parse_digest(digest)?);
            blobs::read(registry, &repository, &digest, &method, request.headers()).await
        }
        (Resource::Uploads { repository }, &Method::POST) => {
            uploads::begin(registry, &parse_repository(repository)?, &query, request.into_body()).await
        }
        (Resource::Upload { repository, id }, _) => {
            let repository = parse_repository(repository)?;
            match method {
                Method::GET => uploads::status(registry, &repository, id).await,
                Method::PATCH => uploads::append(registry, &repository, id, request).await,
                Method::PUT => uploads::finish(registry, &repository, id, &query, request).await,
                Method::DELETE => uploads::cancel(registry, &repository, id).await,
                _ => Err(not_allowed(&method, &path)),
            }
        }
        (Resource::Manifest { repository, reference }, _) => {
            let repository = parse_repository(repository)?;
            let reference = Reference::parse(reference).ok_or_else(|| {
                let code = if reference.contains(':') { "DIGEST_INVALID" } else { "TAG_INVALID" };
                RegistryError::bad_request(
                    code,
                    format!("`{reference}` is neither a tag nor a SHA-256 digest"),
                )
            })?;
            match method {
                Method::GET | Method::HEAD => manifests::read(registry, &repository, &reference, &method),
                Method::PUT => manifests::write(registry, &repository, &reference, request).await,
                Method::DELETE => manifests::delete(registry, &repository, &reference),
                _ => Err(not_allowed(&method, &path)),
            }
        }
        (Resource::Tags { repository }, &Method::GET) => {
            manifests::tags(registry, &parse_repository(repository)?, &query)
        }
        (Resource::Referrers { repository, digest }, &Method::GET) => {
            referrers::list(registry, &parse_repository(repository)?, &parse_digest(digest)?, &query)
        }
        _ => Err(not_allowed(&method, &path)),
    }
}

/// Parses a path from its end, because a repository's name may contain any of the words.
fn resource(path: &str) -> Option<Resource<'_>> {
    let rest = path.strip_prefix("/v2")?;
    if matches!(rest, "" | "/") {
        return Some(Resource::Base);
    }
    let rest = rest.strip_prefix('/')?;
    let (before, last) = rest.rsplit_once('/')?;
    let (repository, word) = before.rsplit_once('/')?;
    match (word, last) {
        ("tags", "list") => return Some(Resource::Tags { repository }),
        ("blobs", "uploads") => return Some(Resource::Uploads { repository }),
        ("blobs", digest) => return Some(Resource::Blob { repository, digest }),
        ("manifests", reference) => return Some(Resource::Manifest { repository, reference }),
        ("referrers", digest) => return Some(Resource::Referrers { repository, digest }),
        _ => {}
    }
    let repository = before.strip_suffix("/blobs/uploads")?;
    Some(if last.is_empty() {
        Resource::Uploads { repository }
    } else {
        Resource::Upload { repository, id: last }
    })
}

fn parse_repository(repository: &str) -> Result<Repository, RegistryError> {
    Repository::parse(repository).ok_or_else(|| {
        RegistryError::bad_request("NAME_INVALID", format!("`{repository}` is not a repository's name"))
    })
}

fn not_allowed(method: &Method, path: &str) -> RegistryError {
    RegistryError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "UNSUPPORTED",
        format!("{path} does not have the method {method}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_is_parsed_from_its_end() {
        let cases = [
            ("/v2", Resource::Base),
            ("/v2/", Resource::Base),
            ("/v2/a/tags/list", Resource::Tags { repository: "a" }),
            ("/v2/a/b/blobs/uploads/", Resource::Uploads { repository: "a/b" }),
            ("/v2/a/b/blobs/uploads", Resource::Uploads { repository: "a/b" }),
            ("/v2/a/blobs/uploads/7", Resource::Upload { repository: "a", id: "7" }),
            ("/v2/a/blobs/x", Resource::Blob { repository: "a", digest: "x" }),
            ("/v2/a/blobs/b/manifests/x", Resource::Manifest { repository: "a/blobs/b", reference: "x" }),
            ("/v2/a/manifests/b/blobs/x", Resource::Blob { repository: "a/manifests/b", digest: "x" }),
            ("/v2/a/referrers/x", Resource::Referrers { repository: "a", digest: "x" }),
        ];
        for (path, expected) in cases {
            assert_eq!(resource(path), Some(expected), "{path}");
        }
        for path in ["/v3/", "/v2/a", "/v2/apis/x", "/v2x"] {
            assert_eq!(resource(path), None, "{path}");
        }
    }
}
