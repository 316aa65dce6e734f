//! dotenv: `NAME='value'` lines that a shell can read.

use serde_json::Value;

/// Renders named values; objects and lists as JSON. A sensitive value (`None`) becomes a comment.
pub(crate) fn dotenv<'a>(values: impl IntoIterator<Item = (&'a str, Option<&'a Value>)>) -> String {
    let mut text = String::new();
    for (name, value) in values {
        let key = name.to_uppercase();
        let key: String = key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        match value {
            None => text.push_str(&format!("# {key} is sensitive and not printed\n")),
            Some(value) => {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                text.push_str(&format!("{key}='{}'\n", value.replace('\'', "'\\''")));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_survive_quotes_and_leave_out_sensitive_values() {
        let (url, functions) = (Value::from("it's"), serde_json::json!({"a": 1}));
        let values = [("api-url", Some(&url)), ("functions", Some(&functions)), ("token", None)];
        assert_eq!(
            dotenv(values),
            "API_URL='it'\\''s'\nFUNCTIONS='{\"a\":1}'\n# TOKEN is sensitive and not printed\n"
        );
    }
}
