//! The routes of the API.
//!
//! In: method and path. Out: a [`Route`] with the ids as they were sent, decoded and not yet checked. What can go
//! wrong: 404 for an unknown path, 405 with the method that the path has.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

use http_function::ApiError;

/// An operation of the API.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Health,
    CreateTrace,
    ReadTrace { trace_id: String },
    AddSpan { trace_id: String },
    CompleteTrace { trace_id: String },
    CompleteSpan { span_id: String },
    ListTraces { project_id: String },
}

impl Route {
    /// Returns the operation of a request.
    pub(crate) fn find(method: &str, path: &str) -> Result<Self, ApiError> {
        let route = Self::at(path)?;
        let known = route.method();
        if method == known { Ok(route) } else { Err(ApiError::method(known)) }
    }

    /// Returns the match of a path. Each path knows exactly one method.
    pub(crate) fn at(path: &str) -> Result<Self, ApiError> {
        // A base URL ends with a slash, and clients add one more.
        let segments: Vec<Cow<'_, str>> = path
            .trim_start_matches('/')
            .split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy())
            .collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let own = |id: &&str| (*id).to_owned();
        match segments.as_slice() {
            ["api", "health"] => Ok(Self::Health),
            ["api", "traces"] => Ok(Self::CreateTrace),
            ["api", "traces", id] => Ok(Self::ReadTrace { trace_id: own(id) }),
            ["api", "traces", id, "spans"] => Ok(Self::AddSpan { trace_id: own(id) }),
            ["api", "traces", id, "complete"] => Ok(Self::CompleteTrace { trace_id: own(id) }),
            ["api", "spans", id, "complete"] => Ok(Self::CompleteSpan { span_id: own(id) }),
            ["api", "projects", id, "traces"] => Ok(Self::ListTraces { project_id: own(id) }),
            _ => Err(ApiError::not_found("there is no such path")),
        }
    }

    /// Returns the one method that the route's path knows.
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::Health | Self::ReadTrace { .. } | Self::ListTraces { .. } => "GET",
            Self::CreateTrace | Self::AddSpan { .. } => "POST",
            Self::CompleteTrace { .. } | Self::CompleteSpan { .. } => "PATCH",
        }
    }

    /// Returns the route's template, for logs: they never contain what a caller sent.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Health => "/api/health",
            Self::CreateTrace => "/api/traces",
            Self::ReadTrace { .. } => "/api/traces/{trace_id}",
            Self::AddSpan { .. } => "/api/traces/{trace_id}/spans",
            Self::CompleteTrace { .. } => "/api/traces/{trace_id}/complete",
            Self::CompleteSpan { .. } => "/api/spans/{span_id}/complete",
            Self::ListTraces { .. } => "/api/projects/{project_id}/traces",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn finds_every_route() {
        let id = || "a:1".to_owned();
        for (method, path, expected) in [
            ("GET", "/api/health", Route::Health),
            ("POST", "//api/traces", Route::CreateTrace),
            ("GET", "/api/traces/a%3A1", Route::ReadTrace { trace_id: id() }),
            ("POST", "/api/traces/a:1/spans", Route::AddSpan { trace_id: id() }),
            ("PATCH", "/api/traces/a:1/complete", Route::CompleteTrace { trace_id: id() }),
            ("PATCH", "/api/spans/a:1/complete", Route::CompleteSpan { span_id: id() }),
            ("GET", "/api/projects/a:1/traces", Route::ListTraces { project_id: id() }),
        ] {
            assert_eq!(Route::find(method, path).expect(path), expected);
        }
    }

    #[test]
    fn a_template_is_its_own_route() {
        for path in ["/api/traces", "/api/traces/1", "/api/traces/1/spans", "/api/spans/1/complete"] {
            let route = Route::at(path).expect(path);
            let filled = route.template().replace("{trace_id}", "1").replace("{span_id}", "1");
            assert_eq!(filled, path);
        }
    }

    #[test]
    fn refuses_unknown_paths_and_methods() {
        for path in
            ["/", "", "/api", "/api/traces/", "/api/traces/1/", "/api/traces/1/2", "/api/Health", "/health"]
        {
            let error = Route::find("GET", path).map(|route| route.template());
            // `/api/traces/` is a trace without an id, refused when the id is checked.
            let status = error.as_ref().map_or_else(http_function::ApiError::status, |_| 200);
            assert_eq!(status, if path == "/api/traces/" { 200 } else { 404 }, "{path}");
        }
        for (method, path, allowed) in [
            ("GET", "/api/traces", "POST"),
            ("DELETE", "/api/traces/1", "GET"),
            ("POST", "/api/spans/1/complete", "PATCH"),
            ("OPTIONS", "/api/health", "GET"),
        ] {
            let error = Route::find(method, path).expect_err(path);
            assert_eq!((error.status(), error.response("").header("allow")), (405, Some(allowed)));
        }
    }
}
