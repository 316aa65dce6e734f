//! Image functions: run from the layers in the registry, and described as in Lambda.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::folder::{Folder, marked};
use support::image::{self, Image, digest, put_manifest};
use support::{Account, Response, kill, moto_server, options, runs, shared, up};

fn uri(account: &Account, repository: &str, image: &Image) -> String {
    format!("{}.dkr.ecr.eu-central-1.amazonaws.com/{repository}@{}", account.id, image.digest())
}

fn execution() -> Value {
    json!({ "Entrypoint": ["/var/runtime/bootstrap"], "WorkingDir": "/var/task" })
}

async fn create(account: &Account, name: &str, uri: &str, more: Value) -> Response {
    let form = format!(
        "Action=CreateRole&Version=2010-05-08&RoleName={name}&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%5D%7D"
    );
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    account.call("iam", "POST", &account.emulator, &headers, form.into()).await;
    let architecture = std::env::consts::ARCH.replace("aarch64", "arm64");
    let mut input = json!({
        "FunctionName": name, "PackageType": "Image", "Code": { "ImageUri": uri }, "Publish": true, "Timeout": 10,
        "Role": format!("arn:aws:iam::{}:role/{name}", account.id), "Architectures": [architecture],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    account.lambda("POST", "", input).await
}

fn refused(response: &Response) -> (u16, &str, String) {
    let message = response.json()["Message"].as_str().unwrap_or_default().to_owned();
    (response.status, response.header("x-amzn-errortype").unwrap(), message)
}

#[tokio::test]
async fn each_version_runs_and_reports_its_own_image() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "300000000001").await;
    let base = image::base();
    let (one, two) = (image::function(&base, "one", execution()), image::function(&base, "two", execution()));
    one.push(&account.gateway, "shop/greeter", Some("1.0.0")).await;
    two.push(&account.gateway, "shop/greeter", Some("1.1.0")).await;
    let (first, second) = (uri(&account, "shop/greeter", &one), uri(&account, "shop/greeter", &two));
    let hex = |image: &Image| image.digest().trim_start_matches("sha256:").to_owned();

    let made = create(&account, "greeter", &first, json!({})).await;
    assert_eq!(
        (made.status, made.json()["CodeSha256"].as_str()),
        (201, Some(hex(&one).as_str())),
        "{}",
        made.text()
    );
    let code = json!({ "ImageUri": second, "Publish": true });
    let updated = account.lambda("PUT", "/greeter/code", code).await;
    let result = updated.json();
    assert_eq!(
        (updated.status, &result["Version"], &result["CodeSha256"]),
        (200, &json!("2"), &json!(hex(&two)))
    );

    for (qualifier, uri, image, label) in
        [("1", &first, &one, "one"), ("2", &second, &two, "two"), ("$LATEST", &second, &two, "two")]
    {
        let result =
            account.lambda("GET", &format!("/greeter?Qualifier={qualifier}"), Value::Null).await.json();
        let code = json!({ "RepositoryType": "ECR", "ImageUri": uri, "ResolvedImageUri": uri });
        assert_eq!((&result["Code"], &result["Configuration"]["CodeSha256"]), (&code, &json!(hex(image))));
        assert!(result["Configuration"].get("ImageConfigResponse").is_none(), "{result}");
        let path = format!("/greeter/configuration?Qualifier={qualifier}");
        assert_eq!(account.lambda("GET", &path, Value::Null).await.json()["CodeSha256"], hex(image));
        let response = account.invoke(&format!("greeter?Qualifier={qualifier}"), json!({ "n": 1 })).await;
        let body = response.json();
        assert_eq!(
            (&body["label"], &body["event"]),
            (&json!(label), &json!({ "n": 1 })),
            "{}",
            response.tail()
        );
        assert_eq!(body["function"], format!("greeter:{qualifier}"));
    }
    let versions = account.lambda("GET", "/greeter/versions", Value::Null).await.json();
    let result: Vec<_> =
        versions["Versions"].as_array().unwrap().iter().map(|result| &result["CodeSha256"]).collect();
    assert!(result.contains(&&json!(hex(&one))) && result.contains(&&json!(hex(&two))), "{versions}");
    let listed = account.lambda("GET", "/", Value::Null).await.json();
    assert_eq!(listed["Functions"][0]["CodeSha256"], hex(&two));
    account.lambda("PUT", "/greeter/configuration", json!({ "MemorySize": 512 })).await;
    let published = account.lambda("POST", "/greeter/versions", json!({})).await;
    assert_eq!((published.status, &published.json()["CodeSha256"]), (201, &json!(hex(&two))));

    // A tag is resolved once, when the function's code is set.
    let code = json!({ "ImageUri": format!("localhost:1/shop/greeter:1.0.0") });
    let updated = account.lambda("PUT", "/greeter/code", code).await;
    assert_eq!(updated.json()["CodeSha256"], hex(&one), "{}", updated.text());
    let result = account.lambda("GET", "/greeter", Value::Null).await.json();
    assert_eq!(result["Code"]["ResolvedImageUri"], format!("localhost:1/shop/greeter@{}", one.digest()));
    assert_eq!(account.invoke("greeter", json!({})).await.json()["label"], "one");
}

