//! Tokens of an issuer in memory: what each system's claims say, and every way in which a token proves nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::elliptic_curve::Generate as _;
use serde_json::{Value, json};

use super::issuer::IssuerKeys;
use super::*;
use crate::failure::FailureKind;
use crate::fakes::FakeServices;
use crate::ports::HttpResponse;

const NOW: i64 = 1_793_491_200;
const ISSUER: &str = "https://ci.example/oidc";

/// Returns the identity of a run that builds the sample manifest's commit.
pub(crate) fn identity() -> VerifiedIdentity {
    VerifiedIdentity {
        builder: "github".into(),
        issuer: "https://ci.example".into(),
        audience: "slipway".into(),
        subject: "repo:acme/shop:environment:release".into(),
        builder_id: "https://ci.example/job/release".into(),
        repository: Some("https://git.example/shop".into()),
        git_ref: Some("refs/heads/main".into()),
        commit: Some("3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0".into()),
        workflow: Some(".github/workflows/release.yml".into()),
        run: Some("https://ci.example/job/release/7".into()),
        actor: Some("ada".into()),
        environment: Some("release".into()),
        key: Some("k1".into()),
        verified_at: "2026-11-01T00:00:00Z".parse().unwrap(),
    }
}

/// An issuer with one key on P-256.
struct Issuer {
    key: SigningKey,
    builder: BuilderSettings,
}

impl Issuer {
    fn new(kind: BuilderKind, issuer: &str) -> Self {
        let builder = BuilderSettings { kind, issuer: issuer.into(), audience: "slipway".into() };
        Self { key: SigningKey::try_generate().unwrap(), builder }
    }

    fn jwks(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let (x, y) = (part(&point.as_bytes()[1..33]), part(&point.as_bytes()[33..]));
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1", "x": x, "y": y }] })
    }

    fn token_with(&self, header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature: Signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }), claims)
    }

    /// Verifies a token with the documents of this issuer.
    async fn verify_with(
        &self,
        token: &str,
        documents: [Value; 2],
        emulated: bool,
    ) -> Result<VerifiedIdentity> {
        let services = FakeServices::default();
        let response = |document: &Value| HttpResponse {
            status: 200,
            headers: Vec::new(),
            body: document.to_string().into_bytes(),
            took: Duration::ZERO,
        };
        *services.responses.lock().unwrap() = documents.iter().map(response).collect();
        let builders = BTreeMap::from([("ci".to_owned(), self.builder.clone())]);
        let now = jiff::Timestamp::from_second(NOW).unwrap();
        let verified = verify(token, &builders, emulated, &services, now).await;
        let sent = services.sent.lock().unwrap();
        assert!(
            sent.iter()
                .all(|(request, signed)| request.url.starts_with(&self.builder.issuer) && signed.is_none())
        );
        verified
    }

    fn documents(&self) -> [Value; 2] {
        let issuer = &self.builder.issuer;
        [json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }), self.jwks()]
    }

    async fn verify(&self, token: &str) -> Result<VerifiedIdentity> {
        self.verify_with(token, self.documents(), false).await
    }
}

/// The claims of a run on GitHub, with some of them replaced.
fn github(issuer: &str, changes: &Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "aud": "slipway", "sub": "repo:acme/shop:environment:release",
        "exp": NOW + 300, "nbf": NOW - 10, "iat": NOW,
        "repository": "acme/shop", "repository_id": "74", "ref": "refs/heads/main",
        "sha": "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0", "run_id": "1658821493", "run_attempt": "2",
        "actor": "octocat", "environment": "release",
        "workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main",
        "job_workflow_ref": "acme/shop/.github/workflows/release.yml@refs/heads/main",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => {
                claims.as_object_mut().unwrap().remove(name);
            }
            value => claims[name] = value.clone(),
        }
    }
    claims
}

#[tokio::test]
async fn claims_of_github_name_repository_ref_commit_workflow_and_run() {
    let issuer = Issuer::new(BuilderKind::Github, "https://token.actions.githubusercontent.com");
    let token = issuer.token(&github(&issuer.builder.issuer, &json!({})));
    let found = issuer.verify(&token).await.unwrap();
    assert_eq!(found.builder, "ci");
    assert_eq!(found.repository.as_deref(), Some("https://github.com/acme/shop"));
    assert_eq!(found.git_ref.as_deref(), Some("refs/heads/main"));
    assert_eq!(found.commit.as_deref(), Some("3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0"));
    assert_eq!(found.workflow.as_deref(), Some(".github/workflows/release.yml"));
    assert_eq!(found.run.as_deref(), Some("https://github.com/acme/shop/actions/runs/1658821493/attempts/2"));
    assert_eq!(
        found.builder_id,
        "https://github.com/acme/shop/.github/workflows/release.yml@refs/heads/main"
    );
    assert_eq!((found.actor.as_deref(), found.environment.as_deref()), (Some("octocat"), Some("release")));
    assert_eq!((found.key.as_deref(), found.verified_at.as_second()), (Some("k1"), NOW));
    // An Enterprise Server.
    let own = Issuer::new(BuilderKind::Github, "https://git.acme.example/_services/token");
    let found = own.verify(&own.token(&github(&own.builder.issuer, &json!({})))).await.unwrap();
    assert_eq!(found.repository.as_deref(), Some("https://git.acme.example/acme/shop"));
}

