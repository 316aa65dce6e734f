//! Cross-origin resource sharing (CORS) of function URLs and HTTP APIs.
//!
//! In: the configured rules, and a request's headers. Out: the response's CORS headers, and the complete response to a
//! preflight request. For an origin that is not allowed the headers are left out, and the browser blocks the response.
//! See <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors>.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// The configured rules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CorsRules {
    credentials: bool,
    headers: Vec<String>,
    methods: Vec<String>,
    origins: Vec<String>,
    exposed: Vec<String>,
    max_age: Option<u64>,
}

impl CorsRules {
    /// Reads `Cors` of a function URL or `corsConfiguration` of an API; `None` if nothing is configured.
    pub(crate) fn read(configured: &Value) -> Option<Self> {
        let members = configured.as_object().filter(|members| !members.is_empty())?;
        let find = |name: &str| {
            members
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map_or(&Value::Null, |(_, value)| value)
        };
        let list = |name| {
            let items = find(name).as_array().into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Some(Self {
            credentials: find("AllowCredentials") == &Value::Bool(true),
            headers: list("AllowHeaders"),
            methods: list("AllowMethods"),
            origins: list("AllowOrigins"),
            exposed: list("ExposeHeaders"),
            max_age: find("MaxAge").as_u64(),
        })
    }

    /// Returns the response to a preflight request; `None` for any other request.
    pub(crate) fn preflight(&self, parts: &Parts, status: StatusCode) -> Option<Response> {
        let is_preflight = parts.method == Method::OPTIONS
            && parts.headers.contains_key(header::ORIGIN)
            && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if self.allowed_origin(&parts.headers).is_some() {
            put(headers, header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(","));
            put(headers, header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(","));
            if let Some(seconds) = self.max_age {
                put(headers, header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
            }
        }
        self.apply(&parts.headers, &mut response);
        Some(response)
    }

    /// Replaces the CORS headers of a function's response with those of the rules.
    pub(crate) fn apply(&self, request_headers: &HeaderMap, response: &mut Response) {
        let headers = response.headers_mut();
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            headers.remove(name);
        }
        let Some(origin) = self.allowed_origin(request_headers) else {
            return;
        };
        put(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
        put(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(","));
        if self.credentials {
            put(headers, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if origin != "*" {
            headers.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// Returns the value of Access-Control-Allow-Origin: the request's origin or `*`; `None` if it is not allowed.
    fn allowed_origin(&self, request_headers: &HeaderMap) -> Option<String> {
        let origin = request_headers.get(header::ORIGIN)?.to_str().ok()?;
        let any = self.origins.iter().any(|allowed| allowed == "*");
        let matches = |allowed: &String| match allowed.split_once('*') {
            Some((start, end)) => {
                origin.len() >= allowed.len() - 1 && origin.starts_with(start) && origin.ends_with(end)
            }
            None => allowed == origin,
        };
        match any {
            true if !self.credentials => Some("*".to_owned()),
            true => Some(origin.to_owned()),
            false => self.origins.iter().any(matches).then(|| origin.to_owned()),
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value)
        && !value.is_empty()
    {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;
    use serde_json::json;

    fn request(method: &str, origin: &str) -> Parts {
        let request = Request::builder().method(method).header("origin", origin);
        request.header("access-control-request-method", "POST").body(()).unwrap().into_parts().0
    }

    #[test]
    fn cors_headers_are_sent_to_allowed_origins_only() {
        let rules = CorsRules::read(&json!({
            "AllowOrigins": ["https://a.example", "https://*.b.example"], "AllowMethods": ["GET", "POST"],
            "AllowHeaders": ["x-api-key"], "MaxAge": 60, "AllowCredentials": true, "ExposeHeaders": ["x-id"],
        }))
        .unwrap();
        for (origin, allowed) in [
            ("https://a.example", true),
            ("https://www.b.example", true),
            ("https://c.example", false),
            ("https://a.example.evil", false),
        ] {
            let response = rules.preflight(&request("OPTIONS", origin), StatusCode::OK).unwrap();
            let found =
                response.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(found, allowed.then_some(origin));
            assert_eq!(response.headers().contains_key("access-control-allow-methods"), allowed);
            assert_eq!(response.headers().contains_key("access-control-allow-credentials"), allowed);
        }
        assert!(rules.preflight(&request("POST", "https://a.example"), StatusCode::OK).is_none());
    }

    #[test]
    fn cors_rules_of_an_api_are_read_and_empty_ones_are_none() {
        let rules = CorsRules::read(&json!({ "allowOrigins": ["*"], "maxAge": 5 })).unwrap();
        let response = rules.preflight(&request("OPTIONS", "https://x"), StatusCode::NO_CONTENT).unwrap();
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        assert_eq!(response.headers()["access-control-max-age"], "5");
        assert_eq!((CorsRules::read(&json!({})), CorsRules::read(&Value::Null)), (None, None));
    }
}
