//! Function URLs and HTTP APIs through the gateway: by path and by host, signed and unsigned.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use slipway_local::{api_address, lambda_url_address};
use support::signed::Signer;
use support::{Account, send, shared, zip};

/// Returns its event, or fails if the path says so.
const APP: &str = "
import time
def handle(event, context):
    path = event['rawPath']
    if path.endswith('/fail'):
        raise RuntimeError('secret detail')
    if path.endswith('/odd'):
        return {'statusCode': 'x'}
    if path.endswith('/slow'):
        time.sleep(2)
    return {'event': event, 'arn': context.invoked_function_arn}
";

async fn site(account: &Account) {
    let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
    account.function("site", &zip(&[("app.py", APP)]), python).await;
    account.live("site", "1").await;
}

fn arn(account: &Account) -> String {
    format!("arn:aws:lambda:{}:{}:function:site", support::REGION, account.id)
}

/// Returns the host of a cloud address.
fn host(url: &str) -> &str {
    url.trim_start_matches("https://").trim_end_matches('/')
}

async fn make_url(account: &Account, query: &str, input: Value) -> String {
    let made = account.rest("lambda", "POST", &format!("/2021-10-31/functions/site/url{query}"), input).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["FunctionUrl"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn each_qualifier_has_a_url_of_its_own() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000001").await;
    site(&account).await;
    let path = |query: &str| format!("/2021-10-31/functions/site/url{query}");
    let url = async |method: &str, query: &str, input: Value| {
        account.rest("lambda", method, &path(query), input).await
    };
    let live = make_url(&account, "?Qualifier=live", json!({ "AuthType": "NONE" })).await;
    let own = make_url(&account, "", json!({ "AuthType": "AWS_IAM", "InvokeMode": "BUFFERED" })).await;
    assert!(live.starts_with("https://") && live.ends_with(".lambda-url.eu-central-1.on.aws/"), "{live}");
    assert_ne!(live, own);
    for (query, auth, function_arn) in
        [("?Qualifier=live", "NONE", format!("{}:live", arn(&account))), ("", "AWS_IAM", arn(&account))]
    {
        let description = url("GET", query, Value::Null).await;
        assert_eq!(description.status, 200);
        let description = description.json();
        assert_eq!(
            (&description["AuthType"], &description["FunctionArn"]),
            (&json!(auth), &json!(function_arn))
        );
        assert_eq!((&description["InvokeMode"], description.get("Cors")), (&json!("BUFFERED"), None));
    }
    for (query, input, status, kind) in [
        ("?Qualifier=live", json!({ "AuthType": "NONE" }), 409, "ResourceConflictException"),
        ("?Qualifier=absent", json!({ "AuthType": "NONE" }), 404, "ResourceNotFoundException"),
        ("?Qualifier=1", json!({ "AuthType": "NONE" }), 400, "InvalidParameterValueException"),
    ] {
        let refused = url("POST", query, input).await;
        let found = refused.header("x-amzn-errortype").unwrap_or_default();
        assert_eq!((refused.status, found.starts_with(kind)), (status, true), "{} {found}", refused.text());
    }
    let wrong = url("PUT", "?Qualifier=live", json!({ "AuthType": "SOME" })).await;
    assert_eq!((wrong.status, wrong.text().contains("AuthType")), (400, true));
    // The id never changes.
    let changed = url("PUT", "?Qualifier=live", json!({ "Cors": { "AllowOrigins": ["*"] } })).await.json();
    assert_eq!((&changed["FunctionUrl"], &changed["AuthType"]), (&json!(live), &json!("NONE")));
    assert_eq!(changed["Cors"], json!({ "AllowOrigins": ["*"] }));
    let list = account.rest("lambda", "GET", "/2021-10-31/functions/site/urls", Value::Null).await.json();
    assert_eq!(list["FunctionUrlConfigs"].as_array().unwrap().len(), 2);

    // A URL is deleted with its alias, and all URLs with the function.
    assert!(account.lambda("DELETE", "/site/aliases/live", Value::Null).await.status < 300);
    assert_eq!(url("GET", "?Qualifier=live", Value::Null).await.status, 404);
    assert_eq!(url("DELETE", "", Value::Null).await.status, 204);
    assert_eq!(url("DELETE", "", Value::Null).await.status, 404);
}

#[tokio::test]
async fn a_url_without_authorization_answers_everyone() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000002").await;
    site(&account).await;
    let cors = json!({ "AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "MaxAge": 60 });
    let url = make_url(&account, "?Qualifier=live", json!({ "AuthType": "NONE", "Cors": cors })).await;
    let here = lambda_url_address(&account.gateway, &url).unwrap();
    let by_path = send("POST", &format!("{here}traces/a%20b?x=1"), &[("x-api-key", "k")], "{}").await;
    assert_eq!(by_path.status, 200, "{}", by_path.text());
    let response = by_path.json();
    assert_eq!(response["arn"], format!("{}:live", arn(&account)));
    let event = &response["event"];
    assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/traces/a%20b"), &json!("x=1")));
    assert_eq!(
        (&event["headers"]["x-api-key"], &event["headers"]["host"]),
        (&json!("k"), &json!(host(&url)))
    );
    let context = &event["requestContext"];
    assert_eq!((&context["accountId"], &context["domainName"]), (&json!("anonymous"), &json!(host(&url))));
    assert_eq!((&context["apiId"], context.get("authorizer")), (&context["domainPrefix"], None));
    assert_eq!((&context["stage"], &event["routeKey"]), (&json!("$default"), &json!("$default")));

    let by_host = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut all = vec![("host", host(&url))];
        all.extend(headers);
        support::send_to(method, &format!("{}{path}", account.gateway), &all, "").await
    };
    let found = by_host("GET", "/traces", &[("origin", "https://a.example")]).await;
    assert_eq!((found.status, &found.json()["event"]["rawPath"]), (200, &json!("/traces")));
    assert_eq!(found.header("access-control-allow-origin"), Some("https://a.example"));
    let asks = [("origin", "https://a.example"), ("access-control-request-method", "GET")];
    let may = by_host("OPTIONS", "/traces", &asks).await;
    assert_eq!(
        (may.status, may.header("access-control-allow-methods"), may.body.len()),
        (200, Some("GET"), 0)
    );
    let asks = [("origin", "https://b.example"), ("access-control-request-method", "GET")];
    assert_eq!(by_host("OPTIONS", "/traces", &asks).await.header("access-control-allow-origin"), None);

    for path in ["/fail", "/odd"] {
        let failed = by_host("GET", path, &[]).await;
        assert_eq!(failed.status, 502);
        assert!(!failed.text().contains("secret"), "{}", failed.text());
    }
    let unknown = here.replace("/lambda-url/", "/lambda-url/0");
    let refused = send("GET", &unknown, &[], "").await;
    assert_eq!((refused.status, refused.json()), (403, json!({ "Message": "Forbidden" })));
}

#[tokio::test]
async fn a_url_with_iam_answers_those_who_sign() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000003").await;
    site(&account).await;
    let url = make_url(&account, "?Qualifier=live", json!({ "AuthType": "AWS_IAM" })).await;
    let here = lambda_url_address(&account.gateway, &format!("{url}x/ü?b=2&a=1+1")).unwrap();
    let here = here.replace('ü', "%C3%BC");
    let forbidden = json!({ "Message": "Forbidden" });
    let unsigned = send("GET", &here, &[], "").await;
    assert_eq!((unsigned.status, unsigned.json()), (403, forbidden.clone()));
    let signer = Signer::assume(&account, "caller").await;
    // Signed for the address that receives it, and for the one in the cloud.
    for signed_url in [here.clone(), format!("{url}x/%C3%BC?b=2&a=1+1")] {
        let response = signer
            .send("lambda", "POST", &signed_url, &here, &[("content-type", "text/plain")], "body")
            .await;
        assert_eq!(response.status, 200, "{signed_url}: {} {:?}", response.text(), response.headers);
        let event = &response.json()["event"];
        let iam = &event["requestContext"]["authorizer"]["iam"];
        assert_eq!((&iam["accessKey"], &iam["accountId"]), (&json!(signer.key()), &json!(account.id)));
        assert!(iam["userArn"].as_str().unwrap().contains("assumed-role/caller/caller"), "{iam}");
        assert_eq!(
            (&event["requestContext"]["accountId"], &event["body"]),
            (&json!(account.id), &json!("body"))
        );
    }
    let presigned = signer.presigned("lambda", &here);
    assert_eq!(send("GET", &presigned, &[], "").await.status, 200, "{presigned}");
    let longer = presigned.replace("X-Amz-Expires=600", "X-Amz-Expires=6000");
    assert_eq!(send("GET", &longer, &[], "").await.json(), forbidden);
    for (signer, service) in [(&signer.forged(), "lambda"), (&signer, "execute-api")] {
        let refused = signer.send(service, "GET", &here, &here, &[], "").await;
        assert_eq!((refused.status, refused.json()), (403, forbidden.clone()), "{service}");
    }
}

