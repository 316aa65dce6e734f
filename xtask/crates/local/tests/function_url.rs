//! A function URL in front of a function that the gateway runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::json;
use slipway_local::function_url::{InvokeTarget, serve_function_url};
use std::net::SocketAddr;
use support::{Account, shared, zip};

const APP: &str = "
import base64
def handle(event, context):
    if event['rawPath'] == '/fail':
        raise RuntimeError('secret detail')
    if event['rawPath'] == '/plain':
        return {'path': event['rawPath'], 'query': event.get('queryStringParameters')}
    body = event.get('body', '')
    return {'statusCode': 201, 'headers': {'X-Method': event['requestContext']['http']['method'], 'Content-Type': 'text/x'},
            'cookies': ['a=1'], 'isBase64Encoded': True,
            'body': base64.b64encode(base64.b64decode(body) if event['isBase64Encoded'] else body.encode()).decode()}
";

#[tokio::test]
async fn http_goes_in_and_comes_out() {
    let Some(shared) = shared().await else { return };
    let account = Account::enter(&shared.state, "200000000001").await;
    let python = json!({ "Runtime": "python3.13", "Handler": "app.handle" });
    account.function("site", &zip(&[("app.py", APP)]), python).await;
    let target = InvokeTarget {
        gateway_url: account.gateway.clone(),
        function: "site".to_owned(),
        qualifier: Some("1".to_owned()),
        authorization: account.authorization("lambda"),
    };
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let listening = move |address| sender.send(address).unwrap();
    let shutdown = async move { drop(stopped.await) };
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let server = tokio::spawn(serve_function_url(any, target, listening, shutdown));
    let url = format!("http://{}", receiver.await.unwrap());

    let plain = support::send("GET", &format!("{url}/plain?a=1&a=2"), &[], "").await;
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("application/json")));
    assert_eq!(plain.json(), json!({ "path": "/plain", "query": { "a": "1,2" } }));
    for (kind, body) in [("text/plain", &b"hello"[..]), ("application/octet-stream", b"\x00\xff")] {
        let response = support::send("PATCH", &url, &[("content-type", kind)], body.to_vec()).await;
        assert_eq!((response.status, &response.body[..]), (201, body));
        assert_eq!(response.header("x-method"), Some("PATCH"));
        assert_eq!(
            (response.header("set-cookie"), response.header("content-type")),
            (Some("a=1"), Some("text/x"))
        );
    }
    let failed = support::send("GET", &format!("{url}/fail"), &[], "").await;
    assert_eq!(failed.status, 502);
    assert!(!failed.text().contains("secret"), "{}", failed.text());
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
}
