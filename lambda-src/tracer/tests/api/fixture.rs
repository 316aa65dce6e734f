//! An API with its own tables and secret, and requests to it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tracer::{Api, Aws, Origins, Pace, Patience, Settings};

use crate::moto::moto;
use crate::skip::Missing;

/// A valid API key.
pub const KEY: &str = "key-of-the-tests";

pub struct Fixture {
    pub api: Api,
    pub settings: Settings,
    pub tables: aws_sdk_dynamodb::Client,
    pub secrets: aws_sdk_secretsmanager::Client,
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

impl Fixture {
    /// Creates the tables, the secret and the API.
    pub async fn new() -> Result<Self, Missing> {
        let fixture = Self::without_keys().await?;
        fixture.set_keys(&json!([KEY, "another-key"]).to_string()).await;
        Ok(fixture)
    }

    /// Creates the tables and the API, without a secret.
    pub async fn without_keys() -> Result<Self, Missing> {
        static FIXTURES: AtomicUsize = AtomicUsize::new(0);
        let moto = moto()?;
        crate::log::start();
        let number = FIXTURES.fetch_add(1, Ordering::Relaxed);
        let settings = Settings {
            traces_table: format!("traces-{number}"),
            spans_table: format!("spans-{number}"),
            api_keys_secret: format!("keys-{number}"),
            origins: Origins::parse("https://shop.example").unwrap(),
            pace: Pace::default(),
            aws: aws(&moto.endpoint),
        };
        let (tables, secrets) = clients(&moto.endpoint);
        let fixture = Self { api: Api::new(settings.clone()), settings, tables, secrets };
        let (traces, spans) = (&fixture.settings.traces_table, &fixture.settings.spans_table);
        fixture.create_table(traces, "trace_id", "by-project", "project_id").await;
        fixture.create_table(spans, "span_id", "by-trace", "trace_id").await;
        Ok(fixture)
    }

    /// Returns another instance of the function, with another caching pace.
    pub fn second_instance(&self, pace: Pace) -> Api {
        Api::new(Settings { pace, ..self.settings.clone() })
    }

    /// Returns an instance of the function that uses another DynamoDB.
    pub fn with_tables_at(&self, endpoint: &str) -> Api {
        let mut settings = self.settings.clone();
        settings.aws.dynamodb_endpoint = Some(endpoint.to_owned());
        Api::new(settings)
    }

    pub async fn set_keys(&self, text: &str) {
        let name = &self.settings.api_keys_secret;
        let put = self.secrets.put_secret_value().secret_id(name).secret_string(text).send().await;
        if put.is_err() {
            self.secrets.create_secret().name(name).secret_string(text).send().await.unwrap();
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> Response {
        send(&self.api, &request("POST", path, Some(body.to_string()))).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Response {
        send(&self.api, &request("PATCH", path, Some(body.to_string()))).await
    }

    /// Sends a GET request to `path`, which may have a query.
    pub async fn get(&self, path: &str) -> Response {
        send(&self.api, &request("GET", path, None)).await
    }

    async fn create_table(&self, name: &str, id: &str, index: &str, partition: &str) {
        let attribute = |name: &str| {
            let attribute = AttributeDefinition::builder().attribute_name(name);
            attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
        };
        let key = |name: &str, kind| {
            KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap()
        };
        let index = GlobalSecondaryIndex::builder()
            .index_name(index)
            .key_schema(key(partition, KeyType::Hash))
            .key_schema(key("start_time", KeyType::Range))
            .projection(Projection::builder().projection_type(ProjectionType::All).build())
            .build()
            .unwrap();
        self.tables
            .create_table()
            .table_name(name)
            .billing_mode(BillingMode::PayPerRequest)
            .attribute_definitions(attribute(id))
            .attribute_definitions(attribute(partition))
            .attribute_definitions(attribute("start_time"))
            .key_schema(key(id, KeyType::Hash))
            .global_secondary_indexes(index)
            .send()
            .await
            .unwrap();
    }
}

impl Response {
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Asserts status, code and field of an error.
    #[track_caller]
    pub fn assert_error(&self, status: u16, code: &str, field: Option<&str>) {
        let seen = (self.status, self.code(), self.body["error"]["field"].as_str());
        assert_eq!(seen, (status, code, field), "{:?}", self.body);
        assert!(self.body["error"]["message"].as_str().is_some_and(|message| !message.is_empty()));
    }

    #[track_caller]
    pub fn ok(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{:?}", self.body);
        self.body
    }
}

/// The event of a function URL, with an API key.
pub fn request(method: &str, path: &str, body: Option<String>) -> Value {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": { "x-api-key": KEY, "content-type": "application/json" },
        "requestContext": { "http": { "method": method, "path": path }, "stage": "$default" },
        "body": body, "isBase64Encoded": false,
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
        body: response["body"].as_str().map_or(Value::Null, |body| serde_json::from_str(body).unwrap()),
    }
}

pub fn aws(endpoint: &str) -> Aws {
    Aws {
        region: "eu-central-1".to_owned(),
        access_key_id: "AKIAEXAMPLE".to_owned(),
        secret_access_key: "secret".to_owned(),
        session_token: None,
        dynamodb_endpoint: Some(endpoint.to_owned()),
        secrets_endpoint: Some(endpoint.to_owned()),
        // moto on a busy machine is slow: an attempt that timed out and still succeeded would be found already made.
        patience: Patience { attempt: Duration::from_secs(30), call: Duration::from_secs(90) },
    }
}

/// A caching pace: how long keys are kept, and how soon they are read again, in milliseconds.
pub fn cache_pace(keep: u64, again: u64) -> Pace {
    Pace { keep: Duration::from_millis(keep), again: Duration::from_millis(again), ..Pace::default() }
}

fn clients(endpoint: &str) -> (aws_sdk_dynamodb::Client, aws_sdk_secretsmanager::Client) {
    let http: SharedHttpClient = aws_smithy_http_client::Builder::new().build_http();
    let credentials = Credentials::new("AKIAEXAMPLE", "secret", None, None, "tests");
    let tables = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials.clone())
        .http_client(http.clone())
        .endpoint_url(endpoint)
        .build();
    let secrets = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(credentials)
        .http_client(http)
        .endpoint_url(endpoint)
        .build();
    (aws_sdk_dynamodb::Client::from_conf(tables), aws_sdk_secretsmanager::Client::from_conf(secrets))
}
