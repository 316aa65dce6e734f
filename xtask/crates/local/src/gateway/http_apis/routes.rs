//! Finds the route of a request to an HTTP API.
//!
//! In: route keys (`GET /objects/{key}`, `ANY /{proxy+}`, `$default`), a method and a path. Out: the most specific route
//! that matches, and the decoded values of its variables. A full match comes before a greedy one, an exact method before
//! `ANY`, and `$default` comes last.
//! See <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html>.

use crate::http;
use serde_json::Value;

/// One route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) key: String,
    /// `NONE`, `AWS_IAM`, `JWT` or `CUSTOM`.
    pub(super) authorization: String,
    /// The integration's id.
    pub(super) integration: Option<String>,
}

impl Route {
    /// Reads API Gateway's description of a route.
    pub(super) fn read(route: &Value) -> Self {
        let text = |name: &str| route[name].as_str().unwrap_or_default();
        let authorization = text("authorizationType");
        Self {
            key: text("routeKey").to_owned(),
            authorization: if authorization.is_empty() { "NONE" } else { authorization }.to_owned(),
            integration: text("target").strip_prefix("integrations/").map(str::to_owned),
        }
    }
}

/// How specific a match is; the greater one is used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Specificity {
    /// 2 for a literal part, 1 for a variable, 0 for a greedy variable; the first difference decides.
    parts: Vec<u8>,
    exact_method: bool,
}

/// Returns the route of a request, and the values of its variables.
pub(super) fn find_route<'a>(
    routes: &'a [Route],
    method: &str,
    path: &str,
) -> Option<(&'a Route, Vec<(String, String)>)> {
    let matches = routes.iter().filter_map(|route| {
        let (specificity, variables) = match_route(&route.key, method, path)?;
        Some((specificity, route, variables))
    });
    let best = matches.max_by(|one, other| one.0.cmp(&other.0));
    let best = best.map(|(_, route, variables)| (route, variables));
    best.or_else(|| routes.iter().find(|route| route.key == "$default").map(|route| (route, Vec::new())))
}

fn match_route(key: &str, method: &str, path: &str) -> Option<(Specificity, Vec<(String, String)>)> {
    let (wanted, pattern) = key.split_once(' ')?;
    if wanted != "ANY" && wanted != method {
        return None;
    }
    let mut left = parts(path);
    let mut specificity = Specificity { parts: Vec::new(), exact_method: wanted != "ANY" };
    let mut variables = Vec::new();
    for part in parts(pattern) {
        let variable = part.strip_prefix('{').and_then(|name| name.strip_suffix('}'));
        match variable.map(|name| (name, name.strip_suffix('+'))) {
            Some((_, Some(greedy))) => {
                let rest = left.join("/");
                if rest.is_empty() {
                    return None;
                }
                specificity.parts.push(0);
                variables.push((greedy.to_owned(), http::decode_path(&rest)));
                return Some((specificity, variables));
            }
            Some((name, None)) => {
                let value = left.first().filter(|value| !value.is_empty())?;
                variables.push((name.to_owned(), http::decode_path(value)));
                specificity.parts.push(1);
            }
            None => {
                if *left.first()? != part {
                    return None;
                }
                specificity.parts.push(2);
            }
        }
        left.remove(0);
    }
    left.is_empty().then_some((specificity, variables))
}

/// Returns the parts of a path between slashes; one slash at the end is ignored.
fn parts(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_specific_route_is_used() {
        let keys = [
            "$default",
            "ANY /{proxy+}",
            "GET /objects",
            "GET /objects/{key}",
            "ANY /objects/{key}",
            "GET /objects/latest",
            "POST /objects/{key}/{rest+}",
            "GET /",
        ];
        let routes: Vec<Route> =
            keys.iter().map(|key| Route { key: (*key).to_owned(), ..Route::default() }).collect();
        let found = |method: &str, path: &str| {
            let (route, variables) = find_route(&routes, method, path).unwrap();
            let variables: Vec<String> =
                variables.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            (route.key.clone(), variables.join(" "))
        };
        for (method, path, key, variables) in [
            ("GET", "/objects", "GET /objects", ""),
            ("GET", "/objects/", "GET /objects", ""),
            ("GET", "/objects/latest", "GET /objects/latest", ""),
            ("GET", "/objects/a%2Fb+c", "GET /objects/{key}", "key=a/b+c"),
            ("PUT", "/objects/x", "ANY /objects/{key}", "key=x"),
            ("POST", "/objects/x/y/z", "POST /objects/{key}/{rest+}", "key=x rest=y/z"),
            ("GET", "/objects/x/y", "ANY /{proxy+}", "proxy=objects/x/y"),
            ("DELETE", "/objects", "ANY /{proxy+}", "proxy=objects"),
            ("GET", "/", "GET /", ""),
            ("PUT", "/", "$default", ""),
        ] {
            assert_eq!(found(method, path), (key.to_owned(), variables.to_owned()), "{method} {path}");
        }
        assert!(find_route(&routes[2..3], "GET", "/other").is_none());
        assert!(find_route(&routes[2..3], "POST", "/objects").is_none());
    }

    #[test]
    fn route_without_authorization_is_open() {
        let description = serde_json::json!({ "routeKey": "GET /", "target": "integrations/i" });
        let route = Route::read(&description);
        assert_eq!((route.authorization.as_str(), route.integration.as_deref()), ("NONE", Some("i")));
    }
}
