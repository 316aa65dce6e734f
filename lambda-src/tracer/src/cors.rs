//! CORS: the origins whose pages may call the API from a browser.
//!
//! In: the origins allowed, and a request's `Origin`. Out: headers of the answer. The function is the one place that
//! does this: the function URL in front of it has no `cors` of its own, because Lambda would add its headers to those
//! of the function, and a browser refuses an answer with two `Access-Control-Allow-Origin`. Unlike the URL's, the
//! function's answers are the same behind an HTTP API and on a laptop.

use crate::event::Request;
use http_function::Response;

/// How long a browser may remember a preflight's answer, in seconds: Chromium's limit.
const REMEMBERED: &str = "7200";

/// The origins whose pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Those in the list, which may be empty.
    Only(Vec<String>),
    /// Every origin.
    All,
}

impl Origins {
    /// Reads a list with commas, such as `https://shop.example,http://localhost:3000`, or `*`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let origins: Vec<&str> = text.split(',').map(str::trim).filter(|origin| !origin.is_empty()).collect();
        if origins == ["*"] {
            return Ok(Self::All);
        }
        for origin in &origins {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let plain = |host: &str| !host.is_empty() && !host.contains(['/', '?', '#', '*', ' ']);
            if !host.is_some_and(plain) {
                return Err(format!(
                    "`{origin}` is no origin: scheme and host, and the port where it is not the usual one, \
                     such as https://shop.example; or `*` alone"
                ));
            }
        }
        Ok(Self::Only(origins.into_iter().map(str::to_ascii_lowercase).collect()))
    }

    /// Returns whether any origin is allowed.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Only(origins) if origins.is_empty())
    }

    /// Returns whether a request is a CORS preflight.
    pub(crate) fn is_preflight(&self, request: &Request) -> bool {
        !self.is_empty()
            && request.method == "OPTIONS"
            && request.header("origin").is_some()
            && request.header("access-control-request-method").is_some()
    }

    /// Returns the response to a preflight for a path that allows `method`.
    pub(crate) fn preflight(&self, request: &Request, method: &'static str) -> Response {
        let mut response = Response::empty(204);
        if self.allows(request) {
            response.set("access-control-allow-methods", method);
            response.set("access-control-allow-headers", "content-type, x-api-key");
            response.set("access-control-max-age", REMEMBERED);
        }
        response
    }

    /// Adds the CORS headers to a response, where the request's origin is allowed.
    pub(crate) fn mark(&self, request: &Request, response: &mut Response) {
        if self.is_empty() {
            return;
        }
        if *self != Self::All {
            // A cache must not give one origin's answer to another.
            response.set("vary", "Origin");
        }
        if let (true, Some(origin)) = (self.allows(request), request.header("origin")) {
            let allowed = if *self == Self::All { "*" } else { origin };
            response.set("access-control-allow-origin", allowed);
            response.set("access-control-expose-headers", "allow, retry-after, x-request-id");
        }
    }

    fn allows(&self, request: &Request) -> bool {
        match self {
            Self::All => true,
            Self::Only(origins) => request
                .header("origin")
                .is_some_and(|origin| origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Origins;
    use crate::event::Request;
    use http_function::Response;

    fn asked(method: &str, origin: &str) -> Request {
        let event = json!({
            "version": "2.0", "rawPath": "/api/traces",
            "headers": { "origin": origin, "access-control-request-method": "POST" },
            "requestContext": { "http": { "method": method } },
        });
        Request::parse(event).expect("a request")
    }

    #[test]
    fn reads_origins_and_refuses_what_no_browser_sends() {
        assert_eq!(Origins::parse(" * "), Ok(Origins::All));
        assert_eq!(Origins::parse(""), Ok(Origins::Only(vec![])));
        let two = Origins::parse("https://Shop.example, http://localhost:3000,").expect("origins");
        let expected = vec!["https://shop.example".to_owned(), "http://localhost:3000".to_owned()];
        assert_eq!(two, Origins::Only(expected));
        for wrong in
            ["shop.example", "https://", "https://shop.example/", "*,https://a.example", "https://*.a"]
        {
            let why = Origins::parse(wrong).expect_err(wrong);
            assert!(why.contains("is no origin"), "{why}");
        }
    }

    #[test]
    fn marks_answers_for_allowed_origins_alone() {
        let origins = Origins::parse("https://shop.example").expect("origins");
        let mut answer = Response::empty(204);
        origins.mark(&asked("GET", "https://shop.example"), &mut answer);
        assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
        assert_eq!(answer.header("vary"), Some("Origin"));
        let mut answer = Response::empty(204);
        origins.mark(&asked("GET", "https://evil.example"), &mut answer);
        assert_eq!(
            (answer.header("access-control-allow-origin"), answer.header("vary")),
            (None, Some("Origin"))
        );
        let mut answer = Response::empty(204);
        Origins::All.mark(&asked("GET", "https://evil.example"), &mut answer);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        let mut answer = Response::empty(204);
        Origins::Only(vec![]).mark(&asked("GET", "https://shop.example"), &mut answer);
        assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), (None, None));
    }

    #[test]
    fn a_preflight_is_a_browsers_question_where_browsers_are_answered() {
        let origins = Origins::parse("https://shop.example").expect("origins");
        let question = asked("OPTIONS", "https://shop.example");
        assert!(origins.is_preflight(&question) && !Origins::Only(vec![]).is_preflight(&question));
        assert!(!origins.is_preflight(&asked("GET", "https://shop.example")));
        let answer = origins.preflight(&question, "POST");
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        assert_eq!(answer.header("access-control-allow-headers"), Some("content-type, x-api-key"));
        let answer = origins.preflight(&asked("OPTIONS", "https://evil.example"), "POST");
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
}
