//! Reads one settings file; a mistake is reported with file, line number, the line itself and the allowed values.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::failure::{self, Failure, Result};
use crate::name::nearest;

/// The largest settings file that is read, in bytes.
const LARGEST: u64 = 1 << 20;

/// Reads and parses `<root>/<relative>`; errors name the relative path.
pub(super) fn load<T: DeserializeOwned>(root: &Path, relative: &Path) -> Result<T> {
    parse(relative, &read(root, relative)?)
}

/// Reads the text of `<root>/<relative>`; errors name the relative path.
pub(super) fn read(root: &Path, relative: &Path) -> Result<String> {
    let failed = |error| failure::io("read", relative, error);
    let mut text = String::new();
    let file = File::open(root.join(relative)).map_err(failed)?;
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > LARGEST {
        return Err(Failure::usage(format!("{} has more than {LARGEST} bytes", relative.display()))
            .hint("a settings file is written by hand: put data into other files"));
    }
    Ok(text)
}

/// Parses the text of a settings file; `relative` names it in errors.
pub(super) fn parse<T: DeserializeOwned>(relative: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|error| mistake(relative, text, error.message(), error.span()))
}

/// Returns the failure for a mistake at a byte range of a settings file's text.
pub(super) fn mistake(
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
    let problem = match (wrong, message.starts_with("unknown field")) {
        (Some(name), true) => format!("unknown key `{name}`"),
        (Some(name), false) => format!("unknown value `{name}`"),
        (None, _) => message.replace("missing field", "missing key"),
    };
    let Some(span) = span else {
        return with_allowed(Failure::usage(format!("{file}: {problem}")), wrong, &allowed);
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
    with_allowed(Failure::usage(format!("{file}:{line_number}: {problem}")).body(body), wrong, &allowed)
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

/// Returns the names in serde's "expected one of `a`, `b`" and "expected `a`".
fn allowed_names(message: &str) -> Vec<&str> {
    message
        .split_once(", expected ")
        .map_or(Vec::new(), |(_, rest)| rest.split('`').skip(1).step_by(2).collect())
}

fn did_you_mean<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    let best = nearest(wrong, allowed.iter().copied(), 1).first().copied()?;
    (strsim::damerau_levenshtein(wrong, best) <= wrong.len().div_ceil(3)).then_some(best)
}

/// Parses a duration: a number and `ms`, `s`, `m` or `h`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let error =
        || format!("`{text}` is not a valid duration: write a number and ms, s, m or h, such as \"3s\"");
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

/// Deserializes a duration from its text.
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
    struct SampleSettings {
        protected: bool,
        #[serde(deserialize_with = "duration")]
        within: Duration,
    }

    fn message(text: &str) -> String {
        let error = toml::from_str::<SampleSettings>(text).unwrap_err();
        let report = mistake(Path::new("a/b.toml"), text, error.message(), error.span()).report();
        format!(
            "{}\n{}\n{}",
            report.message,
            report.body.unwrap_or_default(),
            report.hint.unwrap_or_default()
        )
    }

    #[test]
    fn unknown_key_is_marked_in_its_line() {
        insta::assert_snapshot!(message("within = \"3s\"\nprotect = true\n"), @r"
        a/b.toml:2: unknown key `protect`
        2 | protect = true
          | ^^^^^^^ did you mean `protected`?
        allowed here: protected, within
        ");
    }

    #[test]
    fn wrong_type_and_invalid_duration_are_marked_in_their_line() {
        insta::assert_snapshot!(message("protected = 3\nwithin = \"3s\"\n"), @r"
        a/b.toml:1: invalid type: integer `3`, expected a boolean
        1 | protected = 3
          |             ^
        ");
        assert!(
            message("protected = true\nwithin = \"3 days\"\n")
                .starts_with("a/b.toml:2: `3 days` is not a valid duration")
        );
        assert!(message("protected = true\n").contains("missing key `within`"));
    }

    #[test]
    fn file_that_nobody_wrote_by_hand_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let relative = Path::new("b.toml");
        std::fs::write(root.path().join(relative), "#".repeat(1 << 20)).unwrap();
        read(root.path(), relative).unwrap();
        std::fs::write(root.path().join(relative), "#".repeat((1 << 20) + 1)).unwrap();
        let failure = read(root.path(), relative).unwrap_err();
        assert_eq!(failure.message(), "b.toml has more than 1048576 bytes");
    }

    #[test]
    fn duration_needs_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("10m"), Ok(Duration::from_secs(600)));
        for bad in ["3", "s", "3d", "-1s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(bad).is_err(), "{bad} was accepted");
        }
    }
}
