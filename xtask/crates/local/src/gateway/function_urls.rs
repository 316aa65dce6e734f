//! Function URLs, which the emulator keeps one of for each function, whatever the qualifier.
//!
//! In: the calls that make, change, read, list and delete them. Out: what Lambda answers: one URL for each alias and one
//! for the function itself, with an id that stays the same for its life. What can go wrong: the function or alias is not
//! there, there is a URL already, or there is none.
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_CreateFunctionUrlConfig.html>.

pub(super) mod serve;

use super::aliases::Call;
use super::functions::FunctionName;
use super::id::request_id;
use super::kept::Kept;
use super::refusal::Refusal;
use super::scope::Scope;
use super::{Gateway, Shared};
use crate::http;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

const LONGEST: usize = 1 << 20;

/// One function URL.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FunctionUrl {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) function: String,
    /// An alias; the function itself without one.
    pub(super) qualifier: Option<String>,
    pub(super) auth_type: String,
    pub(super) cors: Value,
    pub(super) invoke_mode: String,
    created: String,
    modified: String,
}

/// All URLs, by id.
pub(crate) type FunctionUrls = Kept<FunctionUrl>;

impl FunctionUrl {
    /// The host that it has in the cloud.
    pub(super) fn domain(&self, id: &str) -> String {
        format!("{id}.lambda-url.{}.on.aws", self.region)
    }

    fn arn(&self) -> String {
        let Self { account, region, function, qualifier, .. } = self;
        let qualifier = qualifier.as_ref().map_or(String::new(), |qualifier| format!(":{qualifier}"));
        format!("arn:aws:lambda:{region}:{account}:function:{function}{qualifier}")
    }

    fn told(&self, id: &str) -> Value {
        let mut told = json!({
            "FunctionUrl": format!("https://{}/", self.domain(id)),
            "FunctionArn": self.arn(),
            "AuthType": self.auth_type,
            "CreationTime": self.created,
            "LastModifiedTime": self.modified,
            "InvokeMode": self.invoke_mode,
        });
        if !self.cors.is_null() {
            told["Cors"] = self.cors.clone();
        }
        told
    }

    fn is_of(&self, owner: &Owner, function: &str) -> bool {
        self.account == owner.account && self.region == owner.region && self.function == function
    }
}

/// Whose account a call is about.
pub(super) struct Owner {
    pub(super) account: String,
    pub(super) region: String,
}

impl Owner {
    /// Takes account and region from the caller's credential.
    pub(super) async fn of(gateway: &Gateway, request: &axum::http::request::Parts) -> Result<Self, Refusal> {
        let scope = Scope::of(&request.headers, &request.uri).ok_or_else(|| {
            let kind = "MissingAuthenticationTokenException";
            Refusal::new(StatusCode::FORBIDDEN, kind, "Missing Authentication Token")
        })?;
        let account = gateway.accounts.identity(&scope.access_key_id).await?.account;
        Ok(Self { account, region: scope.region })
    }
}

