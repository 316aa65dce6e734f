//! Lambda's calls about event source mappings.
//!
//! In: Create-, Get-, Update-, Delete- and ListEventSourceMapping(s), and the tags of a mapping's ARN. Out: Lambda's
//! responses. Errors: the function, alias or stream does not exist, the two are mapped already, or there is no mapping with
//! the UUID; nothing is changed then.

use super::EventSources;
use super::mapping::{Mapping, MappingState};
use super::request;
use super::stream::Stream;
use crate::gateway::client_call::{ClientCall, parse_json};
use crate::gateway::function_name::{FunctionName, is_version_number};
use crate::gateway::lambda_error::{LambdaError, json_response};
use crate::gateway::owner::Owner;
use crate::http;
use crate::id::request_id;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use slipway_values::partition::Partition;
use std::sync::Arc;

/// The longest request, in bytes.
const LONGEST: usize = 1 << 20;

/// CreateEventSourceMapping and ListEventSourceMappings.
pub(in crate::gateway) async fn all(State(sources): State<Arc<EventSources>>, request: Request) -> Response {
    let response = async {
        let (parts, body, owner) = receive(&sources, request).await?;
        match parts.method {
            Method::POST => create(&sources, &parts, owner, &parse_json(&body)?).await,
            _ => list(&sources, &parts, &owner),
        }
    };
    response.await.unwrap_or_else(IntoResponse::into_response)
}

/// GetEventSourceMapping, UpdateEventSourceMapping and DeleteEventSourceMapping.
pub(in crate::gateway) async fn one(
    State(sources): State<Arc<EventSources>>,
    Path(uuid): Path<String>,
    request: Request,
) -> Response {
    let response = async {
        let (parts, body, owner) = receive(&sources, request).await?;
        let _lock = sources.locks.lock(&uuid).await;
        let mut mapping = find(&sources, &owner, &uuid)?;
        let (state, last_result) = sources.state(&mapping);
        match parts.method {
            Method::PUT => {
                let requested = parse_json(&body)?;
                let was_enabled = mapping.enabled;
                request::update(&mut mapping, &requested)?;
                if let Some(function) = requested["FunctionName"].as_str() {
                    mapping.function_arn = function_arn(&sources, &parts, &owner, function).await?;
                    check_unique(&sources, &mapping)?;
                }
                let state = match (was_enabled, mapping.enabled) {
                    (false, true) => MappingState::Enabling,
                    (true, false) => MappingState::Disabling,
                    _ => MappingState::Updating,
                };
                store(&sources, &mut mapping)?;
                sources.restart(&uuid);
                Ok(json_response(StatusCode::ACCEPTED, &mapping.to_json(state, &last_result)))
            }
            Method::DELETE => {
                sources.remove(&uuid);
                let description = mapping.to_json(MappingState::Deleting, &last_result);
                Ok(json_response(StatusCode::ACCEPTED, &description))
            }
            _ => Ok(json_response(StatusCode::OK, &mapping.to_json(state, &last_result))),
        }
    };
    response.await.unwrap_or_else(LambdaError::into_response)
}

/// ListTags, TagResource and UntagResource of a mapping; those of any other resource are forwarded.
pub(in crate::gateway) async fn tags(
    State(sources): State<Arc<EventSources>>,
    Path(arn): Path<String>,
    request: Request,
) -> Response {
    let Some((_, uuid)) = arn.split_once(":event-source-mapping:") else {
        return sources.upstream.forward(request).await;
    };
    let response = async {
        let (parts, body, owner) = receive(&sources, request).await?;
        let mut mapping = find(&sources, &owner, uuid)?;
        match parts.method {
            Method::GET => return Ok(json_response(StatusCode::OK, &json!({ "Tags": mapping.tags }))),
            Method::POST => mapping.tags.extend(request::tags(&parse_json(&body)?["Tags"])?),
            _ => {
                let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
                for (_, name) in pairs.into_iter().filter(|(key, _)| key == "tagKeys") {
                    mapping.tags.remove(&name);
                }
            }
        }
        sources.mappings.put(mapping).map_err(|error| not_stored(&error))?;
        Ok::<_, LambdaError>(StatusCode::NO_CONTENT.into_response())
    };
    response.await.unwrap_or_else(IntoResponse::into_response)
}

async fn create(
    sources: &EventSources,
    parts: &Parts,
    owner: Owner,
    requested: &Value,
) -> Result<Response, LambdaError> {
    let mut mapping = request::create(requested)?;
    let function = requested["FunctionName"].as_str().unwrap_or_default();
    mapping.function_arn = function_arn(sources, parts, &owner, function).await?;
    Stream::check_exists(&sources.accounts, &mapping.event_source_arn).await?;
    let pair = format!("{} {}", mapping.event_source_arn, mapping.function_arn);
    let _lock = sources.locks.lock(&pair).await;
    mapping.account = owner.account;
    mapping.region = owner.region;
    mapping.uuid = request_id();
    check_unique(sources, &mapping)?;
    store(sources, &mut mapping)?;
    sources.restart(&mapping.uuid);
    let description = mapping.to_json(MappingState::Creating, "No records processed");
    Ok(json_response(StatusCode::ACCEPTED, &description))
}

