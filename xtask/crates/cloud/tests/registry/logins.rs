//! Logins: passwords, tokens, Docker's configuration files, and logins that expire during a transfer.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use slipway_cloud::{
    Anonymous, CloudError, CloudErrorKind, CredentialHelper, DockerCredentials, HelperOutput, Login, Pushed,
    RegistryCredentials,
};

use super::content::{blob, image, registry_with};
use super::fake::{Action, FakeRegistry, Features, Request, error_response, response};

/// Returns a new password each time the last one was refused.
#[derive(Default)]
struct Renewing {
    refused: AtomicU32,
    requested: AtomicU32,
}

#[async_trait]
impl RegistryCredentials for Renewing {
    async fn login(&self, _: &str, refused: bool) -> Result<Login, CloudError> {
        self.requested.fetch_add(1, Ordering::SeqCst);
        let number = self.refused.fetch_add(u32::from(refused), Ordering::SeqCst) + u32::from(refused);
        Ok(Login::Basic { username: "AWS".into(), password: format!("token-{number}") })
    }
}

/// Checks that the request is authorized with `AWS:token-<n>`.
fn has_password(request: &Request, number: u32) -> bool {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("AWS:token-{number}"));
    request.header("authorization") == Some(&format!("Basic {text}"))
}

fn unauthorized() -> Action {
    Action::Respond(
        error_response(401, "UNAUTHORIZED", "who are you").with("WWW-Authenticate", "Basic realm=\"x\""),
    )
}

#[tokio::test]
async fn token_that_expires_during_a_push_is_renewed_once() {
    let folder = tempfile::tempdir().unwrap();
    let layers = [blob(&folder, 1 << 20, 1), blob(&folder, 1 << 20, 2), blob(&folder, 1 << 20, 3)];
    let expired = |status: u16| match status {
        401 => unauthorized(),
        _ => Action::Respond(error_response(
            403,
            "DENIED",
            "Your authorization token has expired. Reauthenticate and try again.",
        )),
    };
    for status in [401, 403] {
        let fake = FakeRegistry::start(Features::default(), move |request, _| {
            let uploads = request.method == "PUT" && request.path.contains("/blobs/");
            match request.header("authorization") {
                None => unauthorized(),
                // The first password is accepted for everything but blob uploads.
                Some(_) if has_password(request, 0) && uploads => expired(status),
                Some(_) if has_password(request, 0) || has_password(request, 1) => Action::Serve,
                Some(_) => forbidden(),
            }
        });
        let credentials = Arc::new(Renewing::default());
        let registry = registry_with(&fake.host, credentials.clone());
        let image = image(&[&layers[0], &layers[1], &layers[2]]);
        let pushed = registry.push_image("shop", "1", &image, &|_| {}).await.unwrap();
        assert!(pushed.blobs.iter().all(|(_, pushed)| *pushed == Pushed::Uploaded), "{pushed:?}");
        assert_eq!(
            credentials.refused.load(Ordering::SeqCst),
            1,
            "requests refused at the same time renew the login once"
        );
        assert_eq!(credentials.requested.load(Ordering::SeqCst), 2);
        for layer in &layers {
            assert!(fake.has("shop", layer.digest));
        }
    }
}

fn forbidden() -> Action {
    Action::Respond(error_response(403, "DENIED", "not you"))
}

#[tokio::test]
async fn rejected_login_is_an_error_that_names_the_registry() {
    let fake = FakeRegistry::start(Features::default(), |_, _| unauthorized());
    let credentials = Arc::new(Renewing::default());
    let error = registry_with(&fake.host, credentials.clone()).manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::CredentialsMissing);
    assert!(error.to_string().contains(&format!("{} did not accept the login", fake.host)), "{error}");
    assert_eq!(credentials.requested.load(Ordering::SeqCst), 2, "it is not retried forever");
    let error = registry_with(&fake.host, Arc::new(Anonymous)).manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::CredentialsMissing);
    assert!(error.to_string().contains("asks for a name and a password"), "{error}");
    let fake = FakeRegistry::start(Features::default(), |_, _| forbidden());
    let error = registry_with(&fake.host, Arc::new(Anonymous)).manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::AccessDenied);
    assert!(error.to_string().contains("not you") && error.to_string().contains("/shop:1"), "{error}");
}

