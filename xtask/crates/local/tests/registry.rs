//! The registry against the distribution specification, over plain HTTP and with skopeo.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use slipway_local::gateway::{self, GatewayConfig};
use std::path::Path;
use support::image::{self, Image, MANIFEST, descriptor, digest, push_blob, put_manifest};
use support::programs::find_program;
use support::{Response, send};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A gateway without an emulator, which the registry does not need.
struct Registry {
    url: String,
    folder: tempfile::TempDir,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    served: Option<tokio::task::JoinHandle<Result<(), gateway::Error>>>,
}

impl Registry {
    async fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap()).await
    }

    async fn on(folder: tempfile::TempDir) -> Self {
        let config = GatewayConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            emulator_url: "http://127.0.0.1:9".to_owned(),
            store_bucket: "store".to_owned(),
            work_folder: folder.path().join("functions"),
            registry_folder: folder.path().join("registry"),
            log_folder: folder.path().join("logs"),
            ready_file: None,
            exclusive_emulator: false,
            supervisor_folder: None,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let serve = gateway::serve(
            config,
            move |address| sender.send(format!("http://{address}")).unwrap(),
            async move {
                let _ = stopped.await;
            },
        );
        let served = Some(tokio::spawn(serve));
        Self { url: receiver.await.unwrap(), folder, stop: Some(stop), served }
    }

    /// Stops the gateway and starts another one on the same folder.
    async fn restart(mut self) -> Self {
        self.stop.take().unwrap().send(()).unwrap();
        self.served.take().unwrap().await.unwrap().unwrap();
        Self::on(self.folder).await
    }

    async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        send(method, &format!("{}/v2/{path}", self.url), headers, body.to_vec()).await
    }

    async fn get(&self, path: &str) -> Response {
        self.call("GET", path, &[], b"").await
    }

    fn files(&self, folder: &str) -> usize {
        std::fs::read_dir(self.folder.path().join("registry").join(folder)).unwrap().count()
    }
}

fn code(response: &Response) -> (u16, String) {
    let error = &response.json()["errors"][0];
    assert!(!error["message"].as_str().unwrap().is_empty());
    (response.status, error["code"].as_str().unwrap().to_owned())
}