/// CreateFunctionUrlConfig, GetFunctionUrlConfig, UpdateFunctionUrlConfig and DeleteFunctionUrlConfig.
pub(super) async fn answer(State(gateway): Shared, Path(name): Path<String>, request: Request) -> Response {
    one(gateway, &name, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// ListFunctionUrlConfigs.
pub(super) async fn list(State(gateway): Shared, Path(name): Path<String>, request: Request) -> Response {
    let listed = async {
        let (parts, _) = request.into_parts();
        let owner = Owner::of(&gateway, &parts).await?;
        let function = FunctionName::parse(&name, None)?.name;
        let all = gateway.function_urls.all();
        let own = all.iter().filter(|(_, url)| url.is_of(&owner, &function));
        let urls: Vec<Value> = own.map(|(id, url)| url.told(id)).collect();
        Ok::<_, Refusal>(told(StatusCode::OK, &json!({ "FunctionUrlConfigs": urls })))
    };
    listed.await.unwrap_or_else(IntoResponse::into_response)
}

/// Forgets the URLs of a function or an alias that is gone.
pub(super) fn forget(gateway: &Gateway, owner: &Owner, function: &str, alias: Option<&str>) {
    for (id, url) in gateway.function_urls.all() {
        if url.is_of(owner, function) && (alias.is_none() || url.qualifier.as_deref() == alias) {
            gateway.function_urls.remove(&id);
        }
    }
}

async fn one(gateway: Arc<Gateway>, name: &str, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
    let parameter = pairs.iter().find(|(name, _)| name == "Qualifier").map(|(_, value)| value.as_str());
    let FunctionName { name: function, qualifier, .. } = FunctionName::parse(name, parameter)?;
    let owner = Owner::of(&gateway, &parts).await?;
    let body = axum::body::to_bytes(body, LONGEST)
        .await
        .map_err(|_| Refusal::content("The request's body broke off or is too long"))?;
    let _held = gateway.functions.hold(&function).await;
    let all = gateway.function_urls.all();
    let there = all.into_iter().find(|(_, url)| url.is_of(&owner, &function) && url.qualifier == qualifier);
    let missing = || Refusal::not_found("The resource you requested does not exist.");
    match parts.method {
        Method::POST => {
            if there.is_some() {
                return Err(Refusal::conflict(format!(
                    "Failed to create function url config for [functionArn = {}]. Error message:  FunctionUrlConfig \
                     exists for this Lambda function",
                    there.map(|(_, url)| url.arn()).unwrap_or_default()
                )));
            }
            let call = Call { gateway: &gateway, headers: &parts.headers, path: parts.uri.path() };
            exists(&call, &function, qualifier.as_deref()).await?;
            let asked = read(&body)?;
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
            set(&mut url, &asked)?;
            let id = request_id().replace('-', "");
            keep(&gateway, &id, &url)?;
            Ok(told(StatusCode::CREATED, &url.told(&id)))
        }
        Method::PUT => {
            let (id, mut url) = there.ok_or_else(missing)?;
            set(&mut url, &read(&body)?)?;
            url.modified = now();
            keep(&gateway, &id, &url)?;
            Ok(told(StatusCode::OK, &url.told(&id)))
        }
        Method::DELETE => {
            let (id, _) = there.ok_or_else(missing)?;
            gateway.function_urls.remove(&id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        _ => {
            let (id, url) = there.ok_or_else(missing)?;
            Ok(told(StatusCode::OK, &url.told(&id)))
        }
    }
}

/// Asks for the function and the alias that a URL is to be of.
async fn exists(call: &Call<'_>, function: &str, qualifier: Option<&str>) -> Result<(), Refusal> {
    let path = match qualifier {
        None => format!("/2015-03-31/functions/{function}/configuration"),
        Some(version) if version.starts_with('$') || version.bytes().all(|byte| byte.is_ascii_digit()) => {
            return Err(Refusal::parameter(format!(
                "`{version}` is a version; a function URL is of an alias, or of the function without a qualifier"
            )));
        }
        Some(alias) => format!("/2015-03-31/functions/{function}/aliases/{alias}"),
    };
    call.ask(Method::GET, &path, Bytes::new()).await.map(drop)
}

fn set(url: &mut FunctionUrl, asked: &Value) -> Result<(), Refusal> {
    let choice = |name: &str, allowed: [&str; 2], now: &str| match &asked[name] {
        Value::Null if !now.is_empty() => Ok(now.to_owned()),
        Value::String(word) if allowed.contains(&word.as_str()) => Ok(word.clone()),
        other => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            "ValidationException",
            format!("{name} is {other}; allowed are {} and {}", allowed[0], allowed[1]),
        )),
    };
    url.auth_type = choice("AuthType", ["NONE", "AWS_IAM"], &url.auth_type)?;
    url.invoke_mode = choice("InvokeMode", ["BUFFERED", "RESPONSE_STREAM"], &url.invoke_mode)?;
    match &asked["Cors"] {
        Value::Null => {}
        // An empty one takes the rules away.
        Value::Object(rules) if rules.is_empty() => url.cors = Value::Null,
        Value::Object(_) => url.cors = asked["Cors"].clone(),
        other => return Err(Refusal::content(format!("Cors is {other}, not an object"))),
    }
    Ok(())
}

fn read(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::content(format!("Could not parse request body into json: {error}")))
}

fn keep(gateway: &Gateway, id: &str, url: &FunctionUrl) -> Result<(), Refusal> {
    gateway
        .function_urls
        .put(id, url.clone())
        .map_err(|error| Refusal::service(format!("the function URL cannot be noted down: {error}")))
}

fn told(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}
