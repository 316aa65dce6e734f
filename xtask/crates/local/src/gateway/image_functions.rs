//! Functions that are images, where the emulator knows less of them than Lambda.
//!
//! In: calls that make, change or describe functions. Out: the emulator's answers, with these differences: an image must
//! be in the registry, be one image and be of the function's architecture; CodeSha256 is the digest of its manifest and
//! ResolvedImageUri names it, where the emulator hashes the URI's text; each version keeps its own ImageUri; what of an
//! image's configuration is not overridden is not told. Calls for zips pass as they are.
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html>.

use super::aliases::Call;
use super::forward::pass;
use super::image::Image;
use super::refusal::{Refusal, chain};
use super::{Gateway, Shared, dead_letters, known_images::KnownImage};
use crate::registry::ImageUri;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A zip of 50 MB in base64, and more than the emulator says of a thousand versions.
const LONGEST: usize = 96 << 20;
const IMAGE: &str = "Image";

/// CreateFunction.
pub(super) async fn create(State(gateway): Shared, request: Request) -> Response {
    let checked = async |body: &Value, _: &Call<'_>| {
        if body["PackageType"] != IMAGE {
            return Ok(());
        }
        for name in ["Handler", "Runtime", "Layers"] {
            if !body[name].is_null() {
                return Err(Refusal::parameter(
                    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
                ));
            }
        }
        let uri = body["Code"]["ImageUri"].as_str().ok_or_else(|| {
            Refusal::parameter("Please provide ImageUri when the intended function PackageType is Image.")
        })?;
        let wanted = body["Architectures"][0].as_str().unwrap_or("x86_64");
        known(&gateway, uri, wanted).await
    };
    change(&gateway, request, checked).await
}

/// UpdateFunctionCode.
pub(super) async fn update_code(State(gateway): Shared, request: Request) -> Response {
    let checked = async |body: &Value, call: &Call<'_>| {
        let function = call.path.strip_suffix("/code").unwrap_or(call.path);
        let is_image = |there: &Value| there["PackageType"] == IMAGE;
        let Some(uri) = body["ImageUri"].as_str() else {
            let there = call.get(&format!("{function}/configuration")).await?;
            return match is_image(&there) {
                true => Err(Refusal::parameter(
                    "Please provide ImageUri when updating a function with packageType Image.",
                )),
                false => Ok(()),
            };
        };
        let there = call.get(&format!("{function}/configuration")).await?;
        if !is_image(&there) {
            return Err(Refusal::parameter(
                "Please don't provide ImageUri when updating a function with packageType Zip.",
            ));
        }
        let asked = body["Architectures"][0].as_str();
        let wanted = asked.or(there["Architectures"][0].as_str()).unwrap_or("x86_64");
        known(&gateway, uri, wanted).await
    };
    change(&gateway, request, checked).await
}

/// UpdateFunctionConfiguration.
pub(super) async fn update_configuration(State(gateway): Shared, request: Request) -> Response {
    let checked = async |body: &Value, call: &Call<'_>| {
        let Some(wanted) = body["ImageConfig"].as_object() else {
            return Ok(());
        };
        let there = call.get(call.path).await?;
        let there = &there["ImageConfigResponse"]["ImageConfig"];
        let same = ["EntryPoint", "Command", "WorkingDirectory"].into_iter().all(|name| {
            let wanted = wanted.get(name).unwrap_or(&Value::Null);
            *wanted == there[name] || (empty(wanted) && empty(&there[name]))
        });
        // The emulator would say yes and go on with what it has.
        match same {
            true => Ok(()),
            false => Err(Refusal::parameter(
                "The local environment cannot change the ImageConfig of a function that is there; delete the function \
                 and make it anew",
            )),
        }
    };
    change(&gateway, request, checked).await
}