fn error(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[tokio::test]
async fn blob_is_pushed_in_every_way_and_read_back() {
    let registry = Registry::start().await;
    let base = registry.get("").await;
    assert_eq!((base.status, base.header("docker-distribution-api-version")), (200, Some("registry/2.0")));

    let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let (name, path) = (digest(&bytes), format!("a/blobs/{}", digest(&bytes)));
    assert_eq!(registry.call("HEAD", &path, &[], b"").await.status, 404);
    assert_eq!(code(&registry.get(&path).await), error(404, "BLOB_UNKNOWN"));
    let pushed = push_blob(&registry.url, "a", &bytes).await;
    assert_eq!((pushed.status, pushed.header("location")), (201, Some(format!("/v2/{path}").as_str())));
    assert_eq!(pushed.header("docker-content-digest"), Some(name.as_str()));
    let head = registry.call("HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("3000000")));
    let whole = registry.get(&path).await;
    assert!(whole.status == 200 && whole.body == bytes);
    let part = registry.call("GET", &path, &[("range", "bytes=1000000-1000999")], b"").await;
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 1000000-1000999/3000000")));
    assert!(part.body == bytes[1_000_000..1_001_000]);
    let beyond = registry.call("GET", &path, &[("range", "bytes=3000000-")], b"").await;
    assert_eq!(beyond.status, 416);

    // A blob in one POST.
    let small =
        registry.call("POST", &format!("b/blobs/uploads/?digest={}", digest(b"small")), &[], b"small").await;
    assert_eq!(small.status, 201);
    assert_eq!(registry.get(&format!("b/blobs/{}", digest(b"small"))).await.text(), "small");
    // Mounted from another repository; a plain upload is started where that does not have the blob.
    let mount = async |from: &str| {
        registry.call("POST", &format!("c/d/blobs/uploads/?mount={name}&from={from}"), &[], b"").await
    };
    assert_eq!(mount("b").await.status, 202);
    assert_eq!(mount("a").await.status, 201);
    assert!(registry.get(&format!("c/d/blobs/{name}")).await.body == bytes);
    assert_eq!(registry.files("blobs/sha256"), 2);

    // A blob in pieces.
    let begun = registry.call("POST", "e/blobs/uploads/", &[], b"").await;
    let location = begun.header("location").unwrap().strip_prefix("/v2/").unwrap().to_owned();
    for (range, piece, status, last) in [
        ("0-999999", 0..1_000_000, 202, "0-999999"),
        ("5-10", 5..11, 416, "0-999999"),
        ("1000000-1999999", 1_000_000..2_000_000, 202, "0-1999999"),
    ] {
        let response = registry.call("PATCH", &location, &[("content-range", range)], &bytes[piece]).await;
        assert_eq!((response.status, response.header("range")), (status, Some(last)), "{range}");
    }
    let status = registry.get(&location).await;
    assert_eq!((status.status, status.header("range")), (204, Some("0-1999999")));
    let end = registry.call("PUT", &format!("{location}?digest={name}"), &[], &bytes[2_000_000..]).await;
    assert_eq!(end.status, 201);
    assert!(registry.get(&format!("e/blobs/{name}")).await.body == bytes);
    assert_eq!(code(&registry.get(&location).await), error(404, "BLOB_UPLOAD_UNKNOWN"));
}

#[tokio::test]
async fn blob_with_a_wrong_digest_is_not_stored() {
    let registry = Registry::start().await;
    let begin = async || {
        let begun = registry.call("POST", "a/blobs/uploads/", &[], b"").await;
        begun.header("location").unwrap().strip_prefix("/v2/").unwrap().to_owned()
    };
    let location = begin().await;
    let wrong = registry.call("PUT", &format!("{location}?digest={}", digest(b"right")), &[], b"wrong").await;
    assert_eq!(code(&wrong), error(400, "DIGEST_INVALID"));
    assert_eq!(wrong.json()["errors"][0]["detail"]["received"], digest(b"wrong"));
    assert_eq!(registry.get(&location).await.status, 404);
    let location = begin().await;
    for malformed in ["", "?digest=sha256:00", "?digest=md5:00"] {
        let response = registry.call("PUT", &format!("{location}{malformed}"), &[], b"x").await;
        assert_eq!(code(&response), error(400, "DIGEST_INVALID"), "{malformed}");
    }
    assert_eq!(registry.call("DELETE", &location, &[], b"").await.status, 204);
    assert_eq!(registry.call("DELETE", &location, &[], b"").await.status, 404);
    assert_eq!((registry.files("blobs/sha256"), registry.files("uploads")), (0, 0));

    // A client that disconnects continues where it stopped.
    let location = begin().await;
    let address = registry.url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let head =
        format!("PATCH /v2/{location} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\nhello");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest).await;
    let status = registry.get(&location).await;
    assert_eq!(status.header("range"), Some("0-4"));
    let url = format!("{location}?digest={}", digest(b"hello world"));
    assert_eq!(registry.call("PUT", &url, &[("content-range", "5-10")], b" world").await.status, 201);

    for (path, expected) in [
        ("A/tags/list", error(400, "NAME_INVALID")),
        ("a/../b/tags/list", error(400, "NAME_INVALID")),
        ("a/_tags/tags/list", error(400, "NAME_INVALID")),
        ("a/manifests/..", error(400, "TAG_INVALID")),
        ("a/manifests/sha256:1", error(400, "DIGEST_INVALID")),
        ("a/blobs/sha256:1", error(400, "DIGEST_INVALID")),
        ("a/manifests/none", error(404, "MANIFEST_UNKNOWN")),
        ("none/tags/list", error(404, "NAME_UNKNOWN")),
        ("a", error(404, "UNSUPPORTED")),
    ] {
        assert_eq!(code(&registry.get(path).await), expected, "{path}");
    }
    let response = registry.call("DELETE", &format!("a/blobs/{}", digest(b"hello world")), &[], b"").await;
    assert_eq!(code(&response), error(405, "UNSUPPORTED"));
}

#[tokio::test]
async fn manifest_is_checked_and_its_tag_never_moves() {
    let registry = Registry::start().await;
    let image =
        |label: &str| Image::new(&[image::tar(&[("label", label.as_bytes(), 0o644)])], "amd64", json!({}));
    let (one, two) = (image("one"), image("two"));
    let put = async |reference: &str, kind: &str, bytes: &[u8]| {
        put_manifest(&registry.url, "shop/a", reference, kind, bytes).await
    };
    let early = put("1.0.0", MANIFEST, &one.manifest).await;
    assert_eq!(code(&early), error(400, "MANIFEST_BLOB_UNKNOWN"));
    assert!([digest(&one.config), digest(&one.layers[0])].iter().any(|blob| early.text().contains(blob)));
    one.push(&registry.url, "shop/a", Some("1.0.0")).await;
    two.push(&registry.url, "shop/a", None).await;
    // The repository must hold the blobs; that another one in the registry does is not enough.
    let elsewhere = put_manifest(&registry.url, "shop/b", "1.0.0", MANIFEST, &one.manifest).await;
    assert_eq!(code(&elsewhere), error(400, "MANIFEST_BLOB_UNKNOWN"));

    for reference in ["1.0.0".to_owned(), one.digest(), one.digest().replace(':', "%3A")] {
        let read = registry.get(&format!("shop/a/manifests/{reference}")).await;
        assert_eq!((read.status, read.header("content-type")), (200, Some(MANIFEST)));
        assert_eq!(read.header("docker-content-digest"), Some(one.digest().as_str()));
        assert!(read.body == one.manifest);
        let head = registry.call("HEAD", &format!("shop/a/manifests/{reference}"), &[], b"").await;
        let length = one.manifest.len().to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
        assert!(head.body.is_empty());
    }
    // The same manifest again is accepted, another one under that tag is not.
    assert_eq!(put("1.0.0", MANIFEST, &one.manifest).await.status, 201);
    let moved = put("1.0.0", MANIFEST, &two.manifest).await;
    assert_eq!(code(&moved), error(400, "TAG_INVALID"));
    let message = moved.text();
    assert!(message.contains("ImageTagAlreadyExists") && message.contains(&one.digest()), "{message}");
    assert!(registry.get("shop/a/manifests/1.0.0").await.body == one.manifest);
    // Of concurrent pushes one wins, and the others get an error.
    let race = async |image: &Image| put("2.0.0", MANIFEST, &image.manifest).await.status;
    let (first, second) = tokio::join!(race(&one), race(&two));
    assert!(matches!((first, second), (201, 400) | (400, 201)), "{first} {second}");

    let wrong_size = String::from_utf8(one.manifest.clone()).unwrap().replacen("\"size\":", "\"size\":1", 1);
    let no_config = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "layers": [] }).to_string();
    let old = json!({ "schemaVersion": 1, "config": descriptor(image::CONFIG, &one.config) }).to_string();
    for (reference, kind, bytes, expected) in [
        (two.digest().as_str(), MANIFEST, one.manifest.as_slice(), "DIGEST_INVALID"),
        ("x", image::INDEX, &one.manifest, "MANIFEST_INVALID"),
        ("x", "application/json", br#"{"schemaVersion":2}"#, "MANIFEST_INVALID"),
        ("x", MANIFEST, b"{", "MANIFEST_INVALID"),
        ("x", MANIFEST, no_config.as_bytes(), "MANIFEST_INVALID"),
        ("x", MANIFEST, old.as_bytes(), "MANIFEST_INVALID"),
        ("x", MANIFEST, wrong_size.as_bytes(), "SIZE_INVALID"),
    ] {
        assert_eq!(code(&put(reference, kind, bytes).await), error(400, expected));
    }
    let index = |image: &Image| {
        json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, &image.manifest)] }).to_string()
    };
    assert_eq!(put("all", image::INDEX, index(&one).as_bytes()).await.status, 201);
    let unknown = put("x", image::INDEX, index(&image("three")).as_bytes()).await;
    assert_eq!(code(&unknown), error(400, "MANIFEST_BLOB_UNKNOWN"));

    let tags = async |query: &str| registry.get(&format!("shop/a/tags/list{query}")).await;
    assert_eq!(tags("").await.json(), json!({ "name": "shop/a", "tags": ["1.0.0", "2.0.0", "all"] }));
    let page = tags("?n=2").await;
    assert_eq!(page.json()["tags"], json!(["1.0.0", "2.0.0"]));
    assert_eq!(page.header("link"), Some("</v2/shop/a/tags/list?n=2&last=2.0.0>; rel=\"next\""));
    let page = tags("?n=2&last=2.0.0").await;
    assert_eq!((&page.json()["tags"], page.header("link")), (&json!(["all"]), None));

    // The next gateway has the same content; a deleted manifest is gone with its tags.
    let registry = registry.restart().await;
    assert!(registry.get("shop/a/manifests/1.0.0").await.body == one.manifest);
    let path = format!("shop/a/manifests/{}", one.digest());
    assert_eq!(registry.call("DELETE", &path, &[], b"").await.status, 202);
    assert_eq!(registry.get(&path).await.status, 404);
    assert_eq!(registry.get("shop/a/manifests/1.0.0").await.status, 404);
    assert_eq!(registry.call("DELETE", "shop/a/manifests/all", &[], b"").await.status, 202);
}