/// A registry whose tokens name the scope they were requested for, and the requests to its token server.
fn registry_with_tokens(expires_in: u64) -> (FakeRegistry, Arc<Mutex<Vec<Request>>>) {
    let token_requests = Arc::new(Mutex::new(Vec::new()));
    let into = Arc::clone(&token_requests);
    let server = FakeRegistry::start(Features::default(), move |request, _| {
        into.lock().unwrap().push(request.clone());
        let (_, query) = request.path.split_once('?').unwrap_or_default();
        let scopes = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "scope");
        let token: Vec<String> = scopes.map(|(_, scope)| scope.replace(':', "_")).collect();
        let body = serde_json::json!({ "token": token.join("+"), "expires_in": expires_in });
        match request.header("authorization") {
            Some("Basic bm9ib2R5Og==") => Action::Respond(response(401, "")),
            _ => Action::Respond(response(200, &body.to_string())),
        }
    });
    let realm = format!("http://{}/token?account=x", server.host);
    let fake = FakeRegistry::start(Features::default(), move |request, _| {
        let name = request.path.strip_prefix("/v2/").and_then(|path| path.split('/').next()).unwrap();
        let needed = if ["PUT", "POST"].contains(&request.method.as_str()) {
            format!("repository_{name}_pull,push")
        } else {
            format!("repository_{name}_pull")
        };
        match request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if token.contains(&needed) => Action::Serve,
            _ => {
                let challenge = format!("Bearer realm=\"{realm}\",service=\"fake, the registry\"");
                Action::Respond(response(401, "").with("WWW-Authenticate", &challenge))
            }
        }
    });
    (fake, token_requests)
}

#[tokio::test]
async fn tokens_are_requested_by_scope_and_cached() {
    let folder = tempfile::tempdir().unwrap();
    let layer = blob(&folder, 100_000, 4);
    let (fake, token_requests) = registry_with_tokens(300);
    let login = Login::Basic { username: "ada".into(), password: "pw".into() };
    let registry = registry_with(&fake.host, Arc::new(login));
    let image = image(&[&layer]);
    registry.push_image("shop", "1", &image, &|_| {}).await.unwrap();
    let first = token_requests.lock().unwrap().clone();
    assert_eq!(first.len(), 2, "one for reading, one for writing: {first:?}");
    assert_eq!(first[0].query("scope").as_deref(), Some("repository:shop:pull"));
    assert_eq!(first[1].query("scope").as_deref(), Some("repository:shop:pull,push"));
    assert_eq!(first[0].query("service").as_deref(), Some("fake, the registry"));
    assert_eq!(first[0].query("account").as_deref(), Some("x"), "the query of the realm is kept");
    assert_eq!(first[0].header("authorization"), Some("Basic YWRhOnB3"));
    let mounted = registry.push_blob("other", layer.digest, layer.size, &layer.path, Some("shop"), &|_| {});
    mounted.await.unwrap();
    let scopes = token_requests
        .lock()
        .unwrap()
        .iter()
        .map(|request| request.path.clone())
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        scopes.contains("scope=repository%3Aother%3Apull%2Cpush&scope=repository%3Ashop%3Apull"),
        "{scopes}"
    );

    // Without a password; the token expires before it is used again.
    let (fake, token_requests) = registry_with_tokens(0);
    let registry = registry_with(&fake.host, Arc::new(Anonymous));
    assert!(!registry.has_blob("shop", layer.digest).await.unwrap());
    assert!(!registry.has_blob("shop", layer.digest).await.unwrap());
    let token_requests = token_requests.lock().unwrap().clone();
    assert_eq!((token_requests.len(), token_requests[0].header("authorization")), (2, None));
}

