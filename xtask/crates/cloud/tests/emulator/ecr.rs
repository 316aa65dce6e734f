//! ECR: repositories and scans in moto, expiring tokens and slow scans from a script.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use slipway_cloud::{CloudErrorKind, Digest, Ecr, Login};

use super::moto::{moto, session};
use super::scripted::{Request, Response, ScriptedServer, response};
use crate::require;

const HOST: &str = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";

async fn ecr(endpoint: &str) -> Ecr {
    session(endpoint).await.ecr(HOST).unwrap()
}

fn operation(request: &Request) -> &str {
    request.header("x-amz-target").and_then(|target| target.split_once('.')).map_or("", |(_, name)| name)
}

fn json(status: u16, body: serde_json::Value) -> Response {
    response(status, &body.to_string())
}

#[tokio::test]
async fn repository_is_created_with_its_settings_and_found() {
    let moto = require!(moto());
    let ecr = ecr(&moto.endpoint).await;
    assert_eq!(ecr.repository("shop/ingest").await.unwrap(), None);
    let made = ecr.create_repository("shop/ingest", true, true).await.unwrap();
    assert!(made.immutable && made.scan_on_push, "{made:?}");
    assert!(made.uri.ends_with("/shop/ingest"), "{made:?}");
    assert_eq!(ecr.repository("shop/ingest").await.unwrap(), Some(made.clone()));
    let again = ecr.create_repository("shop/ingest", false, false).await.unwrap();
    assert_eq!(again, made, "an existing repository is not changed");
    let open = ecr.create_repository("shop/open", false, false).await.unwrap();
    assert!(!open.immutable && !open.scan_on_push);
    let error = ecr.create_repository("Not A Name", true, true).await.unwrap_err();
    assert!(error.to_string().contains(&format!("`{HOST}/Not A Name`")), "{error}");
}

#[tokio::test]
async fn login_is_cached_until_shortly_before_expiry_or_refusal() {
    let moto = require!(moto());
    let credentials = ecr(&moto.endpoint).await.credentials();
    // Moto's tokens are expired: each call fetches a new one.
    let first = credentials.login(HOST, false).await.unwrap();
    let Login::Basic { username, password } = &first else { panic!("{first:?}") };
    assert!(username == "AWS" && !password.is_empty());
    let error = credentials.login("other.example", false).await.unwrap_err();
    assert!(error.to_string().contains("other.example") && error.to_string().contains(HOST), "{error}");

    // A token valid for 11 more minutes is cached, one valid for 9 is not.
    for (minutes, calls) in [(11, 1), (9, 2)] {
        let server = ScriptedServer::start(move |_, _| {
            let expires = SystemTime::now() + Duration::from_secs(minutes * 60);
            let expires = expires.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            json(
                200,
                serde_json::json!({ "authorizationData": [{ "authorizationToken": "QVdTOnB3", "expiresAt": expires }] }),
            )
        });
        let credentials = ecr(&server.endpoint).await.credentials();
        for _ in 0..2 {
            let login = Login::Basic { username: "AWS".into(), password: "pw".into() };
            assert_eq!(credentials.login(HOST, false).await.unwrap(), login);
        }
        assert_eq!(server.seen().len(), calls, "{minutes} minutes");
        credentials.login(HOST, true).await.unwrap();
        assert_eq!(server.seen().len(), calls + 1, "a refused token is dropped");
        let body: serde_json::Value = serde_json::from_slice(&server.seen()[0].body).unwrap();
        assert_eq!(body["registryIds"][0], "123456789012");
    }
    let server = ScriptedServer::start(|_, _| json(200, serde_json::json!({ "authorizationData": [] })));
    let error = ecr(&server.endpoint).await.credentials().login(HOST, false).await.unwrap_err();
    assert!(error.to_string().contains(HOST) && error.to_string().contains("no usable token"), "{error}");
}

#[tokio::test]
async fn registry_of_another_region_is_refused() {
    let session = session("http://127.0.0.1:1").await;
    let error = session.ecr("123456789012.dkr.ecr.eu-west-1.amazonaws.com").unwrap_err().to_string();
    assert!(error.contains("eu-west-1") && error.contains("eu-central-1"), "{error}");
    session.ecr("127.0.0.1:5000").unwrap();
}

fn sdk_client(endpoint: &str) -> aws_sdk_ecr::Client {
    use aws_sdk_ecr::config::{BehaviorVersion, Config, Credentials, Region};
    let config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("AKIAEXAMPLE", "secret", None, None, "test"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    aws_sdk_ecr::Client::from_conf(config.build())
}

/// Puts an image whose config is a text, and returns its digest.
async fn put_image(client: &aws_sdk_ecr::Client, repository: &str, tag: &str, config: &str) -> Digest {
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": { "mediaType": "application/vnd.docker.container.image.v1+json", "size": config.len(),
            "digest": Digest::of(config).to_string() },
        "layers": [],
    });
    let put = client.put_image().repository_name(repository).image_tag(tag);
    let put = put.image_manifest(manifest.to_string()).send().await.unwrap();
    put.image().unwrap().image_id().unwrap().image_digest().unwrap().parse().unwrap()
}

