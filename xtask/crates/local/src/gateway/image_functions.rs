//! Lambda's calls about functions, with what the emulator does not know of images.
//!
//! In: calls that create, change or describe functions. Out: the emulator's responses, with these differences: an image
//! must be in the registry, be a single image, and have the function's architecture; CodeSha256 is the digest of its
//! manifest, and ResolvedImageUri names it, where the emulator hashes the URI's text; each version keeps its own ImageUri;
//! settings of the image that are not overridden are left out. See [`super::publication`] for what publishes a version.
//! See <https://docs.aws.amazon.com/lambda/latest/api/API_FunctionCode.html>.

use super::client_call::ClientCall;
use super::dead_letters::DeadLetters;
use super::hidden_changes::HiddenChanges;
use super::image::Image;
use super::known_images::{KnownImage, KnownImages};
use super::lambda_error::LambdaError;
use super::locks::Locks;
use super::upstream::Upstream;
use crate::error_chain::error_chain;
use crate::registry::{ImageUri, Registry};
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

/// The longest request or response, in bytes. A zip has 50 MB in base64, and a thousand versions have less.
const LONGEST: usize = 96 << 20;
const IMAGE: &str = "Image";

/// The handler of calls that create, change or describe functions.
pub(crate) struct ImageFunctions {
    pub(super) upstream: Arc<Upstream>,
    pub(super) registry: Arc<Registry>,
    pub(super) known_images: Arc<KnownImages>,
    pub(super) dead_letters: Arc<DeadLetters>,
    /// Locks of functions, by name.
    pub(super) locks: Arc<Locks>,
    pub(super) hidden_changes: HiddenChanges,
}

/// CreateFunction.
pub(super) async fn create(State(functions): State<Arc<ImageFunctions>>, request: Request) -> Response {
    let check = async |body: &Value, _: &ClientCall<'_>| {
        if body["PackageType"] != IMAGE {
            return Ok(());
        }
        for name in ["Handler", "Runtime", "Layers"] {
            if !body[name].is_null() {
                return Err(LambdaError::invalid_parameter(
                    "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image.",
                ));
            }
        }
        let uri = body["Code"]["ImageUri"].as_str().ok_or_else(|| {
            LambdaError::invalid_parameter(
                "Please provide ImageUri when the intended function PackageType is Image.",
            )
        })?;
        let architecture = body["Architectures"][0].as_str().unwrap_or("x86_64");
        functions.check_image(uri, architecture)
    };
    functions.change(request, check).await
}

/// UpdateFunctionConfiguration.
pub(super) async fn update_configuration(
    State(functions): State<Arc<ImageFunctions>>,
    request: Request,
) -> Response {
    let check = async |body: &Value, call: &ClientCall<'_>| {
        let Some(requested) = body["ImageConfig"].as_object() else {
            return Ok(());
        };
        let current = call.get_json(call.path).await?;
        let current = &current["ImageConfigResponse"]["ImageConfig"];
        let same = ["EntryPoint", "Command", "WorkingDirectory"].into_iter().all(|name| {
            let requested = requested.get(name).unwrap_or(&Value::Null);
            *requested == current[name] || (is_empty(requested) && is_empty(&current[name]))
        });
        // The emulator would accept the change and ignore it.
        match same {
            true => Ok(()),
            false => Err(LambdaError::invalid_parameter(
                "The local environment cannot change the ImageConfig of an existing function; delete the function and \
                 create it again",
            )),
        }
    };
    let checked = match functions.checked(request, check).await {
        Ok(checked) => checked,
        Err(error) => return error.into_response(),
    };
    let requested = checked.requested.clone().unwrap_or_default();
    let response = functions.forward(checked).await;
    with_configuration(response, |configuration| functions.hidden_changes.record(&requested, configuration))
        .await
}

/// GetFunction, GetFunctionConfiguration, ListFunctions and ListVersionsByFunction.
pub(super) async fn describe(State(functions): State<Arc<ImageFunctions>>, request: Request) -> Response {
    let response = functions.upstream.forward(request).await;
    functions.corrected_response(response, None).await
}

/// A request that passed its check.
pub(super) struct Checked {
    pub(super) parts: Parts,
    body: Bytes,
    /// The body, if it is JSON.
    pub(super) requested: Option<Value>,
}

