//! Smoke requests that follow each other, with values captured from earlier answers, outputs and secrets.

use super::*;

fn request(name: &str, path: &str, expect: Value) -> SmokeRecord {
    let request = RequestRecord {
        method: "POST".into(),
        path: path.into(),
        headers: BTreeMap::from([("X-Api-Key".into(), "${secret.keys_arn/0}".into())]),
        body: Some(json!({ "project": "${output.project}", "n": 1 })),
    };
    SmokeRecord { request: Some(request), ..expecting(Some(expect), None).named(name) }
}

impl SmokeRecord {
    fn named(self, name: &str) -> Self {
        Self { name: name.into(), ..self }
    }
}

fn answer(status: u16, body: &Value) -> HttpResponse {
    let body = body.to_string().into_bytes();
    HttpResponse { status, headers: Vec::new(), body, took: Duration::from_millis(5) }
}

/// Two requests over a URL: the second needs what the first answers.
fn two_requests() -> Bench {
    let mut bench = Bench::new(|_| {});
    let mut first = request("creates", "/things", json!({ "status": 201 }));
    first.capture = BTreeMap::from([("id".into(), "/body/id".into())]);
    let second = request("reads", "/things/${id}?r=${random}", json!({ "body": { "id": "${id}" } }));
    bench.manifest.smoke = vec![first, second];
    let text = |value: &str| Output { value: value.into(), sensitive: false };
    bench.outputs = BTreeMap::from([("keys_arn".into(), text("arn:keys")), ("project".into(), text("shop"))]);
    bench.services.secrets.lock().unwrap().insert("arn:keys".into(), "[\"k1\"]".into());
    bench.endpoint = Endpoint::Url { address: "https://u.example/", signed_for: Some("lambda") };
    bench
}

#[tokio::test]
async fn request_uses_values_captured_from_earlier_responses() {
    let bench = two_requests();
    *bench.services.responses.lock().unwrap() =
        vec![answer(201, &json!({ "id": 7 })), answer(200, &json!({ "id": "7" }))];
    assert_eq!(wrong(&bench.verify("1", None, false).await), Vec::<String>::new());
    let sent = bench.services.sent.lock().unwrap();
    let (first, signed_for) = &sent[0];
    assert_eq!(first.url, "https://u.example/things");
    assert_eq!(signed_for.as_deref(), Some("lambda"));
    assert!(first.headers.contains(&("x-api-key".into(), "k1".into())), "{:?}", first.headers);
    let body: Value = serde_json::from_slice(&first.body).unwrap();
    assert_eq!(body, json!({ "project": "shop", "n": 1 }));
    assert!(sent[1].0.url.starts_with("https://u.example/things/7?r="), "{}", sent[1].0.url);
}

#[tokio::test]
async fn request_without_its_captured_value_is_not_sent() {
    let bench = two_requests();
    *bench.services.responses.lock().unwrap() = vec![answer(500, &json!({ "error": "broken" }))];
    let found = wrong(&bench.verify("1", None, false).await);
    assert!(found[0].starts_with("smoke \"creates\": expected {\"status\":201}"), "{found:?}");
    assert!(found[1].ends_with("got not run: an earlier event captured no id"), "{found:?}");
    assert_eq!(bench.services.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn request_after_an_unsent_capture_is_not_sent_either() {
    let mut bench = two_requests();
    bench.manifest.smoke[1].capture = BTreeMap::from([("part".into(), "/body/part".into())]);
    bench.manifest.smoke.push(request("completes", "/parts/${part}", json!({ "status": 200 })));
    *bench.services.responses.lock().unwrap() = vec![answer(500, &json!({ "error": "broken" }))];
    let found = wrong(&bench.verify("1", None, false).await);
    assert!(found[2].ends_with("got not run: an earlier event captured no part"), "{found:?}");
    assert_eq!(bench.services.sent.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn missing_secret_or_output_is_named() {
    for (text, what) in [
        (None, "does not exist, or has no value yet"),
        (Some("k1"), "holds no JSON"),
        (Some("{\"key\": \"k1\"}"), "has no value at /0"),
    ] {
        let bench = two_requests();
        bench.services.secrets.lock().unwrap().clear();
        if let Some(text) = text {
            bench.services.secrets.lock().unwrap().insert("arn:keys".into(), text.into());
        }
        let verification = bench.verify("1", None, false).await;
        assert_eq!(
            wrong(&verification),
            [
                format!(
                    "smoke \"creates\": expected the values that the request needs, got the secret arn:keys {what}"
                ),
                "smoke \"reads\": expected a response, got not run: an earlier event captured no id"
                    .to_owned(),
            ]
        );
        assert_eq!(bench.services.sent.lock().unwrap().len(), 0, "nothing is sent without it");
        let report = failure("dev", &[verification]).report();
        assert_eq!(report.exit_code, 5);
        let hint = report.hint.unwrap();
        assert!(hint.contains("put-secret-value --secret-id arn:keys --secret-string"), "{hint}");
        assert!(hint.contains("JSON with a value at /0"), "{hint}");
    }
    let mut bench = two_requests();
    bench.outputs.remove("project");
    let failure = bench.try_to_verify("1", None, false).await.unwrap_err();
    assert!(failure.message().contains("the stack has no output `project`"), "{failure}");
}

#[tokio::test]
async fn secret_that_a_function_echoes_is_masked_and_so_is_what_it_gives_for_it() {
    let mut bench = two_requests();
    let token = "token-0123456789abcdef";
    bench.services.secrets.lock().unwrap().insert("arn:keys".into(), "[\"hush-hush-1\"]".into());
    bench.manifest.smoke[0].capture = BTreeMap::from([("id".into(), "/body/token".into())]);
    let long = "x".repeat(380);
    *bench.services.responses.lock().unwrap() = vec![
        answer(500, &json!({ "echo": format!("{long}hush-hush-1"), "token": token })),
        answer(200, &json!({ "id": format!("not {token}"), "key": "hush-hush-1" })),
    ];
    let verification = bench.verify("1", None, false).await;
    let found = wrong(&verification);
    assert_eq!(found.len(), 2, "{found:?}");
    let printed =
        format!("{} {}", serde_json::to_string(&verification).unwrap(), failure("dev", &[verification]));
    for secret in ["hush", token] {
        assert!(!printed.contains(secret) && !found.join(" ").contains(secret), "{found:?}");
    }
    assert!(found[1].contains("not ***"), "{found:?}");
    assert_eq!(*bench.services.hidden.lock().unwrap(), ["hush-hush-1", token], "the CI system hides both");
}