/// Creates an API with an integration and these routes; returns its id.
async fn make_api(account: &Account, routes: &[(&str, &str)], timeout: u64) -> String {
    let api = async |path: &str, input: Value| {
        let made = account.rest("apigateway", "POST", path, input).await;
        assert!(made.status < 300, "{path}: {}", made.text());
        made.json()
    };
    let id = api("/v2/apis", json!({ "name": "api", "protocolType": "HTTP" })).await["apiId"]
        .as_str()
        .unwrap()
        .to_owned();
    let uri = format!(
        "arn:aws:apigateway:{}:lambda:path/2015-03-31/functions/{}:live/invocations",
        support::REGION,
        arn(account)
    );
    let integration = json!({
        "integrationType": "AWS_PROXY", "integrationUri": uri, "integrationMethod": "POST",
        "payloadFormatVersion": "2.0", "timeoutInMillis": timeout,
    });
    let integration = api(&format!("/v2/apis/{id}/integrations"), integration).await;
    let target = format!("integrations/{}", integration["integrationId"].as_str().unwrap());
    for (key, authorization) in routes {
        let route = json!({ "routeKey": key, "authorizationType": authorization, "target": target });
        api(&format!("/v2/apis/{id}/routes"), route).await;
    }
    for stage in ["$default", "v1"] {
        let stage = json!({ "stageName": stage, "autoDeploy": true, "stageVariables": { "tier": stage } });
        api(&format!("/v2/apis/{id}/stages"), stage).await;
    }
    id
}

