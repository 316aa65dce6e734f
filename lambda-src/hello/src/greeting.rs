//! The greeting.
//!
//! In: an event `{"name": "Ada"}`. Out: `{"greeting": "Hello Ada", "function_version": "7"}`. What can go wrong:
//! a name that is missing, blank or too long is a function error of the type `InvalidName`.

use lambda_runtime::tracing::info;
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::{Deserialize, Serialize};

/// The longest name that is greeted, in characters.
const LONGEST_NAME: usize = 256;

/// The event of an invocation.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    name: Option<String>,
}

/// The response to a [`Request`].
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Response {
    greeting: String,
    /// The published version that responded, or `$LATEST`.
    function_version: String,
}

/// The error for an invalid name. The runtime logs its `Debug` form and responds with its [`Diagnostic`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidName(String);

/// Handles one invocation.
pub(crate) async fn handle(event: LambdaEvent<Request>) -> Result<Response, InvalidName> {
    let (request, context) = event.into_parts();
    let greeting = greet(request.name.as_deref())?;
    let function_version = context.env_config.version.clone();
    info!(function_version, "greeted");
    Ok(Response { greeting, function_version })
}

fn greet(name: Option<&str>) -> Result<String, InvalidName> {
    let invalid = |message: &str| InvalidName(message.to_owned());
    let name = name.ok_or_else(|| invalid("the event has no `name`"))?.trim();
    if name.is_empty() {
        return Err(invalid("the event's `name` is blank"));
    }
    let characters = name.chars().count();
    if characters > LONGEST_NAME {
        let message =
            format!("the event's `name` has {characters} characters; the longest greeted has {LONGEST_NAME}");
        return Err(InvalidName(message));
    }
    Ok(format!("Hello {name}"))
}

impl From<InvalidName> for Diagnostic {
    fn from(InvalidName(error_message): InvalidName) -> Self {
        Self { error_type: "InvalidName".to_owned(), error_message }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use function_log::json_lines;
    use lambda_runtime::tracing::subscriber::filter::LevelFilter;
    use lambda_runtime::tracing::subscriber::util::SubscriberInitExt as _;
    use lambda_runtime::{Config, Context, Diagnostic, LambdaEvent};
    use serde_json::{Value, json};

    use super::{LONGEST_NAME, greet, handle};

    async fn invoke(event: Value) -> Result<Value, Diagnostic> {
        let mut context = Context::default();
        context.env_config = Arc::new(Config { version: "7".to_owned(), ..Config::default() });
        let request = serde_json::from_value(event).expect("an event");
        let response = handle(LambdaEvent::new(request, context)).await?;
        Ok(serde_json::to_value(response).expect("a response"))
    }

    #[tokio::test]
    async fn greets_by_name_and_tells_its_version() {
        let answer = invoke(json!({ "name": "Ada", "ignored": true })).await.expect("a greeting");
        assert_eq!(answer, json!({ "greeting": "Hello Ada", "function_version": "7" }));
    }

    #[tokio::test]
    async fn refuses_with_the_type_that_callers_match() {
        for (event, message) in [
            (json!({}), "the event has no `name`"),
            (json!({ "name": null }), "the event has no `name`"),
            (json!({ "name": " \t" }), "the event's `name` is blank"),
        ] {
            let error = invoke(event).await.expect_err(message);
            assert_eq!((error.error_type.as_str(), error.error_message.as_str()), ("InvalidName", message));
        }
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn logs_each_greeting_without_the_name() {
        let shared = Shared::default();
        let writer = shared.clone();
        let own = module_path!().split("::").next().expect("the crate");
        let guard = json_lines(own, LevelFilter::TRACE, move || writer.clone()).set_default();
        invoke(json!({ "name": "Ada" })).await.expect("a greeting");
        drop(guard);
        let logged = String::from_utf8(shared.0.lock().expect("one thread").clone()).expect("text");
        let line: Value = serde_json::from_str(&logged).expect("one line of JSON");
        assert_eq!((&line["message"], &line["function_version"]), (&json!("greeted"), &json!("7")));
        assert!(!logged.contains("Ada"), "people's names are not logged: {logged}");
    }

    #[test]
    fn counts_characters_and_not_bytes() {
        let longest = "ö".repeat(LONGEST_NAME);
        assert_eq!(greet(Some(&longest)), Ok(format!("Hello {longest}")));
        let error = greet(Some(&format!("{longest}x"))).expect_err("too long");
        assert!(error.0.contains("257 characters; the longest greeted has 256"), "{error:?}");
    }

    #[test]
    fn leaves_out_blanks_around_the_name() {
        assert_eq!(greet(Some("  Ada Lovelace\n")), Ok("Hello Ada Lovelace".to_owned()));
    }
}
