//! Requests with a valid signature of version 4, made by the AWS SDK's signer.

use super::{Account, REGION, Response, between, send};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SignatureLocation,
    SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use std::time::{Duration, SystemTime};

/// A key with its secret.
pub struct Signer(Credentials);

impl Signer {
    /// Assumes a role of an account through the gateway, as Slipway's users do.
    pub async fn assume(account: &Account, role: &str) -> Self {
        let arn = format!("arn:aws:iam::{}:role/{role}", account.id);
        let form = format!("Action=AssumeRole&Version=2011-06-15&RoleArn={arn}&RoleSessionName=caller");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let response = account.call("sts", "POST", &account.gateway, &headers, form.into()).await.text();
        let take = |name: &str| between(&response, &format!("<{name}>"), &format!("</{name}>")).to_owned();
        let token = Some(take("SessionToken"));
        Self(Credentials::new(take("AccessKeyId"), take("SecretAccessKey"), token, None, "test"))
    }

    /// Creates a user with a policy and an access key, before the emulator's IAM checks are enabled.
    pub async fn user(account: &Account, name: &str, policy: &serde_json::Value) -> Self {
        let iam = async |form: String| iam(account, format!("{form}&UserName={name}")).await;
        iam("Action=CreateUser".to_owned()).await;
        let policy = encoded(policy);
        iam(format!("Action=PutUserPolicy&PolicyName=own&PolicyDocument={policy}")).await;
        let key = iam("Action=CreateAccessKey".to_owned()).await;
        let take = |name: &str| between(&key, &format!("<{name}>"), &format!("</{name}>")).to_owned();
        Self(Credentials::new(take("AccessKeyId"), take("SecretAccessKey"), None, None, "test"))
    }

    /// Returns the same key with another secret.
    pub fn forged(&self) -> Self {
        let token = self.0.session_token().map(str::to_owned);
        Self(Credentials::new(self.0.access_key_id(), "not the secret", token, None, "test"))
    }

    pub fn key(&self) -> &str {
        self.0.access_key_id()
    }

    /// Presigns a GET of an address for ten minutes.
    pub fn presigned(&self, service: &str, url: &str) -> String {
        let identity = self.0.clone().into();
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(600));
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap();
        let request = SignableRequest::new("GET", url, std::iter::empty(), SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(request, &parameters.into()).unwrap().into_parts();
        let (_, pairs) = instructions.into_parts();
        let join = if url.contains('?') { '&' } else { '?' };
        let encode =
            |text: &str| text.replace('%', "%25").replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
        let pairs: Vec<String> =
            pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        format!("{url}{join}{}", pairs.join("&"))
    }

    /// Signs a request for one address and sends it to another.
    pub async fn send(
        &self,
        service: &str,
        method: &str,
        signed_url: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Response {
        let identity = self.0.clone().into();
        let mut settings = SigningSettings::default();
        if service == "s3" {
            settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
            settings.percent_encoding_mode = PercentEncodingMode::Single;
        }
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(service)
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .unwrap();
        let content = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new(method, signed_url, headers.iter().copied(), content).unwrap();
        let (instructions, _) = sign(request, &parameters.into()).unwrap().into_parts();
        let (signature, _) = instructions.into_parts();
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        all.extend(signature.iter().map(|header| (header.name(), header.value())));
        send(method, url, &all, body.to_owned()).await
    }
}

/// Adds a policy to a role, before the emulator's IAM checks are enabled.
pub async fn allow_role(account: &Account, role: &str, policy: &serde_json::Value) {
    let policy = encoded(policy);
    let form = format!("Action=PutRolePolicy&RoleName={role}&PolicyName=own&PolicyDocument={policy}");
    iam(account, form).await;
}

async fn iam(account: &Account, form: String) -> String {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let form = format!("{form}&Version=2010-05-08");
    let response = account.call("iam", "POST", &account.gateway, &headers, form.into()).await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

fn encoded(policy: &serde_json::Value) -> String {
    policy.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
}