fn list(sources: &EventSources, parts: &Parts, owner: &Owner) -> Result<Response, LambdaError> {
    let pairs = http::query_pairs(parts.uri.query().unwrap_or_default());
    let wanted = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let function = match wanted("FunctionName") {
        Some(name) => Some(arn(owner, &FunctionName::parse(name, None)?)),
        None => None,
    };
    let limit = match wanted("MaxItems").map(str::parse) {
        None => 100,
        Some(Ok(limit @ 1..=10_000)) => limit,
        Some(_) => {
            return Err(LambdaError::invalid_parameter("MaxItems is not a number from 1 to 10000"));
        }
    };
    let all = sources.mappings.all();
    let mut matching = all.iter().filter(|mapping| {
        belongs_to(mapping, owner)
            && function.as_ref().is_none_or(|function| *function == mapping.function_arn)
            && wanted("EventSourceArn").is_none_or(|source| source == mapping.event_source_arn)
            // Mappings are in the order of their UUIDs, and a marker is the last UUID of the page before.
            && wanted("Marker").is_none_or(|marker| mapping.uuid.as_str() > marker)
    });
    let page: Vec<&Mapping> = matching.by_ref().take(limit).collect();
    let descriptions: Vec<Value> = page
        .iter()
        .map(|mapping| {
            let (state, last_result) = sources.state(mapping);
            mapping.to_json(state, &last_result)
        })
        .collect();
    let mut list = json!({ "EventSourceMappings": descriptions });
    if let (Some(last), Some(_)) = (page.last(), matching.next()) {
        list["NextMarker"] = json!(last.uuid);
    }
    Ok(json_response(StatusCode::OK, &list))
}

/// Returns the ARN of a function with its qualifier, if both exist.
async fn function_arn(
    sources: &EventSources,
    parts: &Parts,
    owner: &Owner,
    function: &str,
) -> Result<String, LambdaError> {
    let function = FunctionName::parse(function, None)?;
    let arn = arn(owner, &function);
    let name = &function.name;
    let path = match function.qualifier.as_deref() {
        None => format!("/2015-03-31/functions/{name}"),
        Some(version) if version.starts_with('$') || is_version_number(version) => {
            format!("/2015-03-31/functions/{name}?Qualifier={}", http::encode(version))
        }
        Some(alias) => format!("/2015-03-31/functions/{name}/aliases/{alias}"),
    };
    let call = ClientCall::new(&sources.upstream, parts);
    match call.send(Method::GET, &path, Bytes::new()).await {
        Ok(_) if function.account.as_ref().is_none_or(|account| *account == owner.account) => Ok(arn),
        Err(LambdaError::Emulator(response)) if response.status != StatusCode::NOT_FOUND => {
            Err(LambdaError::Emulator(response))
        }
        Err(error @ LambdaError::Own { .. }) => Err(error),
        _ => Err(LambdaError::not_found(format!("Function not found: {arn}"))),
    }
}

fn arn(owner: &Owner, function: &FunctionName) -> String {
    let account = function.account.as_ref().unwrap_or(&owner.account);
    let qualifier = function.qualifier.as_ref().map_or(String::new(), |qualifier| format!(":{qualifier}"));
    let resource = format!("function:{}{qualifier}", function.name);
    Partition::of_region(&owner.region).arn("lambda", &owner.region, account, &resource)
}

/// Fails if there is another mapping of the same stream to the same function.
fn check_unique(sources: &EventSources, mapping: &Mapping) -> Result<(), LambdaError> {
    let same = sources.mappings.all().into_iter().find(|other| {
        other.uuid != mapping.uuid
            && other.event_source_arn == mapping.event_source_arn
            && other.function_arn == mapping.function_arn
    });
    match same {
        None => Ok(()),
        Some(same) => Err(LambdaError::conflict(format!(
            "The event source arn (\" {} \") and function (\" {} \") provided mapping already exists. Please update or \
             delete the existing mapping with UUID {}",
            mapping.event_source_arn, mapping.function_arn, same.uuid
        ))),
    }
}

fn find(sources: &EventSources, owner: &Owner, uuid: &str) -> Result<Mapping, LambdaError> {
    let mapping = sources.mappings.get(uuid).filter(|mapping| belongs_to(mapping, owner));
    mapping.ok_or_else(|| LambdaError::not_found("The resource you requested does not exist."))
}

fn belongs_to(mapping: &Mapping, owner: &Owner) -> bool {
    mapping.account == owner.account && mapping.region == owner.region
}

fn store(sources: &EventSources, mapping: &mut Mapping) -> Result<(), LambdaError> {
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    mapping.modified_at = now;
    if mapping.enabled {
        mapping.enabled_at.get_or_insert(now);
    }
    sources.mappings.put(mapping.clone()).map_err(|error| not_stored(&error))
}

fn not_stored(error: &std::io::Error) -> LambdaError {
    LambdaError::service(format!("the event source mapping cannot be stored: {error}"))
}

async fn receive(sources: &EventSources, request: Request) -> Result<(Parts, Bytes, Owner), LambdaError> {
    let (parts, body): (Parts, Body) = request.into_parts();
    let owner = Owner::of(&sources.accounts, &parts).await?;
    let body = axum::body::to_bytes(body, LONGEST).await.map_err(|_| LambdaError::unreadable_request())?;
    Ok((parts, body, owner))
}
