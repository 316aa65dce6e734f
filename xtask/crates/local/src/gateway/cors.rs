//! Cross-origin requests as function URLs and HTTP APIs answer them in front of a function.
//!
//! In: the rules that somebody configured, and a request's headers. Out: the headers of the answer, and the whole answer
//! where a browser only asks whether it may. An origin that is not allowed is answered without those headers, which is
//! what the browser refuses. See <https://docs.aws.amazon.com/lambda/latest/dg/urls-configuration.html#urls-cors>.

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// What is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    credentials: bool,
    headers: Vec<String>,
    methods: Vec<String>,
    origins: Vec<String>,
    exposed: Vec<String>,
    max_age: Option<u64>,
}

impl Rules {
    /// Reads `Cors` of a function URL, or `corsConfiguration` of an API; `None` where nothing is configured.
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

    /// Answers a browser that asks whether it may; `None` for a request that is to reach the function.
    pub(crate) fn preflight(&self, parts: &Parts, status: StatusCode) -> Option<Response> {
        let asks = parts.method == Method::OPTIONS
            && parts.headers.contains_key(header::ORIGIN)
            && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let told = response.headers_mut();
        if self.origin(&parts.headers).is_some() {
            put(told, header::ACCESS_CONTROL_ALLOW_METHODS, &self.methods.join(","));
            put(told, header::ACCESS_CONTROL_ALLOW_HEADERS, &self.headers.join(","));
            if let Some(seconds) = self.max_age {
                put(told, header::ACCESS_CONTROL_MAX_AGE, &seconds.to_string());
            }
        }
        self.mark(&parts.headers, &mut response);
        Some(response)
    }

    /// Puts what is configured in the place of what the function said of it.
    pub(crate) fn mark(&self, asked: &HeaderMap, response: &mut Response) {
        let told = response.headers_mut();
        for name in [
            header::ACCESS_CONTROL_ALLOW_ORIGIN,
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
        ] {
            told.remove(name);
        }
        let Some(origin) = self.origin(asked) else {
            return;
        };
        put(told, header::ACCESS_CONTROL_ALLOW_ORIGIN, &origin);
        put(told, header::ACCESS_CONTROL_EXPOSE_HEADERS, &self.exposed.join(","));
        if self.credentials {
            put(told, header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
        }
        if origin != "*" {
            told.append(header::VARY, HeaderValue::from_static("Origin"));
        }
    }

    /// What the answer says of the request's origin: itself, `*`, or nothing where it is not allowed.
    fn origin(&self, asked: &HeaderMap) -> Option<String> {
        let origin = asked.get(header::ORIGIN)?.to_str().ok()?;
        let any = self.origins.iter().any(|allowed| allowed == "*");
        let fits = |allowed: &String| match allowed.split_once('*') {
            Some((start, end)) => {
                origin.len() >= allowed.len() - 1 && origin.starts_with(start) && origin.ends_with(end)
            }
            None => allowed == origin,
        };
        match any {
            true if !self.credentials => Some("*".to_owned()),
            true => Some(origin.to_owned()),
            false => self.origins.iter().any(fits).then(|| origin.to_owned()),
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

    fn asked(method: &str, origin: &str) -> Parts {
        let request = Request::builder().method(method).header("origin", origin);
        request.header("access-control-request-method", "POST").body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_origins_that_are_allowed_hear_so() {
        let rules = Rules::read(&json!({
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
            let answer = rules.preflight(&asked("OPTIONS", origin), StatusCode::OK).unwrap();
            let found =
                answer.headers().get("access-control-allow-origin").map(|value| value.to_str().unwrap());
            assert_eq!(found, allowed.then_some(origin));
            assert_eq!(answer.headers().contains_key("access-control-allow-methods"), allowed);
            assert_eq!(answer.headers().contains_key("access-control-allow-credentials"), allowed);
        }
        assert!(rules.preflight(&asked("POST", "https://a.example"), StatusCode::OK).is_none());
    }

    #[test]
    fn an_apis_rules_read_the_same_and_none_are_none() {
        let rules = Rules::read(&json!({ "allowOrigins": ["*"], "maxAge": 5 })).unwrap();
        let answer = rules.preflight(&asked("OPTIONS", "https://x"), StatusCode::NO_CONTENT).unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
        assert_eq!(answer.headers()["access-control-max-age"], "5");
        assert_eq!((Rules::read(&json!({})), Rules::read(&Value::Null)), (None, None));
    }
}
