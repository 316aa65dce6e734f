//! The emulator's IAM checks, enabled behind the gateway.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use slipway_local::lambda_url_address;
use support::folder::Folder;
use support::signed::Signer;
use support::{Account, Response, moto_server, options, send, up, zip};

const ACCOUNT: &str = "350000000001";
const APP: &str = "
def handle(event, context):
    print('handled', flush=True)
    return {'statusCode': 200, 'body': 'served'}
";

/// Calls the gateway as a client that signs.
async fn call(
    account: &Account,
    signer: &Signer,
    service: &str,
    call: (&str, &str, &str),
    target: &str,
) -> Response {
    let (method, path, body) = call;
    let url = format!("{}{path}", account.gateway);
    let kind = match service {
        "sts" => "application/x-www-form-urlencoded",
        "dynamodb" => "application/x-amz-json-1.0",
        _ => "application/json",
    };
    let mut headers = vec![("content-type", kind)];
    if !target.is_empty() {
        headers.push(("x-amz-target", target));
    }
    signer.send(service, method, &url, &url, &headers, body).await
}

fn allow(action: &str) -> Value {
    let statement = json!({ "Effect": "Allow", "Action": action, "Resource": "*" });
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

#[tokio::test]
async fn policies_decide_and_functions_run_where_the_emulator_checks() {
    let Some(moto) = moto_server() else { return };
    let folder = Folder::new();
    let (state, _) = up(&options(folder.path(), &moto, ACCOUNT)).await.unwrap();
    let account = Account::enter(&state, ACCOUNT).await;
    let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
    account.function("guarded", &zip(&[("app.py", APP)]), python).await;
    account.live("guarded", "1").await;
    // As in the cloud, a function's log is written with the permissions of its role.
    support::signed::allow_role(&account, "guarded", &allow("logs:*")).await;
    let functions = "/2015-03-31/functions";
    let url = account
        .rest(
            "lambda",
            "POST",
            "/2021-10-31/functions/guarded/url?Qualifier=live",
            json!({ "AuthType": "NONE" }),
        )
        .await
        .json();
    let url = lambda_url_address(&account.gateway, url["FunctionUrl"].as_str().unwrap()).unwrap();
    let lister = Signer::user(&account, "lister", &allow("s3:ListAllMyBuckets")).await;
    let admin = Signer::user(&account, "admin", &allow("*")).await;
    let switch = format!("{}/moto-api/reset-auth", account.gateway);
    assert_eq!(send("POST", &switch, &[("content-type", "text/plain")], "0").await.status, 200);

    // A user who may only list buckets may do nothing else, and that only with the secret.
    let list = ("GET", "/", "");
    let listed = call(&account, &lister, "s3", list, "").await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    assert!(listed.text().contains("<Name>store</Name>"), "{}", listed.text());
    let made = call(&account, &lister, "s3", ("PUT", "/another", ""), "").await;
    assert_eq!(made.status, 403, "{}", made.text());
    assert!(made.text().contains("AccessDenied"), "{}", made.text());
    let forged = call(&account, &lister.forged(), "s3", list, "").await;
    assert_eq!(forged.status, 403, "{}", forged.text());
    assert!(forged.text().contains("SignatureDoesNotMatch"), "{}", forged.text());
    let tables =
        call(&account, &lister, "dynamodb", ("POST", "/", "{}"), "DynamoDB_20120810.ListTables").await;
    assert_eq!(tables.status, 403, "{}", tables.text());
    for (method, path, body) in [
        ("GET", format!("{functions}/"), ""),
        ("GET", format!("{functions}/guarded/aliases/live"), ""),
        ("PUT", format!("{functions}/guarded/aliases/live"), r#"{"FunctionVersion":"1"}"#),
        ("DELETE", format!("{functions}/guarded"), ""),
    ] {
        for (signer, why) in [(&lister, "AccessDenied"), (&admin.forged(), "SignatureDoesNotMatch")] {
            let refused = call(&account, signer, "lambda", (method, &path, body), "").await;
            assert_eq!(refused.status, 403, "{method} {path}: {}", refused.text());
            assert!(refused.text().contains(why), "{method} {path}: {}", refused.text());
        }
    }

    // A user with all permissions is allowed, also where the emulator alone rejects the signature.
    for (service, method, path, body, target) in [
        ("lambda", "GET", format!("{functions}/"), "", ""),
        ("lambda", "GET", format!("{functions}/guarded?Qualifier=live"), "", ""),
        ("lambda", "GET", format!("{functions}/guarded/aliases/live"), "", ""),
        ("lambda", "PUT", format!("{functions}/guarded/aliases/live"), r#"{"FunctionVersion":"1"}"#, ""),
        ("lambda", "GET", "/2021-10-31/functions/guarded/url?Qualifier=live".to_owned(), "", ""),
        ("apigateway", "GET", "/v2/apis".to_owned(), "", ""),
        ("dynamodb", "POST", "/".to_owned(), "{}", "DynamoDB_20120810.ListTables"),
        ("s3", "PUT", "/store/a%20b/c".to_owned(), "content", ""),
        ("s3", "GET", "/store/a%20b/c".to_owned(), "", ""),
    ] {
        let response = call(&account, &admin, service, (method, &path, body), target).await;
        assert_eq!(response.status, 200, "{service} {method} {path}: {}", response.text());
    }

    // The gateway signs its own calls: it finds the function, assumes its role, gets its code, and writes its log.
    let served = send("GET", &url, &[], "").await;
    assert_eq!((served.status, served.text().as_str()), (200, "served"), "{:?}", served.headers);
    let invoked = call(
        &account,
        &admin,
        "lambda",
        ("POST", &format!("{functions}/guarded:live/invocations"), "{}"),
        "",
    )
    .await;
    assert_eq!(invoked.status, 200, "{}", invoked.text());
    let events = json!({ "logGroupName": "/aws/lambda/guarded" }).to_string();
    support::eventually(10, async || {
        let response =
            call(&account, &admin, "logs", ("POST", "/", &events), "Logs_20140328.FilterLogEvents").await;
        match response.text().contains("handled") {
            true => Ok(()),
            false => Err(response.text()),
        }
    })
    .await;
    // The checks are enabled again.
    assert_eq!(call(&account, &lister, "s3", ("PUT", "/another", ""), "").await.status, 403);
}