#[tokio::test]
async fn an_http_api_routes_requests_to_the_alias() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000004").await;
    site(&account).await;
    let routes = [("GET /objects/{key}", "NONE"), ("ANY /files/{proxy+}", "NONE"), ("GET /slow", "NONE")];
    let id = make_api(&account, &routes, 1000).await;
    let endpoint = format!("https://{id}.execute-api.{}.amazonaws.com", support::REGION);
    let here = api_address(&account.gateway, &endpoint).unwrap();
    let get = async |path: &str| send("GET", &format!("{here}{path}"), &[], "").await;

    let response = get("/objects/a%2Fb?x=1").await;
    assert_eq!(response.status, 200, "{} {:?}", response.text(), response.headers);
    let response = response.json();
    assert_eq!(response["arn"], format!("{}:live", arn(&account)));
    let event = &response["event"];
    assert_eq!((&event["version"], &event["routeKey"]), (&json!("2.0"), &json!("GET /objects/{key}")));
    assert_eq!(event["pathParameters"], json!({ "key": "a/b" }));
    assert_eq!(event["stageVariables"], json!({ "tier": "$default" }));
    let context = &event["requestContext"];
    assert_eq!((&context["accountId"], &context["apiId"]), (&json!(account.id), &json!(id)));
    assert_eq!((&context["domainName"], &context["stage"]), (&json!(host(&endpoint)), &json!("$default")));
    assert_eq!(context["http"]["path"], "/objects/a%2Fb");
    let staged = get("/v1/files/x/y").await.json();
    let context = &staged["event"]["requestContext"];
    assert_eq!((&context["stage"], &staged["event"]["rawPath"]), (&json!("v1"), &json!("/v1/files/x/y")));
    assert_eq!(staged["event"]["pathParameters"], json!({ "proxy": "x/y" }));
    let by_host =
        support::send_to("PUT", &format!("{}/files/z", account.gateway), &[("host", host(&endpoint))], "")
            .await;
    assert_eq!((by_host.status, &by_host.json()["event"]["rawPath"]), (200, &json!("/files/z")));

    for (path, status, message) in [
        ("/", 404, "Not Found"),
        ("/objects", 404, "Not Found"),
        ("/files/fail", 500, "Internal Server Error"),
        ("/files/odd", 500, "Internal Server Error"),
        ("/slow", 504, "Gateway Timeout"),
    ] {
        let refused = get(path).await;
        assert_eq!((refused.status, refused.json()), (status, json!({ "message": message })), "{path}");
    }
    let none = get("/objects/a").await;
    assert_eq!(none.status, 200);
    // A change through the gateway takes effect at once.
    let routes =
        account.rest("apigateway", "GET", &format!("/v2/apis/{id}/routes"), Value::Null).await.json();
    let items = routes["items"].as_array().unwrap();
    let route = items.iter().find(|route| route["routeKey"] == "GET /objects/{key}").unwrap();
    let path = format!("/v2/apis/{id}/routes/{}", route["routeId"].as_str().unwrap());
    assert!(account.rest("apigateway", "DELETE", &path, Value::Null).await.status < 300);
    assert_eq!(get("/objects/a").await.status, 404);
    assert!(account.rest("apigateway", "DELETE", &format!("/v2/apis/{id}"), Value::Null).await.status < 300);
    assert_eq!(get("/files/a").await.status, 404);
}