#[tokio::test]
async fn image_function_sees_only_its_image() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "300000000002").await;
    let execution = json!({
        "Entrypoint": ["/bin/bash", "/var/runtime/bootstrap"], "Cmd": ["app.handle"], "WorkingDir": "/var/task",
        "Env": ["PATH=/bin", "GREETING=image", "OWN=image", "LD_LIBRARY_PATH=/opt/lib"],
    });
    let image = image::function(&image::base(), "sealed", execution);
    image.push(&account.gateway, "shop/sealed", None).await;
    let more = json!({ "Environment": { "Variables": { "GREETING": "function" } } });
    let made = create(&account, "sealed", &uri(&account, "shop/sealed", &image), more).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let response = account.invoke("sealed:1", json!({})).await;
    let body = response.json();
    for (name, expected) in [
        ("folder", "/var/task"),
        ("arguments", "app.handle"),
        ("temporary", "written"),
        ("task", "refused"),
        ("greeting", "function"),
        ("own", "image"),
        ("path", "/bin"),
        ("libraries", "/opt/lib"),
        ("root", "/var/task"),
        ("function", "sealed:1"),
    ] {
        assert_eq!(body[name], expected, "{name}: {body}");
    }
    let entries: Vec<&str> = body["entries"].as_str().unwrap().split(' ').collect();
    for name in ["/bin", "/dev", "/proc", "/tmp", "/var"] {
        assert!(entries.contains(&name), "{entries:?}");
    }
    assert!(!entries.contains(&"/etc") && !entries.contains(&"/home"), "{entries:?}");
    // The function and what started it, and no process of the machine.
    assert!(body["processes"].as_u64().unwrap() <= 3, "{body}");
    // As in Lambda it is not root where root starts it; in a user namespace its user id is 0.
    let root = rustix::process::geteuid().is_root();
    assert_eq!(body["user"], if root { 993 } else { 0 });
    assert!(response.tail().contains("event {}"), "{}", response.tail());
    let peak: u64 = support::between(&response.tail(), "Max Memory Used: ", " MB").parse().unwrap();
    assert!(peak >= 2, "{peak} MB is what starts the function, not the function");

    // A second call reuses the instance with its /tmp, which no other instance sees.
    assert_eq!(account.invoke("sealed:1", json!({})).await.json()["count"], 2);
    let more = json!({ "ImageConfig": { "Command": ["other.handle", "b c"], "WorkingDirectory": "/tmp" } });
    create(&account, "overridden", &uri(&account, "shop/sealed", &image), more).await;
    let result = account.lambda("GET", "/overridden/configuration", Value::Null).await.json();
    let config = json!({ "Command": ["other.handle", "b c"], "WorkingDirectory": "/tmp" });
    assert_eq!(result["ImageConfigResponse"], json!({ "ImageConfig": config }));
    let body = account.invoke("overridden", json!({})).await.json();
    assert_eq!((&body["arguments"], &body["folder"]), (&json!("other.handle b c"), &json!("/tmp")));
    let changed = json!({ "ImageConfig": { "Command": ["third"] } });
    let response = account.lambda("PUT", "/overridden/configuration", changed).await;
    assert_eq!(refused(&response).0, 400);
    let same = json!({ "ImageConfig": config, "MemorySize": 256 });
    assert_eq!(account.lambda("PUT", "/overridden/configuration", same).await.status, 200);
}

