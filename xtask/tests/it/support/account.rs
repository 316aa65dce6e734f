//! An account of the emulated AWS, which the tests set up and inspect without Slipway.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::http::{self, Response};
use super::test_run::TestRun;

/// The region of the local environment.
const REGION: &str = "eu-central-1";

/// One account.
#[derive(Clone)]
pub struct Account {
    pub id: String,
    port: u16,
}

/// Every object of an account's buckets, by bucket and key.
pub type Objects = BTreeMap<(String, String), Vec<u8>>;

impl Account {
    /// Returns an account that no other test uses, nor another process with tests: a Terraform that works on a state of the same name
    /// counts as one that may hold its lock.
    pub fn new(test_run: &TestRun) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(200_000_000_001);
        let of_process = u64::from(std::process::id() % 100_000) * 1_000_000;
        Self { id: (NEXT.fetch_add(1, Ordering::Relaxed) + of_process).to_string(), port: test_run.port }
    }

    /// Returns the name in Lambda of a project's function.
    pub fn function_name(&self, function: &str) -> String {
        format!("echo-{}-local-{function}", self.id)
    }

    /// Creates a function with one published version for each zip, and the alias `live` on the first.
    pub fn create_function(&self, function: &str, zips: &[&[u8]]) {
        let name = self.function_name(function);
        self.call_form("iam", &format!("Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"));
        let role = format!("arn:aws:iam::{}:role/{name}", self.id);
        for (index, zip) in zips.iter().enumerate() {
            let code = BASE64_STANDARD.encode(zip);
            if index == 0 {
                let function = json!({
                    "FunctionName": name, "Runtime": "provided.al2023", "Handler": "bootstrap", "Role": role,
                    "Architectures": ["x86_64"], "Code": { "ZipFile": code }, "Publish": true, "Timeout": 10,
                    "MemorySize": 128,
                });
                self.lambda("POST", "", &function);
            } else {
                self.lambda("PUT", &format!("/{name}/code"), &json!({ "ZipFile": code, "Publish": true }));
            }
        }
        self.lambda("POST", &format!("/{name}/aliases"), &json!({ "Name": "live", "FunctionVersion": "1" }));
    }

    /// Returns the version that a function's alias points to.
    pub fn alias(&self, function: &str) -> String {
        let path = format!("/{}/aliases/live", self.function_name(function));
        let alias = self.lambda("GET", &path, &Value::Null);
        alias["FunctionVersion"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the code of a function's version, as Lambda reports it.
    pub fn code_of(&self, function: &str, version: &str) -> String {
        let path = format!("/{}/configuration?Qualifier={version}", self.function_name(function));
        let configuration = self.lambda("GET", &path, &Value::Null);
        configuration["CodeSha256"].as_str().unwrap_or_default().to_owned()
    }

    /// Returns the code of each published version of a function.
    pub fn published_codes(&self, function: &str) -> Vec<String> {
        let path = format!("/{}/versions", self.function_name(function));
        let versions = self.lambda("GET", &path, &Value::Null);
        let versions = versions["Versions"].as_array().cloned().unwrap_or_default();
        versions
            .iter()
            .filter(|version| version["Version"] != "$LATEST")
            .map(|version| version["CodeSha256"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Moves a function's alias to a version, without Slipway.
    pub fn move_alias(&self, function: &str, version: &str) {
        let path = format!("/{}/aliases/live", self.function_name(function));
        self.lambda("PUT", &path, &json!({ "FunctionVersion": version }));
    }

    /// Creates a bucket.
    #[track_caller]
    pub fn create_bucket(&self, bucket: &str) {
        let location = format!(
            "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
        );
        let created = self.s3("PUT", &format!("/{bucket}"), location.as_bytes());
        assert_eq!(created.status, 200, "{bucket}: {}", created.text());
    }

    /// Lists the keys of a bucket; none if it does not exist.
    pub fn keys(&self, bucket: &str) -> Vec<String> {
        let response = self.s3("GET", &format!("/{bucket}?list-type=2"), &[]);
        if response.status == 404 {
            return Vec::new();
        }
        assert_eq!(response.status, 200, "{}", response.text());
        let text = response.text();
        assert!(!text.contains("<IsTruncated>true</IsTruncated>"), "a bucket with more than one page");
        text.split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split("</Key>").next())
            .map(str::to_owned)
            .collect()
    }

    /// Reads one object.
    pub fn object(&self, bucket: &str, key: &str) -> Vec<u8> {
        let response = self.s3("GET", &format!("/{bucket}/{key}"), &[]);
        assert_eq!(response.status, 200, "{bucket}/{key}: {}", response.text());
        response.body
    }

    /// Writes one object, without Slipway.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let put = self.s3("PUT", &format!("/{bucket}/{key}"), bytes);
        assert_eq!(put.status, 200, "{bucket}/{key}: {}", put.text());
    }

    /// Deletes one object, without Slipway.
    pub fn delete(&self, bucket: &str, key: &str) {
        self.s3("DELETE", &format!("/{bucket}/{key}"), &[]);
    }

    /// The buckets of a project in this account: artifacts and state.
    pub fn buckets(&self) -> [String; 2] {
        [format!("echo-{}-artifacts", self.id), format!("echo-{}-local-state", self.id)]
    }

    /// Reads all objects of the project's buckets.
    pub fn objects(&self) -> Objects {
        self.buckets()
            .into_iter()
            .flat_map(|bucket| {
                let keys = self.keys(&bucket);
                keys.into_iter().map(move |key| (bucket.clone(), key))
            })
            .map(|(bucket, key)| {
                let bytes = self.object(&bucket, &key);
                ((bucket, key), bytes)
            })
            .collect()
    }

    /// Makes the project's buckets contain exactly these objects.
    pub fn restore_objects(&self, objects: &Objects) {
        for bucket in self.buckets() {
            for key in self.keys(&bucket) {
                if !objects.contains_key(&(bucket.clone(), key.clone())) {
                    self.s3("DELETE", &format!("/{bucket}/{key}"), &[]);
                }
            }
        }
        for ((bucket, key), bytes) in objects {
            self.put(bucket, key, bytes);
        }
    }

    /// Calls an operation of a service with AWS's JSON protocol, such as `Kinesis_20131202.PutRecord`.
    #[track_caller]
    pub fn call_json(&self, service: &str, target: &str, version: &str, body: &Value) -> Value {
        let content = format!("application/x-amz-json-{version}");
        let headers = [("X-Amz-Target", target)];
        let response = self.call_with(service, "POST", "/", &content, &headers, body.to_string().as_bytes());
        assert_eq!(response.status, 200, "{target}: {}", response.text());
        // Some operations have no response.
        if response.text().is_empty() { Value::Null } else { response.json() }
    }

    fn s3(&self, method: &str, path: &str, body: &[u8]) -> Response {
        self.call("s3", method, path, "application/octet-stream", body)
    }

    #[track_caller]
    fn lambda(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let path = format!("/2015-03-31/functions{path}");
        let response = self.call("lambda", method, &path, "application/json", body.as_bytes());
        assert!(response.status < 300, "{method} {path}: {} {}", response.status, response.text());
        response.json()
    }

    #[track_caller]
    fn call_form(&self, service: &str, body: &str) {
        let response = self.call(service, "POST", "/", "application/x-www-form-urlencoded", body.as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
    }

    /// Returns an administrator's credentials, as the environment variables of the AWS SDK and Terraform.
    pub fn administrator_variables(&self) -> Vec<(&'static str, String)> {
        let body = format!(
            "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::{}:role/admin&RoleSessionName=ada",
            self.id
        );
        let content = "application/x-www-form-urlencoded";
        let xml = self.call("sts", "POST", "/", content, body.as_bytes()).text();
        let part = |tag: &str| {
            let (_, after) = xml.split_once(&format!("<{tag}>")).expect("credentials");
            after.split_once("</").expect("an end").0.to_owned()
        };
        vec![
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", part("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", part("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", part("SessionToken")),
        ]
    }

    /// Sends a request to a service that responds with XML or bytes.
    pub fn call(&self, service: &str, method: &str, path: &str, content: &str, body: &[u8]) -> Response {
        self.call_with(service, method, path, content, &[], body)
    }

    fn call_with(
        &self,
        service: &str,
        method: &str,
        path: &str,
        content: &str,
        further_headers: &[(&str, &str)],
        body: &[u8],
    ) -> Response {
        // moto does not check signatures. The scope names the service, moto's own header the account.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIA0000000000000000/20261122/{REGION}/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        let mut headers = vec![
            ("Authorization", authorization.as_str()),
            ("X-Moto-Account-Id", self.id.as_str()),
            ("Content-Type", content),
        ];
        headers.extend(further_headers);
        http::send(self.port, method, path, &headers, body)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }
}