#[tokio::test]
async fn an_http_api_with_iam_answers_those_who_sign() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000005").await;
    site(&account).await;
    let id = make_api(&account, &[("GET /objects/{key}", "AWS_IAM")], 10_000).await;
    let endpoint = format!("https://{id}.execute-api.{}.amazonaws.com/objects/one", support::REGION);
    let here = api_address(&account.gateway, &endpoint).unwrap();
    let forbidden = json!({ "message": "Forbidden" });
    let unsigned = send("GET", &here, &[], "").await;
    assert_eq!((unsigned.status, unsigned.json()), (403, forbidden.clone()));
    let signer = Signer::assume(&account, "client").await;
    for signed_url in [&here, &endpoint] {
        let response = signer.send("execute-api", "GET", signed_url, &here, &[], "").await;
        assert_eq!(response.status, 200, "{signed_url}: {} {:?}", response.text(), response.headers);
        let iam = response.json()["event"]["requestContext"]["authorizer"]["iam"].clone();
        assert_eq!((&iam["accessKey"], &iam["accountId"]), (&json!(signer.key()), &json!(account.id)));
        assert!(iam["userArn"].as_str().unwrap().contains("assumed-role/client/caller"), "{iam}");
    }
    let other = here.replace("/one", "/two");
    // Signed with another secret, for another service, for another path.
    for (signer, service, url) in [
        (&signer.forged(), "execute-api", &here),
        (&signer, "lambda", &here),
        (&signer, "execute-api", &other),
    ] {
        let refused = signer.send(service, "GET", &here, url, &[], "").await;
        assert_eq!((refused.status, refused.json()), (403, forbidden.clone()), "{service} {url}");
    }
}

/// Calls five services with the settings of its environment.
const CALLER: &str = "
import json, os, urllib.request
def call(service, headers, body, method='POST', path='/'):
    scope = '/'.join([os.environ['AWS_ACCESS_KEY_ID'], '20260101', os.environ['AWS_REGION'], service, 'aws4_request'])
    headers['Authorization'] = f'AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0'
    headers['X-Amz-Security-Token'] = os.environ['AWS_SESSION_TOKEN']
    request = urllib.request.Request(os.environ['AWS_ENDPOINT_URL'] + path, body, headers, method=method)
    with urllib.request.urlopen(request) as response:
        return response.read().decode()
def target(service, action, **input):
    return call(service, {'X-Amz-Target': action, 'Content-Type': 'application/x-amz-json-1.1'}, json.dumps(input).encode())
def handle(event, context):
    return {
        'dynamodb': target('dynamodb', 'DynamoDB_20120810.ListTables'),
        'kinesis': target('kinesis', 'Kinesis_20131202.ListStreams'),
        'secretsmanager': target('secretsmanager', 'secretsmanager.GetSecretValue', SecretId='keys'),
        'kms': target('kms', 'TrentService.CreateKey'),
        's3': call('s3', {}, None, 'GET', '/store?list-type=2'),
        'own': os.environ['OWN'],
    }
";

#[tokio::test]
async fn a_function_reaches_its_own_accounts_services() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "320000000006").await;
    account
        .json(
            "secretsmanager",
            "secretsmanager.CreateSecret",
            json!({ "Name": "keys", "SecretString": "s3cret" }),
        )
        .await;
    account
        .json("kinesis", "Kinesis_20131202.CreateStream", json!({ "StreamName": "mine", "ShardCount": 1 }))
        .await;
    let table = json!({
        "TableName": "traces", "BillingMode": "PAY_PER_REQUEST",
        "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
        "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
    });
    account.json("dynamodb", "DynamoDB_20120810.CreateTable", table).await;
    let own = json!({ "OWN": "mine", "AWS_REGION": "nowhere", "AWS_ACCESS_KEY_ID": "another" });
    let python =
        json!({ "Runtime": "python3.13", "Handler": "app.handle", "Environment": { "Variables": own } });
    account.function("site", &zip(&[("app.py", CALLER)]), python).await;
    let response = account.invoke("site:1", json!({})).await;
    let found = response.json();
    assert_eq!(found["own"], "mine", "{found} {}", response.tail());
    for (service, expected) in [
        ("dynamodb", "\"traces\""),
        ("kinesis", "\"mine\""),
        ("secretsmanager", "s3cret"),
        ("kms", &account.id),
        ("s3", "artifacts/sha256/"),
    ] {
        assert!(found[service].as_str().unwrap().contains(expected), "{service}: {found}");
    }
}