#[tokio::test]
async fn image_function_errors_are_reported_as_in_lambda() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "300000000003").await;
    let base = image::base();
    let faulty = image::function(&base, "faulty", execution());
    let missing = image::function(&base, "missing", json!({ "Entrypoint": ["/nowhere"] }));
    let nothing = image::function(&base, "nothing", json!({}));
    for (name, image) in [("faulty", &faulty), ("missing", &missing), ("nothing", &nothing)] {
        image.push(&account.gateway, "shop/wrong", None).await;
        let made = create(&account, name, &uri(&account, "shop/wrong", image), json!({ "Timeout": 1 })).await;
        assert_eq!(made.status, 201, "{}", made.text());
    }
    let response = account.invoke("faulty", json!({ "do": "crash" })).await;
    assert_eq!(response.json()["errorType"], "Runtime.ExitError", "{}", response.text());
    let begun = Instant::now();
    let response = account.invoke("faulty", json!({ "do": "sleep" })).await;
    assert_eq!(response.json()["errorType"], "Sandbox.Timedout", "{}", response.text());
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(account.invoke("faulty", json!({})).await.json()["count"], 1);

    let response = account.invoke("missing", json!({})).await;
    assert_eq!(response.header("x-amz-function-error"), Some("Unhandled"));
    assert!(response.tail().contains("/nowhere"), "{}", response.tail());
    let (status, _, message) = refused(&account.invoke("nothing", json!({})).await);
    assert!(status == 400 && message.contains(&nothing.digest()), "{message}");
}

#[tokio::test]
async fn images_that_lambda_would_not_run_are_refused() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "300000000004").await;
    let gateway = account.gateway.as_str();
    let good = image::function(&image::base(), "good", execution());
    good.push(gateway, "shop/odd", Some("1.0.0")).await;
    let good_uri = uri(&account, "shop/odd", &good);
    let architecture = if image::architecture() == "amd64" { "arm64" } else { "amd64" };
    let other_architecture = Image::new(&[image::tar(&[])], architecture, execution());
    other_architecture.push(gateway, "shop/odd", None).await;
    let index =
        json!({ "schemaVersion": 2, "manifests": [image::descriptor(image::MANIFEST, &good.manifest)] });
    let index = index.to_string().into_bytes();
    assert_eq!(put_manifest(gateway, "shop/odd", "all", image::INDEX, &index).await.status, 201);
    let zstd = String::from_utf8(good.manifest.clone()).unwrap().replace("tar+gzip", "tar+zstd");
    put_manifest(gateway, "shop/odd", "zstd", image::MANIFEST, zstd.as_bytes()).await;

    let place = |reference: &str| format!("h/shop/odd{reference}");
    let cases = [
        (place(&format!("@sha256:{}", "0".repeat(64))), "does not exist. Provide a valid source image."),
        (place(":9.9.9"), "does not exist. Provide a valid source image."),
        ("h/shop/nothing:1".to_owned(), "does not exist. Provide a valid source image."),
        (place(":all"), "is not supported: `application/vnd.oci.image.index.v1+json` is a list of images"),
        (place(":zstd"), "is not supported: its layer"),
        (place(&format!("@{}", other_architecture.digest())), "function's architecture is"),
        ("odd".to_owned(), "is not valid"),
    ];
    let made = create(&account, "odd", &good_uri, json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    for (uri, why) in &cases {
        for response in [
            create(&account, "new", uri, json!({})).await,
            account.lambda("PUT", "/odd/code", json!({ "ImageUri": uri })).await,
        ] {
            let (status, kind, message) = refused(&response);
            assert_eq!((status, kind), (400, "InvalidParameterValueException"));
            assert!(message.contains(why) && message.contains(uri), "{message}");
        }
    }
    assert_eq!(account.lambda("GET", "/new", Value::Null).await.status, 404);
    let result = account.lambda("GET", "/odd", Value::Null).await.json();
    assert_eq!(result["Code"]["ImageUri"], good_uri);

    // The package type of a function cannot change.
    account.create_function("zipped", &support::artifact("zipped"), json!({})).await;
    let response = account.lambda("PUT", "/zipped/code", json!({ "ImageUri": good_uri })).await;
    assert!(refused(&response).2.contains("packageType Zip"));
    let response = account.lambda("PUT", "/odd/code", json!({ "S3Bucket": "a", "S3Key": "b" })).await;
    assert!(refused(&response).2.contains("packageType Image"));
    let response = create(&account, "new", &good_uri, json!({ "Handler": "x" })).await;
    assert!(refused(&response).2.contains("Please don't provide Handler"));
}