#[tokio::test]
async fn identity_token_is_exchanged_and_a_rejected_login_is_named() {
    let (fake, token_requests) = registry_with_tokens(300);
    let registry = registry_with(&fake.host, Arc::new(Login::IdentityToken("refresh".into())));
    // The form is in the body, which the fake does not read, so that its response holds no token.
    let error = registry.manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Other);
    assert!(error.to_string().contains("has no token"), "{error}");
    let request = token_requests.lock().unwrap()[0].clone();
    assert_eq!(request.method, "POST");
    assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
    let nobody = Login::Basic { username: "nobody".into(), password: String::new() };
    let error = registry_with(&fake.host, Arc::new(nobody)).manifest("shop", "1").await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::AccessDenied);
    assert!(error.to_string().contains("/token") && error.to_string().contains("shop:1"), "{error}");
}

fn basic(username: &str, password: &str) -> Login {
    Login::Basic { username: username.into(), password: password.into() }
}

#[tokio::test]
async fn logins_come_from_the_docker_config_and_credential_helpers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let text = r#"{
        "auths": {
            "localhost:5000": { "auth": "YWRhOnA6dw==" },
            "https://index.docker.io/v1/": { "auth": "aHViOnB3" },
            "old.example/v2/": { "identitytoken": "refresh" },
            "helped.example": {}
        },
        "credHelpers": { "helped.example": "one", "tokens.example": "two", "broken.example": "three" }
    }"#;
    std::fs::write(&path, text).unwrap();
    let helper: CredentialHelper = Arc::new(|program, server| {
        Box::pin(async move {
            let (success, stdout) = match (program.as_str(), server.as_str()) {
                ("docker-credential-one", "helped.example") => (true, r#"{"Username":"h","Secret":"s"}"#),
                ("docker-credential-two", _) => (true, r#"{"Username":"<token>","Secret":"t"}"#),
                ("docker-credential-store", _) => (false, "credentials not found in native keychain\n"),
                ("docker-credential-three", _) => (false, "no such luck"),
                _ => return Err(std::io::ErrorKind::NotFound.into()),
            };
            Ok(HelperOutput { success, stdout: stdout.as_bytes().to_vec() })
        })
    });
    let docker = DockerCredentials::read(&path, Some(helper.clone())).unwrap();
    for (host, expected) in [
        ("localhost:5000", basic("ada", "p:w")),
        ("docker.io", basic("hub", "pw")),
        ("old.example", Login::IdentityToken("refresh".into())),
        ("helped.example", basic("h", "s")),
        ("tokens.example", Login::IdentityToken("t".into())),
        ("unknown.example", Login::Anonymous),
    ] {
        assert_eq!(docker.login(host, false).await.unwrap(), expected, "{host}");
    }
    let error = docker.login("broken.example", false).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::CredentialsMissing);
    let text = error.to_string();
    assert!(text.contains("broken.example") && text.contains("docker-credential-three"), "{text}");
    assert!(!text.contains("no such luck"), "the output of a helper may be secret: {text}");

    let store = r#"{ "credsStore": "store", "auths": { "localhost:5000": { "auth": "YWRhOnB3" } } }"#;
    std::fs::write(&path, store).unwrap();
    let docker = DockerCredentials::read(&path, Some(helper)).unwrap();
    assert_eq!(docker.login("localhost:5000", false).await.unwrap(), basic("ada", "pw"));
    assert_eq!(docker.login("x.example", false).await.unwrap(), Login::Anonymous);
    let docker = DockerCredentials::read(&path, None).unwrap();
    let error = docker.login("x.example", false).await.unwrap_err().to_string();
    assert!(error.contains("cannot be run from here"), "{error}");

    let docker = DockerCredentials::read(&folder.path().join("absent"), None).unwrap();
    assert_eq!(docker.login("x.example", false).await.unwrap(), Login::Anonymous);
    for (wrong, why) in
        [("{", "is not JSON"), (r#"{"auths":{"x":{"auth":"c2VjcmV0"}}}"#, "has no `name:password`")]
    {
        std::fs::write(&path, wrong).unwrap();
        let error = DockerCredentials::read(&path, None).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains("c2VjcmV0") && !error.contains("secret"), "{error}");
    }
    assert!(!format!("{:?}", basic("ada", "hush")).contains("hush"));
}
