//! Reads one settings file; a mistake in it is told with file, line, the line itself and what is allowed.

use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::failure::{self, Failure, Result};
use crate::name::nearest;

/// Reads and parses `<root>/<relative>`; errors name the relative path.
pub(super) fn load<T: DeserializeOwned>(root: &Path, relative: &Path) -> Result<T> {
    let path = root.join(relative);
    let text = std::fs::read_to_string(&path).map_err(|error| failure::io("read", relative, error))?;
    toml::from_str(&text).map_err(|error| explain(relative, &text, error.message(), error.span()))
}

/// Makes the failure for a mistake at a byte range of a settings file's text.
pub(super) fn explain(
    file: &Path,
    text: &str,
    message: &str,
    span: Option<std::ops::Range<usize>>,
) -> Failure {
    let file = file.display();
    let message = message.trim().lines().next().unwrap_or_default();
    let allowed = allowed_names(message);
    let wrong =
        between(message, "unknown field `", "`").or_else(|| between(message, "unknown variant `", "`"));
    let told = match (wrong, message.starts_with("unknown field")) {
        (Some(name), true) => format!("unknown key `{name}`"),
        (Some(name), false) => format!("unknown value `{name}`"),
        (None, _) => message.replace("missing field", "missing key"),
    };
    let Some(span) = span else {
        return with_allowed(Failure::usage(format!("{file}: {told}")), wrong, &allowed);
    };
    let start = span.start.min(text.len());
    let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let line_number = text[..start].matches('\n').count() + 1;
    let line = text[line_start..].lines().next().unwrap_or_default();
    let column = text[line_start..start].chars().count();
    let width = text[start..span.end.min(text.len()).max(start)]
        .lines()
        .next()
        .map_or(1, |part| part.chars().count().max(1));
    let suggestion = wrong
        .and_then(|name| did_you_mean(name, &allowed))
        .map(|name| format!(" did you mean `{name}`?"))
        .unwrap_or_default();
    let gutter = " ".repeat(line_number.to_string().len());
    let body =
        format!("{line_number} | {line}\n{gutter} | {}{}{suggestion}", " ".repeat(column), "^".repeat(width));
    with_allowed(Failure::usage(format!("{file}:{line_number}: {told}")).body(body), wrong, &allowed)
}

fn with_allowed(failure: Failure, wrong: Option<&str>, allowed: &[&str]) -> Failure {
    if wrong.is_some() && !allowed.is_empty() {
        failure.hint(format!("allowed here: {}", allowed.join(", ")))
    } else {
        failure
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

/// Takes the names out of serde's "expected one of `a`, `b`" and "expected `a`".
fn allowed_names(message: &str) -> Vec<&str> {
    message
        .split_once(", expected ")
        .map_or(Vec::new(), |(_, rest)| rest.split('`').skip(1).step_by(2).collect())
}

fn did_you_mean<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let best = nearest(wrong, allowed.iter().copied(), 1).first().copied()?;
    (strsim::damerau_levenshtein(wrong, best) <= wrong.len().div_ceil(3)).then_some(best)
}

/// Parses a duration written as a number and one of `ms`, `s`, `m`, `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let error = || format!("`{text}` is no duration: write a number and ms, s, m or h, such as \"3s\"");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| error())?;
    let millis = match &text[digits.len()..] {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    };
    millis.map(Duration::from_millis).ok_or_else(error)
}

/// Deserialises a duration from its text form.
pub(super) fn duration<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = <String as serde::Deserialize>::deserialize(deserializer)?;
    parse_duration(&text).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Sample {
        protected: bool,
        #[serde(deserialize_with = "duration")]
        within: Duration,
    }

    fn message(text: &str) -> String {
        let error = toml::from_str::<Sample>(text).unwrap_err();
        let report = explain(Path::new("a/b.toml"), text, error.message(), error.span()).report();
        format!(
            "{}\n{}\n{}",
            report.message,
            report.body.unwrap_or_default(),
            report.hint.unwrap_or_default()
        )
    }

    #[test]
    fn an_unknown_key_is_shown_where_it_stands() {
        insta::assert_snapshot!(message("within = \"3s\"\nprotect = true\n"), @r"
        a/b.toml:2: unknown key `protect`
        2 | protect = true
          | ^^^^^^^ did you mean `protected`?
        allowed here: protected, within
        ");
    }

    #[test]
    fn a_wrong_type_and_a_bad_duration_are_shown_where_they_stand() {
        insta::assert_snapshot!(message("protected = 3\nwithin = \"3s\"\n"), @r"
        a/b.toml:1: invalid type: integer `3`, expected a boolean
        1 | protected = 3
          |             ^
        ");
        assert!(
            message("protected = true\nwithin = \"3 days\"\n")
                .starts_with("a/b.toml:2: `3 days` is no duration")
        );
        assert!(message("protected = true\n").contains("missing key `within`"));
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["3", "s", "3d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(bad).is_err(), "{bad} was taken");
        }
    }
}