/// What describes functions: GetFunction, GetFunctionConfiguration, ListFunctions, ListVersionsByFunction,
/// PublishVersion.
pub(super) async fn describe(State(gateway): Shared, request: Request) -> Response {
    let reads = request.method() == Method::GET;
    let answer = pass(&gateway, request).await;
    // Anything else publishes a version.
    told(&gateway, answer, (!reads).then_some(&Value::Null)).await
}

/// Looks at what is asked for, and hands it on where nothing speaks against it.
async fn change(
    gateway: &Gateway,
    request: Request,
    check: impl AsyncFnOnce(&Value, &Call<'_>) -> Result<(), Refusal>,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return Refusal::content("The request's body broke off or is too long").into_response();
    };
    // What is no JSON is the emulator's to refuse.
    let asked = serde_json::from_slice::<Value>(&body).ok();
    if let Some(asked) = &asked {
        let call = Call { gateway, headers: &parts.headers, path: parts.uri.path() };
        if let Err(refusal) = check(asked, &call).await {
            return refusal.into_response();
        }
    }
    parts.headers.remove(header::EXPECT);
    let answer = pass(gateway, Request::from_parts(parts, Body::from(body))).await;
    told(gateway, answer, Some(&asked.unwrap_or_default())).await
}

/// Refuses an image that Lambda would refuse, and notes down what the others are.
async fn known(gateway: &Gateway, uri: &str, architecture: &str) -> Result<(), Refusal> {
    let named = ImageUri::parse(uri).ok_or_else(|| {
        Refusal::parameter(format!(
            "Source image {uri} is not valid. Provide a valid source image: \
             <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<digest>"
        ))
    })?;
    let image =
        Image::find(&gateway.registry, &named, uri).map_err(|error| Refusal::parameter(chain(&error)))?;
    if image.architecture() != architecture {
        return Err(Refusal::parameter(format!(
            "Source image {uri} is for {}, and the function's architecture is {architecture}.",
            image.architecture()
        )));
    }
    let known = KnownImage { image_uri: uri.to_owned(), digest: image.digest.to_string() };
    gateway
        .known_images
        .add(&known)
        .map_err(|error| Refusal::service(format!("what the image {uri} is cannot be noted down: {error}")))
}

