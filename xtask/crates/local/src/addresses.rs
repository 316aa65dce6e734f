//! Translates cloud addresses of function URLs and HTTP APIs to addresses of the local gateway.
//!
//! In: a function URL or an HTTP API's endpoint as Terraform outputs it, and the gateway's address. Out: the gateway's
//! address for it, with the same path and query; `None` for any other address.

use slipway_values::partition::Partition;

/// The path under which the gateway serves function URLs: `<prefix>/<url id>/<path>`.
pub const LAMBDA_URL_PATH: &str = "/_slipway/lambda-url";
/// The path under which the gateway serves HTTP APIs: `<prefix>/<api id>/<path>`.
pub const EXECUTE_API_PATH: &str = "/_slipway/execute-api";

/// Returns the gateway's address for a function URL: `https://<id>.lambda-url.<region>.on.aws/…` or only its host.
///
/// The result ends in a slash only where the given address does.
pub fn lambda_url_address(gateway_url: &str, function_url: &str) -> Option<String> {
    address(gateway_url, function_url, LAMBDA_URL_PATH, lambda_url_id)
}

/// Returns the gateway's address for an HTTP API: `https://<id>.execute-api.<region>.amazonaws.com/…` or only its host.
///
/// The result ends in a slash only where the given address does.
pub fn api_address(gateway_url: &str, api_endpoint: &str) -> Option<String> {
    address(gateway_url, api_endpoint, EXECUTE_API_PATH, api_id)
}

/// Returns the gateway's address for a function URL or an HTTP API, and any other address unchanged.
pub fn local_address(gateway_url: &str, address: &str) -> String {
    lambda_url_address(gateway_url, address)
        .or_else(|| api_address(gateway_url, address))
        .unwrap_or_else(|| address.to_owned())
}

/// Returns the id in a function URL's host.
pub(crate) fn lambda_url_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once(".lambda-url.")?;
    let region =
        rest.strip_suffix(".on.aws").or_else(|| rest.strip_suffix(".on.amazonwebservices.com.cn"))?;
    (is_label(id) && is_label(region)).then_some(id)
}

/// Returns the id in an HTTP API's host.
pub(crate) fn api_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once(".execute-api.")?;
    let (region, suffix) = rest.split_once('.')?;
    let is_api = is_label(id) && is_label(region) && suffix == Partition::of_region(region).dns_suffix();
    is_api.then_some(id)
}

fn address(gateway_url: &str, given: &str, prefix: &str, id: fn(&str) -> Option<&str>) -> Option<String> {
    let rest = given.strip_prefix("https://").or_else(|| given.strip_prefix("http://")).unwrap_or(given);
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(end);
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_ascii_lowercase();
    let id = id(&host)?;
    Some(format!("{}{prefix}/{id}{path}", gateway_url.trim_end_matches('/')))
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_address_maps_to_the_gateway() {
        let gateway = "http://127.0.0.1:4000/";
        let url = |url: &str| lambda_url_address(gateway, url);
        let at = |path: &str| Some(format!("http://127.0.0.1:4000{path}"));
        assert_eq!(url("https://ab12.lambda-url.eu-central-1.on.aws/"), at("/_slipway/lambda-url/ab12/"));
        assert_eq!(url("ab12.lambda-url.eu-central-1.on.aws"), at("/_slipway/lambda-url/ab12"));
        assert_eq!(
            url("https://ab12.lambda-url.eu-central-1.on.aws/traces/1?x=%2F"),
            at("/_slipway/lambda-url/ab12/traces/1?x=%2F")
        );
        let api = "https://q1.execute-api.eu-central-1.amazonaws.com";
        assert_eq!(api_address(gateway, api), at("/_slipway/execute-api/q1"));
        assert_eq!(api_address(gateway, &format!("{api}/v1/a")), at("/_slipway/execute-api/q1/v1/a"));
        assert_eq!(Some(local_address(gateway, api)), at("/_slipway/execute-api/q1"));
        let api_in_china = "https://q1.execute-api.cn-north-1.amazonaws.com.cn";
        assert_eq!(api_address(gateway, api_in_china), at("/_slipway/execute-api/q1"));
        for other in
            ["https://example.org/", "https://a/b.lambda-url.x.on.aws", "https://.lambda-url.x.on.aws", ""]
        {
            assert_eq!(url(other), None, "{other}");
            assert_eq!(local_address(gateway, other), other);
        }
        assert_eq!(url(api), None);
    }
}