#[tokio::test]
async fn images_are_deleted_and_the_reason_of_one_that_is_not_is_an_error() {
    let moto = require!(moto());
    let ecr = ecr(&moto.endpoint).await;
    ecr.create_repository("shop/old", true, false).await.unwrap();
    let client = sdk_client(&moto.endpoint);
    let one = put_image(&client, "shop/old", "1.0.0", "{}").await;
    let two = put_image(&client, "shop/old", "2.0.0", "{ }").await;
    ecr.delete_images("shop/old", &[one]).await.unwrap();
    let left = client.list_images().repository_name("shop/old").send().await.unwrap();
    let left: Vec<_> = left.image_ids().iter().filter_map(|image| image.image_digest()).collect();
    assert_eq!(left, [two.to_string()]);
    ecr.delete_images("shop/old", &[one]).await.unwrap();
    let absent = ecr.delete_images("absent", &[one]).await.unwrap_err();
    assert_eq!(absent.kind, CloudErrorKind::NotFound, "{absent}");

    let server = ScriptedServer::start(|_, request| {
        assert_eq!(operation(request), "BatchDeleteImage");
        let image = serde_json::json!({ "imageDigest": Digest::of(b"image").to_string() });
        let failed = serde_json::json!({
            "imageId": image, "failureCode": "ImageReferencedByManifestList", "failureReason": "a list names it",
        });
        json(200, serde_json::json!({ "imageIds": [], "failures": [failed] }))
    });
    let digest = Digest::of(b"image");
    let error = self::ecr(&server.endpoint).await.delete_images("shop", &[digest]).await.unwrap_err();
    assert!(error.to_string().contains(&format!("{digest}: a list names it")), "{error}");
}

#[tokio::test]
async fn scan_findings_of_an_image_are_read() {
    let moto = require!(moto());
    let ecr = ecr(&moto.endpoint).await;
    ecr.create_repository("shop/scanned", true, false).await.unwrap();
    let client = sdk_client(&moto.endpoint);
    let digest = put_image(&client, "shop/scanned", "1.0.0", "{}").await;
    let started = Instant::now();
    let limit = Duration::from_millis(300);
    let error = ecr.scan_findings("shop/scanned", digest, limit).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::TimedOut, "{error}");
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    assert!(error.to_string().contains(&format!("{HOST}/shop/scanned@{digest}")), "{error}");
    assert!(error.to_string().contains("no scan has started"), "{error}");

    let image = aws_sdk_ecr::types::ImageIdentifier::builder().image_tag("1.0.0").build();
    client.start_image_scan().repository_name("shop/scanned").image_id(image).send().await.unwrap();
    let found = ecr.scan_findings("shop/scanned", digest, Duration::from_secs(5)).await.unwrap();
    assert!(!found.findings.is_empty(), "{found:?}");
    assert!(found.counts.values().sum::<u32>() > 0, "{found:?}");
    assert!(found.findings.iter().all(|finding| !finding.name.is_empty() && !finding.severity.is_empty()));
    let absent = ecr.scan_findings("absent", digest, limit).await.unwrap_err();
    assert_eq!(absent.kind, CloudErrorKind::NotFound, "{absent}");
}

#[tokio::test]
async fn scan_is_awaited_and_read_to_the_last_page() {
    let server = ScriptedServer::start(|before, request| {
        assert_eq!(operation(request), "DescribeImageScanFindings");
        let finding = |name: &str| {
            serde_json::json!({ "name": name, "severity": "HIGH", "attributes": [
                { "key": "package_name", "value": "zlib" }, { "key": "package_version", "value": "1.2" }] })
        };
        match before {
            0 => json(200, serde_json::json!({ "imageScanStatus": { "status": "IN_PROGRESS" } })),
            1 => json(
                200,
                serde_json::json!({
                    "imageScanStatus": { "status": "COMPLETE" }, "nextToken": "more",
                    "imageScanFindings": { "findingSeverityCounts": { "HIGH": 2 }, "findings": [finding("CVE-1")] },
                }),
            ),
            _ => json(
                200,
                serde_json::json!({
                    "imageScanStatus": { "status": "COMPLETE" },
                    "imageScanFindings": { "findingSeverityCounts": { "HIGH": 2 }, "findings": [finding("CVE-2")] },
                }),
            ),
        }
    });
    let digest = Digest::of(b"image");
    let found =
        ecr(&server.endpoint).await.scan_findings("shop", digest, Duration::from_secs(20)).await.unwrap();
    assert_eq!(found.counts["HIGH"], 2);
    let names: Vec<_> = found.findings.iter().map(|finding| finding.name.as_str()).collect();
    assert_eq!(names, ["CVE-1", "CVE-2"]);
    assert_eq!(found.findings[0].package.as_deref(), Some("zlib 1.2"));

    let server = ScriptedServer::start(|_, _| {
        json(
            200,
            serde_json::json!({ "imageScanStatus": { "status": "UNSUPPORTED_IMAGE", "description": "no layers" } }),
        )
    });
    let ecr = Arc::new(ecr(&server.endpoint).await);
    let error = ecr.scan_findings("shop", digest, Duration::from_secs(20)).await.unwrap_err().to_string();
    assert!(error.contains("UNSUPPORTED_IMAGE: no layers") && error.contains(HOST), "{error}");
    assert_eq!(server.seen().len(), 1, "a final status is not polled again");
}
