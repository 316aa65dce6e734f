//! Where on this machine an address of the cloud is answered.
//!
//! In: a function URL or an HTTP API's endpoint as Terraform outputs it, and the gateway's address. Out: the address of
//! the same under the gateway, path and query kept. What is neither of the two gives nothing.

/// Where the gateway answers function URLs by path: `<prefix>/<url id>/<path>`.
pub const LAMBDA_URL_PATH: &str = "/_slipway/lambda-url";
/// Where the gateway answers HTTP APIs by path: `<prefix>/<api id>/<path>`.
pub const EXECUTE_API_PATH: &str = "/_slipway/execute-api";

/// Gives the gateway's address of a function URL, `https://<id>.lambda-url.<region>.on.aws/…` or its host alone.
///
/// The answer has no slash at its end where the given address had none.
pub fn lambda_url_address(gateway_url: &str, function_url: &str) -> Option<String> {
    address(gateway_url, function_url, LAMBDA_URL_PATH, lambda_url_id)
}

/// Gives the gateway's address of an HTTP API, `https://<id>.execute-api.<region>.amazonaws.com/…` or its host alone.
///
/// The answer has no slash at its end where the given address had none.
pub fn api_address(gateway_url: &str, api_endpoint: &str) -> Option<String> {
    address(gateway_url, api_endpoint, EXECUTE_API_PATH, api_id)
}

/// Gives the gateway's address of either; what is neither is handed back as it is.
pub fn local_address(gateway_url: &str, address: &str) -> String {
    lambda_url_address(gateway_url, address)
        .or_else(|| api_address(gateway_url, address))
        .unwrap_or_else(|| address.to_owned())
}

/// Takes the id out of a function URL's host.
pub(crate) fn lambda_url_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once(".lambda-url.")?;
    let region =
        rest.strip_suffix(".on.aws").or_else(|| rest.strip_suffix(".on.amazonwebservices.com.cn"))?;
    (is_label(id) && is_label(region)).then_some(id)
}

/// Takes the id out of an HTTP API's host.
pub(crate) fn api_id(host: &str) -> Option<&str> {
    let (id, rest) = host.split_once(".execute-api.")?;
    let region = rest.strip_suffix(".amazonaws.com.cn").or_else(|| rest.strip_suffix(".amazonaws.com"))?;
    (is_label(id) && is_label(region)).then_some(id)
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
    fn an_address_of_the_cloud_has_one_here() {
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
        for other in
            ["https://example.org/", "https://a/b.lambda-url.x.on.aws", "https://.lambda-url.x.on.aws", ""]
        {
            assert_eq!(url(other), None, "{other}");
            assert_eq!(local_address(gateway, other), other);
        }
        assert_eq!(url(api), None);
    }
}
