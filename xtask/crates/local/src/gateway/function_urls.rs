//! Lambda's function URL calls. The emulator is not used for them: it keeps one URL for each function, without qualifiers.
//!
//! In: the calls that create, update, read, list and delete function URLs. Out: Lambda's responses: one URL for each alias
//! and one for the function itself, with an id that never changes. Errors: the function or alias does not exist, there is a
//! URL already, or there is none. See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>.

pub(super) mod serve;

use super::client_call::{ClientCall, parse_json};
use super::function_name::{FunctionName, is_version_number};
use super::lambda_error::{LambdaError, json_response};
use super::locks::Locks;
use super::owner::Owner;
use super::persistence::PersistentMap;
use super::upstream::Upstream;
use crate::http;
use crate::id::request_id;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use slipway_values::partition::Partition;
use std::sync::Arc;

/// The longest request, in bytes.
const LONGEST: usize = 1 << 20;

/// One function URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FunctionUrl {
    account: String,
    region: String,
    function: String,
    /// An alias; `None` for the function itself.
    qualifier: Option<String>,
    auth_type: String,
    cors: Value,
    invoke_mode: String,
    created: String,
    modified: String,
}

/// All function URLs, and the handler of the calls about them.
pub(crate) struct FunctionUrls {
    /// By id.
    pub(super) urls: PersistentMap<FunctionUrl>,
    pub(super) upstream: Arc<Upstream>,
    /// Locks of functions, by name.
    pub(super) locks: Arc<Locks>,
}

impl FunctionUrl {
    /// Returns the host in the cloud.
    fn domain(&self, id: &str) -> String {
        format!("{id}.lambda-url.{}.on.aws", self.region)
    }

    fn arn(&self) -> String {
        let Self { account, region, function, qualifier, .. } = self;
        let qualifier = qualifier.as_ref().map_or(String::new(), |qualifier| format!(":{qualifier}"));
        let resource = format!("function:{function}{qualifier}");
        Partition::of_region(region).arn("lambda", region, account, &resource)
    }

    /// Returns Lambda's description of the URL.
    fn to_json(&self, id: &str) -> Value {
        let mut description = json!({
            "FunctionUrl": format!("https://{}/", self.domain(id)),
            "FunctionArn": self.arn(),
            "AuthType": self.auth_type,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "InvokeMode": self.invoke_mode,
        });
        if !self.cors.is_null() {
            description["Cors"] = self.cors.clone();
        }
        description
    }

    fn belongs_to(&self, owner: &Owner, function: &str) -> bool {
        self.account == owner.account && self.region == owner.region && self.function == function
    }
}

/// CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig and DeleteFunctionUrlConfig.
pub(super) async fn one(
    State(urls): State<Arc<FunctionUrls>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    urls.handle(&name, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// ListFunctionUrlConfigs.
pub(super) async fn list(
    State(urls): State<Arc<FunctionUrls>>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    let listed = async {
        let (parts, _) = request.into_parts();
        let owner = Owner::of(urls.upstream.accounts(), &parts).await?;
        let function = FunctionName::parse(&name, None)?.name;
        let all = urls.urls.all();
        let own = all.iter().filter(|(_, url)| url.belongs_to(&owner, &function));
        let descriptions: Vec<Value> = own.map(|(id, url)| url.to_json(id)).collect();
        Ok::<_, LambdaError>(json_response(StatusCode::OK, &json!({ "FunctionUrlConfigs": descriptions })))
    };
    listed.await.unwrap_or_else(IntoResponse::into_response)
}

impl FunctionUrls {
    /// Removes the URL of a deleted alias, or all URLs of a deleted function.
    pub(super) fn remove_of(&self, owner: &Owner, function: &str, alias: Option<&str>) {
        for (id, url) in self.urls.all() {
            if url.belongs_to(owner, function) && (alias.is_none() || url.qualifier.as_deref() == alias) {
                self.urls.remove(&id);
            }
        }
    }

    async fn handle(&self, name: &str, request: Request) -> Result<Response, LambdaError> {
        let (parts, body) = request.into_parts();
        let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
        let parameter = pairs.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
        let FunctionName { name: function, qualifier, .. } = FunctionName::parse(name, parameter)?;
        let owner = Owner::of(self.upstream.accounts(), &parts).await?;
        let body =
            axum::body::to_bytes(body, LONGEST).await.map_err(|_| LambdaError::unreadable_request())?;
        let _lock = self.locks.lock(&function).await;
        let all = self.urls.all();
        let current =
            all.into_iter().find(|(_, url)| url.belongs_to(&owner, &function) && url.qualifier == qualifier);
        let missing = || LambdaError::not_found("The resource you requested does not exist.");
        match parts.method {
            Method::POST => {
                if let Some((_, url)) = current {
                    return Err(LambdaError::conflict(format!(
                        "Failed to create function url config for [functionArn = {}]. Error message:  \
                         FunctionUrlConfig exists for this Lambda function",
                        url.arn()
                    )));
                }
                let call = ClientCall::new(&self.upstream, &parts);
                check_exists(&call, &function, qualifier.as_deref()).await?;
                let requested = parse_json(&body)?;
                let now = now();
                let mut url = FunctionUrl {
                    account: owner.account,
                    region: owner.region,
                    function,
                    qualifier,
                    auth_type: String::new(),
                    cors: Value::Null,
                    invoke_mode: "BUFFERED".to_owned(),
                    created: now.clone(),
                    modified: now,
                };
                update(&mut url, &requested)?;
                let id = request_id().replace('-', "");
                self.store(&id, &url)?;
                Ok(json_response(StatusCode::CREATED, &url.to_json(&id)))
            }
            Method::PUT => {
                let (id, mut url) = current.ok_or_else(missing)?;
                update(&mut url, &parse_json(&body)?)?;
                url.modified = now();
                self.store(&id, &url)?;
                Ok(json_response(StatusCode::OK, &url.to_json(&id)))
            }
            Method::DELETE => {
                let (id, _) = current.ok_or_else(missing)?;
                self.urls.remove(&id);
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            _ => {
                let (id, url) = current.ok_or_else(missing)?;
                Ok(json_response(StatusCode::OK, &url.to_json(&id)))
            }
        }
    }

    fn store(&self, id: &str, url: &FunctionUrl) -> Result<(), LambdaError> {
        self.urls
            .put(id, url.clone())
            .map_err(|error| LambdaError::service(format!("the function URL cannot be stored: {error}")))
    }
}

/// Fails if the function or alias of a new URL does not exist.
async fn check_exists(
    call: &ClientCall<'_>,
    function: &str,
    qualifier: Option<&str>,
) -> Result<(), LambdaError> {
    let path = match qualifier {
        None => format!("/2015-03-31/functions/{function}/configuration"),
        Some(version) if version.starts_with('$') || is_version_number(version) => {
            return Err(LambdaError::invalid_parameter(format!(
                "`{version}` is a version; a function URL belongs to an alias, or to the function without a qualifier"
            )));
        }
        Some(alias) => format!("/2015-03-31/functions/{function}/aliases/{alias}"),
    };
    call.send(Method::GET, &path, Bytes::new()).await.map(drop)
}

fn update(url: &mut FunctionUrl, requested: &Value) -> Result<(), LambdaError> {
    let choice = |name: &str, allowed: [&str; 2], current: &str| match &requested[name] {
        Value::Null if !current.is_empty() => Ok(current.to_owned()),
        Value::String(word) if allowed.contains(&word.as_str()) => Ok(word.clone()),
        other => Err(LambdaError::validation(format!(
            "{name} is {other}; allowed are {} and {}",
            allowed[0], allowed[1]
        ))),
    };
    url.auth_type = choice("AuthType", ["NONE", "AWS_IAM"], &url.auth_type)?;
    url.invoke_mode = choice("InvokeMode", ["BUFFERED", "RESPONSE_STREAM"], &url.invoke_mode)?;
    match &requested["Cors"] {
        Value::Null => {}
        // An empty object removes the rules.
        Value::Object(rules) if rules.is_empty() => url.cors = Value::Null,
        Value::Object(_) => url.cors = requested["Cors"].clone(),
        other => return Err(LambdaError::invalid_content(format!("Cors is {other}, not an object"))),
    }
    Ok(())
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_url_of_an_earlier_version_is_read_and_written_unchanged() {
        let stored = json!({
            "account": "111111111111",
            "region": "eu-central-1",
            "function": "f",
            "qualifier": "live",
            "auth_type": "NONE",
            "cors": { "AllowOrigins": ["*"] },
            "invoke_mode": "BUFFERED",
            "created": "2026-01-01T00:00:00.000+0000",
            "modified": "2026-01-01T00:00:00.000+0000",
        });
        let url: FunctionUrl = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(url).unwrap(), stored);
    }
}