impl ImageFunctions {
    /// Forwards a change that passes a check.
    async fn change(
        &self,
        request: Request,
        check: impl AsyncFnOnce(&Value, &ClientCall<'_>) -> Result<(), LambdaError>,
    ) -> Response {
        match self.checked(request, check).await {
            Ok(checked) => self.forward(checked).await,
            Err(error) => error.into_response(),
        }
    }

    /// Receives a change and checks it.
    async fn checked(
        &self,
        request: Request,
        check: impl AsyncFnOnce(&Value, &ClientCall<'_>) -> Result<(), LambdaError>,
    ) -> Result<Checked, LambdaError> {
        let (mut parts, body) = request.into_parts();
        let body =
            axum::body::to_bytes(body, LONGEST).await.map_err(|_| LambdaError::unreadable_request())?;
        // The emulator rejects a body that is not JSON.
        let requested = serde_json::from_slice::<Value>(&body).ok();
        if let Some(requested) = &requested {
            check(requested, &ClientCall::new(&self.upstream, &parts)).await?;
        }
        parts.headers.remove(header::EXPECT);
        Ok(Checked { parts, body, requested })
    }

    /// Receives an UpdateFunctionCode and checks it.
    pub(super) async fn checked_code(&self, request: Request) -> Result<Checked, LambdaError> {
        let check = async |body: &Value, call: &ClientCall<'_>| {
            let function = call.path.strip_suffix("/code").unwrap_or(call.path);
            let current = call.get_json(&format!("{function}/configuration")).await?;
            let is_image = current["PackageType"] == IMAGE;
            match (body["ImageUri"].as_str(), is_image) {
                (None, false) => Ok(()),
                (None, true) => Err(LambdaError::invalid_parameter(
                    "Please provide ImageUri when updating a function with packageType Image.",
                )),
                (Some(_), false) => Err(LambdaError::invalid_parameter(
                    "Please don't provide ImageUri when updating a function with packageType Zip.",
                )),
                (Some(uri), true) => {
                    let requested = body["Architectures"][0].as_str();
                    let architecture = requested.or(current["Architectures"][0].as_str()).unwrap_or("x86_64");
                    self.check_image(uri, architecture)
                }
            }
        };
        self.checked(request, check).await
    }

    pub(super) async fn forward(&self, Checked { parts, body, requested }: Checked) -> Response {
        let response = self.upstream.forward(Request::from_parts(parts, Body::from(body))).await;
        self.corrected_response(response, Some(&requested.unwrap_or_default())).await
    }

    /// Fails for an image that Lambda would reject; records the manifest that any other image URI names.
    fn check_image(&self, uri: &str, architecture: &str) -> Result<(), LambdaError> {
        let parsed = ImageUri::parse(uri).ok_or_else(|| {
            LambdaError::invalid_parameter(format!(
                "Source image {uri} is not valid. Provide a valid source image: \
                 <account>.dkr.ecr.<region>.amazonaws.com/<repository>@sha256:<digest>"
            ))
        })?;
        let image = Image::find(&self.registry, &parsed, uri)
            .map_err(|error| LambdaError::invalid_parameter(error_chain(&error)))?;
        if image.architecture() != architecture {
            return Err(LambdaError::invalid_parameter(format!(
                "Source image {uri} is for {}, and the function's architecture is {architecture}.",
                image.architecture()
            )));
        }
        let known = KnownImage { image_uri: uri.to_owned(), digest: image.digest.to_string() };
        self.known_images
            .add(&known)
            .map_err(|error| LambdaError::service(format!("the digest of {uri} cannot be stored: {error}")))
    }

    /// Corrects the emulator's response; `change` is the body of a request that changed something.
    ///
    /// A response without images and dead-letter targets is not changed.
    pub(super) async fn corrected_response(&self, response: Response, change: Option<&Value>) -> Response {
        if !response.status().is_success() {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
            return LambdaError::unreadable_response().into_response();
        };
        let mut document = serde_json::from_slice::<Value>(&body).ok();
        if let (Some(change), Some(document)) = (change, &document)
            && let Err(error) = self.dead_letters.record(change, document)
        {
            return error.into_response();
        }
        let corrected = document
            .as_mut()
            .and_then(|document| self.correct_document(document).then(|| Bytes::from(document.to_string())));
        if corrected.is_some() {
            parts.headers.remove(header::CONTENT_LENGTH);
        }
        Response::from_parts(parts, Body::from(corrected.unwrap_or(body)))
    }

    /// Corrects a document of the emulator; `false` if nothing was corrected.
    pub(super) fn correct_document(&self, document: &mut Value) -> bool {
        let image = correct(document, &|hash| self.known_images.find(hash));
        let dead_letters = self.dead_letters.add_to(document);
        image || dead_letters
    }
}

/// Shows the configuration in a successful response to a function, and returns the response.
pub(super) async fn with_configuration(response: Response, see: impl FnOnce(&Value)) -> Response {
    if !response.status().is_success() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let Ok(body) = axum::body::to_bytes(body, LONGEST).await else {
        return LambdaError::unreadable_response().into_response();
    };
    if let Ok(configuration) = serde_json::from_slice(&body) {
        see(&configuration);
    }
    Response::from_parts(parts, Body::from(body))
}

/// Corrects each configuration in a response and the code beside it; `false` if nothing was corrected.
fn correct(response: &mut Value, find: &dyn Fn(&str) -> Option<KnownImage>) -> bool {
    for list in ["Functions", "Versions"] {
        if let Some(functions) = response.get_mut(list).and_then(Value::as_array_mut) {
            return functions.iter_mut().filter_map(|one| correct(one, find).then_some(())).count() > 0;
        }
    }
    if response.get("Configuration").is_some_and(Value::is_object) {
        let image = correct_configuration(&mut response["Configuration"], find);
        if let Some(known) = image.as_ref().and_then(Option::as_ref) {
            let parsed = ImageUri::parse(&known.image_uri).map(|uri| uri.host_and_repository);
            let code = &mut response["Code"];
            code["RepositoryType"] = "ECR".into();
            code["ImageUri"] = known.image_uri.clone().into();
            code["ResolvedImageUri"] = format!("{}@{}", parsed.unwrap_or_default(), known.digest).into();
        }
        return image.is_some();
    }
    correct_configuration(response, find).is_some()
}

/// Corrects the configuration of an image function and returns the image if it is known; `None` for other functions.
fn correct_configuration(
    configuration: &mut Value,
    find: &dyn Fn(&str) -> Option<KnownImage>,
) -> Option<Option<KnownImage>> {
    if configuration.get("PackageType")? != IMAGE {
        return None;
    }
    let overridden = configuration.pointer_mut("/ImageConfigResponse/ImageConfig");
    if let Some(overridden) = overridden.and_then(Value::as_object_mut) {
        overridden.retain(|_, value| !is_empty(value));
        if overridden.is_empty() {
            configuration.as_object_mut()?.shift_remove("ImageConfigResponse");
        }
    }
    let known = configuration["CodeSha256"].as_str().and_then(find);
    if let Some(known) = &known {
        configuration["CodeSha256"] = known.digest.trim_start_matches("sha256:").into();
    }
    Some(known)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
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
    fn response_of_every_call_is_corrected() {
        let digest = "d".repeat(64);
        let given = json!({ "PackageType": "Image", "CodeSha256": "hash" });
        let right = json!({ "PackageType": "Image", "CodeSha256": digest });
        let zip = json!({ "PackageType": "Zip", "CodeSha256": "hash" });
        let cases = [
            (given.clone(), Some(right.clone())),
            (json!({ "Functions": [zip, given] }), Some(json!({ "Functions": [zip, right] }))),
            (
                json!({ "Versions": [given], "NextMarker": "1" }),
                Some(json!({ "Versions": [right], "NextMarker": "1" })),
            ),
            (
                json!({ "Configuration": given, "Code": { "ImageUri": "of another version" } }),
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
        for (mut response, expected) in cases {
            let before = response.clone();
            assert_eq!(correct(&mut response, &known_by), expected.is_some(), "{before}");
            assert_eq!(response, expected.unwrap_or(before));
        }
    }

    #[test]
    fn response_leaves_out_settings_that_are_not_overridden() {
        let with = |own: Value| {
            let config = json!({ "ImageConfig": own });
            let mut response =
                json!({ "PackageType": "Image", "CodeSha256": "?", "ImageConfigResponse": config });
            assert!(correct(&mut response, &known_by));
            response
        };
        let nothing = with(json!({ "Command": [], "EntryPoint": [] }));
        assert_eq!(nothing, json!({ "PackageType": "Image", "CodeSha256": "?" }));
        let command = with(json!({ "Command": ["app.handle"], "EntryPoint": [] }));
        assert_eq!(command["ImageConfigResponse"], json!({ "ImageConfig": { "Command": ["app.handle"] } }));
    }
}