#[tokio::test]
async fn referrers_are_found_by_subject_and_artifact_type() {
    let registry = Registry::start().await;
    let image = Image::new(&[image::tar(&[])], "amd64", json!({}));
    let empty = b"{}";
    push_blob(&registry.url, "a", empty).await;
    let attach = async |kind: Option<&str>, config: &str, note: &str| {
        let mut manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, empty),
            "layers": [], "subject": descriptor(MANIFEST, &image.manifest), "annotations": { "note": note },
        });
        if let Some(kind) = kind {
            manifest["artifactType"] = kind.into();
        }
        let bytes = manifest.to_string().into_bytes();
        let pushed = put_manifest(&registry.url, "a", &digest(&bytes), MANIFEST, &bytes).await;
        assert_eq!((pushed.status, pushed.header("oci-subject")), (201, Some(image.digest().as_str())));
        bytes
    };
    let list = async |query: &str| registry.get(&format!("a/referrers/{}{query}", image.digest())).await;
    let none = list("").await;
    assert_eq!((none.status, none.header("content-type")), (200, Some(image::INDEX)));
    assert_eq!(none.json(), json!({ "schemaVersion": 2, "mediaType": image::INDEX, "manifests": [] }));

    // The subject need not exist.
    let sbom =
        attach(Some("application/vnd.cyclonedx+json"), "application/vnd.oci.empty.v1+json", "sbom").await;
    let other = attach(None, "application/vnd.in-toto+json", "provenance").await;
    image.push(&registry.url, "a", None).await;
    let all = list("").await.json();
    assert_eq!(all["manifests"].as_array().unwrap().len(), 2);
    let filtered = list("?artifactType=application/vnd.cyclonedx%2Bjson").await;
    assert_eq!(filtered.header("oci-filters-applied"), Some("artifactType"));
    let mut expected = descriptor(MANIFEST, &sbom);
    expected["artifactType"] = "application/vnd.cyclonedx+json".into();
    expected["annotations"] = json!({ "note": "sbom" });
    assert_eq!(filtered.json()["manifests"], json!([expected]));
    // Without an artifact type the type of the config is used.
    let filtered = list("?artifactType=application/vnd.in-toto%2Bjson").await.json();
    assert_eq!(filtered["manifests"][0]["digest"], digest(&other));

    assert_eq!(
        registry.call("DELETE", &format!("a/manifests/{}", digest(&sbom)), &[], b"").await.status,
        202
    );
    assert_eq!(list("").await.json()["manifests"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn requests_signed_for_aws_do_not_reach_the_registry() {
    let registry = Registry::start().await;
    let scope =
        "AWS4-HMAC-SHA256 Credential=K/20260101/eu-central-1/apigateway/aws4_request, SignedHeaders=host";
    let response = registry.call("GET", "apis", &[("authorization", scope)], b"").await;
    // The request was forwarded to the emulator, which does not run.
    assert_eq!((response.status, response.header("x-amzn-errortype")), (502, Some("EmulatorUnreachable")));
    // Registry credentials are not AWS signatures.
    let response = registry.call("GET", "", &[("authorization", "Basic YTpi")], b"").await;
    assert_eq!(response.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn image_is_copied_in_and_out_by_skopeo() {
    let skopeo = require!(find_program("skopeo"));
    let registry = Registry::start().await;
    let layers = [image::tar(&[("a", &[7; 100_000], 0o644)]), image::tar(&[("b", b"b", 0o755)])];
    let image = Image::new(&layers, "amd64", json!({ "Cmd": ["/b"] }));
    let folder = tempfile::tempdir().unwrap();
    layout(&folder.path().join("in"), &image);
    let (from, back) = (folder.path().join("in"), folder.path().join("out"));
    let there = format!("docker://{}/shop/copied:1.0.0", registry.url.strip_prefix("http://").unwrap());
    let copy = |from: &str, to: &str| {
        let insecure = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        let arguments = [&["--insecure-policy", "copy", "--quiet"], &insecure[..], &[from, to]].concat();
        image::run(&skopeo, &arguments);
    };
    copy(&format!("oci:{}", from.display()), &there);
    let read = registry.get("shop/copied/manifests/1.0.0").await;
    assert!(read.body == image.manifest, "{}", read.text());
    copy(&there, &format!("oci:{}", back.display()));
    let index: Value = serde_json::from_slice(&std::fs::read(back.join("index.json")).unwrap()).unwrap();
    assert_eq!(index["manifests"][0]["digest"], image.digest());
    for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
        let name = digest(blob).replace(':', "/");
        assert!(std::fs::read(back.join("blobs").join(name)).unwrap() == *blob);
    }
    // In Docker's older format too.
    let old = there.replace("1.0.0", "docker");
    let arguments = ["--insecure-policy", "copy", "--quiet", "--format=v2s2", "--dest-tls-verify=false"];
    image::run(&skopeo, &[&arguments[..], &[&format!("oci:{}", from.display()), &old]].concat());
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    assert_eq!(registry.get("shop/copied/manifests/docker").await.header("content-type"), Some(kind));
}

/// Writes an image as an OCI layout.
fn layout(folder: &Path, image: &Image) {
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for blob in image.layers.iter().chain([&image.config, &image.manifest]) {
        std::fs::write(folder.join("blobs").join(digest(blob).replace(':', "/")), blob).unwrap();
    }
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(MANIFEST, &image.manifest)] });
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
}