#[tokio::test]
async fn claims_of_gitlab_and_jenkins_say_the_same_in_their_words() {
    let gitlab = Issuer::new(BuilderKind::Gitlab, "https://gitlab.example.com");
    let mut claims = json!({
        "iss": "https://gitlab.example.com", "aud": ["slipway"], "exp": NOW + 300, "nbf": NOW, "iat": NOW,
        "sub": "project_path:acme/shop:ref_type:branch:ref:main", "project_path": "acme/shop",
        "ref": "main", "ref_type": "branch", "ref_path": "refs/heads/main", "sha": "a".repeat(40),
        "pipeline_id": "1000", "user_login": "ada",
        "ci_config_ref_uri": "gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main",
    });
    let found = gitlab.verify(&gitlab.token(&claims)).await.unwrap();
    assert_eq!(found.repository.as_deref(), Some("https://gitlab.example.com/acme/shop"));
    assert_eq!(found.git_ref.as_deref(), Some("refs/heads/main"));
    assert_eq!(found.workflow.as_deref(), Some(".gitlab-ci.yml"));
    assert_eq!(found.run.as_deref(), Some("https://gitlab.example.com/acme/shop/-/pipelines/1000"));
    assert_eq!(found.builder_id, "https://gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main");
    claims["pipeline_id"] = json!(1000);
    gitlab.verify(&gitlab.token(&claims)).await.unwrap();

    let jenkins = Issuer::new(BuilderKind::Jenkins, "https://jenkins.example.com/oidc");
    let claims = json!({
        "iss": "https://jenkins.example.com/oidc", "aud": "slipway", "exp": NOW + 300, "iat": NOW,
        "sub": "https://jenkins.example.com/job/shop/job/main/", "build_number": 153, "branch": "main",
    });
    let found = jenkins.verify(&jenkins.token(&claims)).await.unwrap();
    assert_eq!(
        (found.workflow.as_deref(), found.git_ref.as_deref()),
        (Some("shop/main"), Some("refs/heads/main"))
    );
    assert_eq!(found.run.as_deref(), Some("https://jenkins.example.com/job/shop/job/main/153/"));
    assert_eq!((found.repository, found.commit), (None, None), "the plug-in says neither by itself");
}

#[tokio::test]
async fn token_that_is_not_for_this_release_now_proves_nothing() {
    let issuer = Issuer::new(BuilderKind::Github, ISSUER);
    let refused = async |changes: Value, why: &str| {
        let failure = issuer.verify(&issuer.token(&github(ISSUER, &changes))).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Refused, "{failure}");
        assert!(failure.message().contains(why), "{failure}");
    };
    refused(json!({ "iss": "https://evil.example" }), "none of the builders").await;
    refused(json!({ "iss": "https://ci.example/oidc/" }), "none of the builders").await;
    refused(json!({ "iss": null }), "names no issuer").await;
    refused(json!({ "aud": "sts.amazonaws.com" }), "made for the audience").await;
    refused(json!({ "aud": ["slipway", "sts.amazonaws.com"] }), "made for the audience").await;
    refused(json!({ "aud": null }), "made for the audience").await;
    refused(json!({ "exp": NOW - LEEWAY }), "expired").await;
    refused(json!({ "exp": null }), "until when").await;
    refused(json!({ "exp": "later" }), "until when").await;
    refused(json!({ "nbf": NOW + LEEWAY + 1 }), "not valid before").await;
    refused(json!({ "nbf": "soon" }), "not a time").await;
    refused(json!({ "iat": NOW + LEEWAY + 1 }), "issued at").await;
    refused(json!({ "sha": null }), "no claim `sha`").await;
    refused(json!({ "repository": "" }), "no claim `repository`").await;
    // Clocks may differ a little.
    let late = github(ISSUER, &json!({ "exp": NOW - LEEWAY + 1, "nbf": NOW + LEEWAY }));
    issuer.verify(&issuer.token(&late)).await.unwrap();
}

