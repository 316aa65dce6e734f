//! An API with its own bucket, and requests to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use bucket_api::{Api, Aws, Settings};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};

use crate::moto::moto;
use crate::skip::Missing;

pub struct Fixture {
    pub api: Api,
    pub settings: Settings,
    pub s3: Client,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Fixture {
    /// Creates the bucket and its API.
    pub async fn new() -> Result<Self, Missing> {
        static FIXTURES: AtomicUsize = AtomicUsize::new(0);
        let moto = moto()?;
        let bucket = format!("objects-{}", FIXTURES.fetch_add(1, Ordering::Relaxed));
        let s3 = client(&moto.endpoint);
        let here = BucketLocationConstraint::from("eu-central-1");
        let configuration = CreateBucketConfiguration::builder().location_constraint(here).build();
        s3.create_bucket().bucket(&bucket).create_bucket_configuration(configuration).send().await.unwrap();
        let settings = Settings { bucket, aws: aws(&moto.endpoint) };
        Ok(Self { api: Api::new(settings.clone()), settings, s3 })
    }

    pub async fn put(&self, key: &str, content: &'static str) {
        let content = ByteStream::from_static(content.as_bytes());
        let put = self.s3.put_object().bucket(&self.settings.bucket).key(key).body(content);
        put.content_type("text/plain").metadata("origin", "tests").send().await.unwrap();
    }

    /// Sends a GET request to `path`, which may have a query.
    pub async fn get(&self, path: &str) -> Response {
        send(&self.api, &request("GET", path)).await
    }

    /// Reads the keys of a page, and the next cursor.
    pub async fn page(&self, path: &str) -> (Vec<String>, Option<String>) {
        let body = self.get(path).await.ok();
        let keys = body["objects"].as_array().unwrap().iter();
        let next = body["next_cursor"].as_str().map(str::to_owned);
        (keys.map(|object| object["key"].as_str().unwrap().to_owned()).collect(), next)
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Asserts status, code and field of an error.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str, field: Option<&str>) {
        let error = &self.body["error"];
        let seen = (self.status, error["code"].as_str(), error["field"].as_str());
        assert_eq!(seen, (status, Some(code), field), "{:?}", self.body);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    }

    #[track_caller]
    pub fn ok(self) -> Value {
        assert_eq!(self.status, 200, "{:?}", self.body);
        self.body
    }
}

/// The event of a function URL.
pub fn request(method: &str, path: &str) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": { "host": "objects.example" },
        "requestContext": { "http": { "method": method, "path": path }, "stage": "$default" },
        "isBase64Encoded": false,
    })
}

pub async fn send(api: &Api, event: &Value) -> Response {
    let mut context = Context::default();
    context.request_id = "request-1".to_owned();
    let response = api.handle(LambdaEvent::new(event.clone(), context)).await.unwrap();
    let response = serde_json::to_value(response).unwrap();
    assert_eq!(response["isBase64Encoded"], false);
    Response {
        status: u16::try_from(response["statusCode"].as_u64().unwrap()).unwrap(),
        headers: serde_json::from_value(response["headers"].clone()).unwrap(),
        body: serde_json::from_str(response["body"].as_str().unwrap()).unwrap(),
    }
}

pub fn aws(endpoint: &str) -> Aws {
    Aws {
        region: "eu-central-1".to_owned(),
        access_key_id: "AKIAEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
        s3_endpoint: Some(endpoint.to_owned()),
    }
}

fn client(endpoint: &str) -> Client {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIAEXAMPLE", "secret", None, None, "tests"))
        .http_client(http)
        .endpoint_url(endpoint)
        .force_path_style(true);
    Client::from_conf(config.build())
}