/// Gives the emulator's answer as Lambda would have it, after a change that asked for something or without one;
/// untouched where neither an image nor a dead-letter target is in it.
async fn told(gateway: &Gateway, answer: Response, change: Option<&Value>) -> Response {
    if !answer.status().is_success() {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return Refusal::service("The emulator's answer broke off or is too long").into_response();
    };
    let mut said = serde_json::from_slice::<Value>(&body).ok();
    if let (Some(change), Some(said)) = (change, &said)
        && let Err(refusal) = dead_letters::note(gateway, Some(change), said)
    {
        return refusal.into_response();
    }
    let mended = said.as_mut().and_then(|told| {
        let image = mend(told, &|hash| gateway.known_images.find(hash));
        let dead_letters = dead_letters::mend(gateway, told);
        (image || dead_letters).then(|| Bytes::from(told.to_string()))
    });
    if mended.is_some() {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    Response::from_parts(parts, Body::from(mended.unwrap_or(body)))
}

/// Corrects every configuration in an answer, and the code beside it; `false` where there was nothing to correct.
fn mend(told: &mut Value, find: &dyn Fn(&str) -> Option<KnownImage>) -> bool {
    for list in ["Functions", "Versions"] {
        if let Some(functions) = told.get_mut(list).and_then(Value::as_array_mut) {
            return functions.iter_mut().filter_map(|function| mend(function, find).then_some(())).count()
                > 0;
        }
    }
    if told.get("Configuration").is_some_and(Value::is_object) {
        let image = configuration(&mut told["Configuration"], find);
        if let Some(known) = image.as_ref().and_then(Option::as_ref) {
            let place = ImageUri::parse(&known.image_uri).map(|uri| uri.place);
            let code = &mut told["Code"];
            code["RepositoryType"] = "ECR".into();
            code["ImageUri"] = known.image_uri.clone().into();
            code["ResolvedImageUri"] = format!("{}@{}", place.unwrap_or_default(), known.digest).into();
        }
        return image.is_some();
    }
    configuration(told, find).is_some()
}

/// Corrects the configuration of an image function, and says what the image is where it is known; `None` for others.
fn configuration(told: &mut Value, find: &dyn Fn(&str) -> Option<KnownImage>) -> Option<Option<KnownImage>> {
    if told.get("PackageType")? != IMAGE {
        return None;
    }
    if let Some(own) = told.pointer_mut("/ImageConfigResponse/ImageConfig").and_then(Value::as_object_mut) {
        own.retain(|_, value| !empty(value));
        if own.is_empty() {
            told.as_object_mut()?.shift_remove("ImageConfigResponse");
        }
    }
    let known = told["CodeSha256"].as_str().and_then(find);
    if let Some(known) = &known {
        told["CodeSha256"] = known.digest.trim_start_matches("sha256:").into();
    }
    Some(known)
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

impl Call<'_> {
    async fn get(&self, target: &str) -> Result<Value, Refusal> {
        let answer = self.ask(Method::GET, target, Bytes::new()).await?;
        serde_json::from_slice(&answer.body).map_err(|error| {
            Refusal::service(format!("The emulator's answer to {target} is no JSON: {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn known_by(hash: &str) -> Option<KnownImage> {
        let digest = format!("sha256:{}", "d".repeat(64));
        (hash == "hash").then(|| KnownImage { image_uri: "host/shop/hello:1.0.0".to_owned(), digest })
    }

    #[test]
    fn every_form_of_an_answer_is_corrected() {
        let digest = "d".repeat(64);
        let told = json!({ "PackageType": "Image", "CodeSha256": "hash" });
        let right = json!({ "PackageType": "Image", "CodeSha256": digest });
        let zip = json!({ "PackageType": "Zip", "CodeSha256": "hash" });
        let cases = [
            (told.clone(), Some(right.clone())),
            (json!({ "Functions": [zip, told] }), Some(json!({ "Functions": [zip, right] }))),
            (
                json!({ "Versions": [told], "NextMarker": "1" }),
                Some(json!({ "Versions": [right], "NextMarker": "1" })),
            ),
            (
                json!({ "Configuration": told, "Code": { "ImageUri": "of another version" } }),
                Some(json!({ "Configuration": right, "Code": {
                    "ImageUri": "host/shop/hello:1.0.0",
                    "RepositoryType": "ECR",
                    "ResolvedImageUri": format!("host/shop/hello@sha256:{digest}"),
                } })),
            ),
            (zip.clone(), None),
            (json!({ "Functions": [zip] }), None),
            (json!({ "Configuration": zip, "Code": { "Location": "x" } }), None),
            (json!([]), None),
        ];
        for (mut told, expected) in cases {
            let before = told.clone();
            assert_eq!(mend(&mut told, &known_by), expected.is_some(), "{before}");
            assert_eq!(told, expected.unwrap_or(before));
        }
    }

    #[test]
    fn what_is_not_overridden_is_not_told() {
        let with = |own: Value| {
            let config = json!({ "ImageConfig": own });
            let mut told =
                json!({ "PackageType": "Image", "CodeSha256": "?", "ImageConfigResponse": config });
            assert!(mend(&mut told, &known_by));
            told
        };
        let nothing = with(json!({ "Command": [], "EntryPoint": [] }));
        assert_eq!(nothing, json!({ "PackageType": "Image", "CodeSha256": "?" }));
        let command = with(json!({ "Command": ["app.handle"], "EntryPoint": [] }));
        assert_eq!(command["ImageConfigResponse"], json!({ "ImageConfig": { "Command": ["app.handle"] } }));
    }
}
