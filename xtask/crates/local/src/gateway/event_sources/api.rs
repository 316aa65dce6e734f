//! The calls about event source mappings.
//!
//! In: Create-, Get-, Update-, Delete- and ListEventSourceMapping(s), and the tags of a mapping's ARN. Out: what Lambda
//! answers. What can go wrong: the function, alias or stream is not there, the two are mapped already, or no mapping has
//! the uuid; nothing is changed then.

use super::mapping::{Mapping, Phase};
use super::stream::Stream;
use super::{EventSources, request};
use crate::gateway::aliases::Call;
use crate::gateway::function_urls::Owner;
use crate::gateway::functions::FunctionName;
use crate::gateway::id::request_id;
use crate::gateway::refusal::Refusal;
use crate::gateway::{Gateway, Shared, forward};
use crate::http;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

const LONGEST: usize = 1 << 20;

/// CreateEventSourceMapping and ListEventSourceMappings.
pub(in crate::gateway) async fn all(State(gateway): Shared, request: Request) -> Response {
    let answered = async {
        let (parts, body, owner) = received(&gateway, request).await?;
        match parts.method {
            Method::POST => create(&gateway, &parts, owner, &json(&body)?).await,
            _ => list(&gateway, &parts, &owner),
        }
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

/// GetEventSourceMapping, UpdateEventSourceMapping and DeleteEventSourceMapping.
pub(in crate::gateway) async fn one(
    State(gateway): Shared,
    Path(uuid): Path<String>,
    request: Request,
) -> Response {
    let answered = async {
        let (parts, body, owner) = received(&gateway, request).await?;
        let _held = gateway.functions.hold(&format!("mapping {uuid}")).await;
        let sources = &gateway.event_sources;
        let mut mapping = find(&gateway, &owner, &uuid)?;
        let (phase, result) = sources.phase(&mapping);
        match parts.method {
            Method::PUT => {
                let asked = json(&body)?;
                let before = mapping.clone();
                request::update(&mut mapping, &asked)?;
                if let Some(function) = asked["FunctionName"].as_str() {
                    mapping.function_arn = function_arn(&gateway, &parts, &owner, function).await?;
                    unique(&gateway, &mapping)?;
                }
                let phase = match (before.enabled, mapping.enabled) {
                    (false, true) => Phase::Enabling,
                    (true, false) => Phase::Disabling,
                    _ => Phase::Updating,
                };
                keep(&gateway, &mut mapping)?;
                EventSources::restart(&gateway, &uuid);
                Ok(told(StatusCode::ACCEPTED, &mapping.told(phase, &result)))
            }
            Method::DELETE => {
                EventSources::remove(&gateway, &uuid);
                Ok(told(StatusCode::ACCEPTED, &mapping.told(Phase::Deleting, &result)))
            }
            _ => Ok(told(StatusCode::OK, &mapping.told(phase, &result))),
        }
    };
    answered.await.unwrap_or_else(Refusal::into_response)
}

/// ListTags, TagResource and UntagResource where they are about a mapping; others are the emulator's.
pub(in crate::gateway) async fn tags(state: Shared, Path(arn): Path<String>, request: Request) -> Response {
    let Some((_, uuid)) = arn.split_once(":event-source-mapping:") else {
        return forward::forward(state, request).await;
    };
    let gateway = state.0;
    let answered = async {
        let (parts, body, owner) = received(&gateway, request).await?;
        let mut mapping = find(&gateway, &owner, uuid)?;
        match parts.method {
            Method::GET => return Ok(told(StatusCode::OK, &json!({ "Tags": mapping.tags }))),
            Method::POST => mapping.tags.extend(request::tags(&json(&body)?["Tags"])?),
            _ => {
                for (_, name) in http::query_pairs(parts.uri.query().unwrap_or_default())
                    .into_iter()
                    .filter(|(key, _)| key == "tagKeys")
                {
                    mapping.tags.remove(&name);
                }
            }
        }
        gateway.event_sources.mappings.put(uuid, mapping).map_err(|error| unkept(&error))?;
        Ok::<_, Refusal>(StatusCode::NO_CONTENT.into_response())
    };
    answered.await.unwrap_or_else(IntoResponse::into_response)
}

async fn create(
    gateway: &Arc<Gateway>,
    parts: &Parts,
    owner: Owner,
    asked: &Value,
) -> Result<Response, Refusal> {
    let mut mapping = request::create(asked)?;
    let function = asked["FunctionName"].as_str().unwrap_or_default();
    mapping.function_arn = function_arn(gateway, parts, &owner, function).await?;
    Stream::exists(gateway, &mapping.event_source_arn).await?;
    let pair = format!("mapping {} {}", mapping.event_source_arn, mapping.function_arn);
    let _held = gateway.functions.hold(&pair).await;
    mapping.account = owner.account;
    mapping.region = owner.region;
    mapping.uuid = request_id();
    unique(gateway, &mapping)?;
    keep(gateway, &mut mapping)?;
    EventSources::restart(gateway, &mapping.uuid);
    Ok(told(StatusCode::ACCEPTED, &mapping.told(Phase::Creating, "No records processed")))
}

fn list(gateway: &Gateway, parts: &Parts, owner: &Owner) -> Result<Response, Refusal> {
    let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
    let wanted = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let function = match wanted("FunctionName") {
        Some(name) => Some(arn(owner, &FunctionName::parse(name, None)?)),
        None => None,
    };
    let most = match wanted("MaxItems").map(str::parse) {
        None => 100,
        Some(Ok(most @ 1..=10_000)) => most,
        Some(_) => return Err(Refusal::parameter("MaxItems is not a number from 1 to 10000")),
    };
    let all = gateway.event_sources.mappings.all();
    let mut fitting = all.iter().map(|(_, mapping)| mapping).filter(|mapping| {
        is_of(mapping, owner)
            && function.as_ref().is_none_or(|function| *function == mapping.function_arn)
            && wanted("EventSourceArn").is_none_or(|source| source == mapping.event_source_arn)
            // They come by uuid, and a marker is the last one told.
            && wanted("Marker").is_none_or(|marker| mapping.uuid.as_str() > marker)
    });
    let page: Vec<&Mapping> = fitting.by_ref().take(most).collect();
    let described: Vec<Value> = page
        .iter()
        .map(|mapping| {
            let (phase, result) = gateway.event_sources.phase(mapping);
            mapping.told(phase, &result)
        })
        .collect();
    let mut list = json!({ "EventSourceMappings": described });
    if let (Some(last), Some(_)) = (page.last(), fitting.next()) {
        list["NextMarker"] = json!(last.uuid);
    }
    Ok(told(StatusCode::OK, &list))
}

/// Asks for the function and what its qualifier names; gives the ARN with the qualifier.
async fn function_arn(
    gateway: &Gateway,
    parts: &Parts,
    owner: &Owner,
    function: &str,
) -> Result<String, Refusal> {
    let wanted = FunctionName::parse(function, None)?;
    let arn = arn(owner, &wanted);
    let name = &wanted.name;
    let path = match wanted.qualifier.as_deref() {
        None => format!("/2015-03-31/functions/{name}"),
        Some(version) if version.starts_with('$') || version.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("/2015-03-31/functions/{name}?Qualifier={}", http::encode(version))
        }
        Some(alias) => format!("/2015-03-31/functions/{name}/aliases/{alias}"),
    };
    let call = Call { gateway, headers: &parts.headers, path: parts.uri.path() };
    match call.ask(Method::GET, &path, Bytes::new()).await {
        Ok(_) if wanted.account.as_ref().is_none_or(|account| *account == owner.account) => Ok(arn),
        Err(Refusal::Emulator(answer)) if answer.status != StatusCode::NOT_FOUND => {
            Err(Refusal::Emulator(answer))
        }
        Err(refusal @ Refusal::Ours { .. }) => Err(refusal),
        _ => Err(Refusal::not_found(format!("Function not found: {arn}"))),
    }
}

fn arn(owner: &Owner, function: &FunctionName) -> String {
    let account = function.account.as_ref().unwrap_or(&owner.account);
    let qualifier = function.qualifier.as_ref().map_or(String::new(), |qualifier| format!(":{qualifier}"));
    format!("arn:aws:lambda:{}:{account}:function:{}{qualifier}", owner.region, function.name)
}

/// Refuses a second mapping of the same stream to the same function.
fn unique(gateway: &Gateway, mapping: &Mapping) -> Result<(), Refusal> {
    let all = gateway.event_sources.mappings.all();
    let same = all.iter().map(|(_, other)| other).find(|other| {
        other.uuid != mapping.uuid
            && other.event_source_arn == mapping.event_source_arn
            && other.function_arn == mapping.function_arn
    });
    match same {
        None => Ok(()),
        Some(same) => Err(Refusal::conflict(format!(
            "The event source arn (\" {} \") and function (\" {} \") provided mapping already exists. Please update or \
             delete the existing mapping with UUID {}",
            mapping.event_source_arn, mapping.function_arn, same.uuid
        ))),
    }
}

fn find(gateway: &Gateway, owner: &Owner, uuid: &str) -> Result<Mapping, Refusal> {
    let mapping = gateway.event_sources.mappings.get(uuid).filter(|mapping| is_of(mapping, owner));
    mapping.ok_or_else(|| Refusal::not_found("The resource you requested does not exist."))
}

fn is_of(mapping: &Mapping, owner: &Owner) -> bool {
    mapping.account == owner.account && mapping.region == owner.region
}

fn keep(gateway: &Gateway, mapping: &mut Mapping) -> Result<(), Refusal> {
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    mapping.modified_at = now;
    if mapping.enabled {
        mapping.enabled_at.get_or_insert(now);
    }
    gateway.event_sources.mappings.put(&mapping.uuid, mapping.clone()).map_err(|error| unkept(&error))
}

fn unkept(error: &std::io::Error) -> Refusal {
    Refusal::service(format!("the event source mapping cannot be noted down: {error}"))
}

async fn received(gateway: &Gateway, request: Request) -> Result<(Parts, Bytes, Owner), Refusal> {
    let (parts, body): (Parts, Body) = request.into_parts();
    let owner = Owner::of(gateway, &parts).await?;
    let body = axum::body::to_bytes(body, LONGEST)
        .await
        .map_err(|_| Refusal::content("The request's body broke off or is too long"))?;
    Ok((parts, body, owner))
}

fn json(body: &Bytes) -> Result<Value, Refusal> {
    serde_json::from_slice(body)
        .map_err(|error| Refusal::content(format!("Could not parse request body into json: {error}")))
}

fn told(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