#[tokio::test]
async fn token_with_another_signature_key_or_algorithm_is_refused_and_never_quoted() {
    let issuer = Issuer::new(BuilderKind::Github, ISSUER);
    let claims = github(ISSUER, &json!({}));
    let token = issuer.token(&claims);
    let parts: Vec<&str> = token.split('.').collect();
    let other = Issuer::new(BuilderKind::Github, ISSUER);
    let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let edited = encode(&github(ISSUER, &json!({ "ref": "refs/heads/other" })).to_string());
    let header = |header: Value| issuer.token_with(&header, &claims);
    for (wrong, why) in [
        (other.token(&claims), "not that of its issuer's key"),
        (format!("{}.{edited}.{}", parts[0], parts[2]), "not that of its issuer's key"),
        (format!("{}.{}.", parts[0], parts[1]), "not that of its issuer's key"),
        (format!("{}.{}.{}", encode(r#"{"alg":"none"}"#), parts[1], parts[2]), "RS256 or ES256"),
        (format!("{}.{}.{}", encode(r#"{"alg":"HS256","kid":"k1"}"#), parts[1], parts[2]), "RS256 or ES256"),
        (header(json!({ "alg": "RS256", "kid": "k1" })), "no key `k1` for RS256"),
        (header(json!({ "alg": "ES256", "kid": "k2" })), "no key `k2`"),
        (header(json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"] })), "`crit`"),
        (format!("{}.{}", parts[0], parts[1]), "three parts"),
        (format!("{token}.x"), "three parts"),
        (format!("{}.{}=.{}", parts[0], parts[1], parts[2]), "payload is not base64"),
        (format!("{}.{}.{}", parts[0], encode("[]"), parts[2]), "not a JSON object"),
        (String::new(), "three parts"),
        ("x".repeat(70_000), "more than"),
    ] {
        let failure = issuer.verify(&wrong).await.unwrap_err();
        assert!(failure.message().contains(why), "{why}: {failure}");
        let shown = format!("{failure:?}");
        assert!(parts.iter().all(|part| !shown.contains(part)), "{shown}");
    }
    // Without a key's id, any key of the issuer may have signed.
    issuer.verify(&header(json!({ "alg": "ES256" }))).await.unwrap();
    issuer.verify(&format!("{token}\n")).await.unwrap();
}

#[tokio::test]
async fn keys_come_from_the_issuer_that_the_settings_name_and_from_nowhere_else() {
    let issuer = Issuer::new(BuilderKind::Github, ISSUER);
    let token = issuer.token(&github(ISSUER, &json!({})));
    let discovery = |name: &str, keys: &str| json!({ "issuer": name, "jwks_uri": keys });
    for (document, why) in [
        (discovery("https://other.example", "https://ci.example/oidc/keys"), "of another issuer"),
        (discovery(ISSUER, "http://ci.example/oidc/keys"), "no place for them"),
        (discovery(ISSUER, "file:///etc/keys"), "no place for them"),
    ] {
        let failure = issuer.verify_with(&token, [document, issuer.jwks()], false).await.unwrap_err();
        assert!(failure.message().contains(why), "{failure}");
    }
    let failure = issuer.verify_with(&token, [json!({}), json!({})], false).await.unwrap_err();
    assert!(failure.message().contains("cannot be read"), "{failure}");
    // An issuer on this machine vouches for what stays on it.
    let here = Issuer::new(BuilderKind::Github, "http://127.0.0.1:7");
    let token = here.token(&github("http://127.0.0.1:7", &json!({})));
    here.verify_with(&token, here.documents(), true).await.unwrap();
    let failure = here.verify_with(&token, here.documents(), false).await.unwrap_err();
    assert!(failure.message().contains("on this machine"), "{failure}");
    let elsewhere = [discovery("http://127.0.0.1:7", "http://127.0.0.1:78/keys"), here.jwks()];
    here.verify_with(&token, elsewhere, true).await.unwrap_err();
}

/// Verifies a token of RFC 7515 with its key.
fn verify_vector(header: &str, signature: &str, key: &Value) -> Result<(), String> {
    const PAYLOAD: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let keys: IssuerKeys = serde_json::from_value(json!({ "keys": [key] })).unwrap();
    keys.verify(&Token::read(&format!("{header}.{PAYLOAD}.{signature}"))?)
}

#[test]
fn signatures_of_the_standards_examples_are_verified() {
    // https://www.rfc-editor.org/rfc/rfc7515#appendix-A.2 and A.3
    let rsa = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    });
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    verify_vector("eyJhbGciOiJSUzI1NiJ9", signature, &rsa).unwrap();
    let flipped = signature.replacen("cC4", "cC5", 1);
    verify_vector("eyJhbGciOiJSUzI1NiJ9", &flipped, &rsa).unwrap_err();
    let curve = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    verify_vector("eyJhbGciOiJFUzI1NiJ9", signature, &curve).unwrap();
    let other = json!({ "kty": "EC", "crv": "P-384", "x": curve["x"], "y": curve["y"] });
    verify_vector("eyJhbGciOiJFUzI1NiJ9", signature, &other).unwrap_err();
    let encryption = json!({ "kty": "EC", "crv": "P-256", "use": "enc", "x": curve["x"], "y": curve["y"] });
    verify_vector("eyJhbGciOiJFUzI1NiJ9", signature, &encryption).unwrap_err();
}