#[tokio::test]
async fn image_with_changed_layers_is_not_run() {
    let shared = require!(shared().await);
    let account = Account::enter(&shared.state, "300000000005").await;
    let base = image::base();
    let pushed = async |label: &str, image: &Image| {
        image.push(&account.gateway, "shop/tampered", None).await;
        let made = create(&account, label, &uri(&account, "shop/tampered", image), json!({})).await;
        assert_eq!(made.status, 201, "{}", made.text());
    };
    let blob = |bytes: &[u8]| shared.registry().join("blobs/sha256").join(&digest(bytes)[7..]);
    let assert_not_run = async |label: &str, why: &str| {
        let (status, _, message) = refused(&account.invoke(label, json!({})).await);
        assert!(status >= 400 && message.contains(why), "{status} {message}");
        assert!(shared.log(label).is_empty());
    };

    // Another valid layer in place of the pushed one.
    let image = image::function(&base, "swapped", execution());
    pushed("swapped", &image).await;
    let other = image::function(&base, "evil", execution());
    std::fs::write(blob(&image.layers[1]), &other.layers[1]).unwrap();
    assert_not_run("swapped", &digest(&other.layers[1])).await;
    std::fs::write(blob(&image.layers[1]), &image.layers[1]).unwrap();
    assert_eq!(account.invoke("swapped", json!({})).await.json()["label"], "swapped");

    // A layer that matches its digest, in an image whose config was made for another layer.
    let image = image::function(&base, "promised", execution());
    let mixed = Image::of(vec![image.layers[0].clone(), other.layers[1].clone()], image.config.clone());
    pushed("mixed", &mixed).await;
    assert_not_run("mixed", "instead of").await;

    let image = image::function(&base, "cut", execution());
    pushed("cut", &image).await;
    std::fs::write(blob(&image.layers[1]), &image.layers[1][..40]).unwrap();
    assert_not_run("cut", "instead of").await;
    let image = image::function(&base, "config", execution());
    pushed("config", &image).await;
    let config = String::from_utf8(image.config.clone()).unwrap().replace("bootstrap", "elsewhere");
    std::fs::write(blob(&image.config), config).unwrap();
    assert_not_run("config", "the config").await;
    let image = image::function(&base, "manifest", execution());
    pushed("manifest", &image).await;
    std::fs::write(blob(&image.manifest), &mixed.manifest).unwrap();
    assert_not_run("manifest", "the manifest").await;

    // A layer with a path outside the image.
    let mut escaping = image::tar(&[("aa/evil", b"x", 0o644)]);
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes().copy_from_slice(&escaping[..512]);
    header.as_old_mut().name[..7].copy_from_slice(b"../evil");
    header.set_cksum();
    escaping[..512].copy_from_slice(header.as_bytes());
    let image = Image::new(&[base, escaping], image::architecture(), execution());
    pushed("hostile", &image).await;
    assert_not_run("hostile", "`../evil` points outside of the image").await;
}

#[tokio::test]
async fn images_survive_the_gateway_and_end_with_the_emulator() {
    let moto_server = require!(moto_server());
    let folder = Folder::new();
    let mut options = options(folder.path(), &moto_server, "300000000006");
    let (state, _) = up(&options).await.unwrap();
    let account = Account::enter(&state, "300000000006").await;
    assert_eq!(state.image_host(), "300000000006.dkr.ecr.eu-central-1.amazonaws.com");
    let image = image::function(&image::base(), "lasting", execution());
    image.push(&format!("http://{}", state.registry()), "shop/lasting", Some("1.0.0")).await;
    let uri = format!("{}/shop/lasting@{}", state.image_host(), image.digest());
    create(&account, "lasting", &uri, json!({})).await;
    assert_eq!(account.invoke("lasting:1", json!({})).await.json()["label"], "lasting");

    // The gateway and its functions are marked; a function stops even if its gateway was killed before it could stop it.
    let before = marked(folder.path());
    let gateway = state.gateway.pid.unwrap();
    kill(gateway);
    let (next, _) = up(&options).await.unwrap();
    assert_ne!(next.gateway.url, state.gateway.url);
    let moto = state.emulator.pid.unwrap();
    assert!(before.len() >= 4, "{before:?}");
    assert!(before.iter().all(|&pid| pid == moto || !runs(pid)), "{before:?}");

    // Another port, the same image: what Terraform knows about it is still true.
    let account = Account::enter(&next, "300000000006").await;
    let result = account.lambda("GET", "/lasting?Qualifier=1", Value::Null).await.json();
    assert_eq!(result["Code"]["ImageUri"], uri);
    assert_eq!(format!("sha256:{}", result["Configuration"]["CodeSha256"].as_str().unwrap()), image.digest());
    assert_eq!(account.invoke("lasting:1", json!({})).await.json()["label"], "lasting");

    // A new emulator holds no release, so no tag may be left.
    options.region = "eu-west-1".to_owned();
    kill(moto);
    let (last, _) = up(&options).await.unwrap();
    let other = image::function(&image::base(), "other", execution());
    other.push(&last.gateway.url, "shop/lasting", Some("1.0.0")).await;
}
