//! The table of what releasing would bring, for those who review a change.

use super::{escaped, table};
use crate::format::{plural, signed_bytes};
use crate::publication::{NextRelease, NextReleases};

/// Renders the next versions, and the sizes of their artifacts against those that serve.
pub(crate) fn next_releases(next: &NextReleases) -> String {
    if let Some(why) = &next.not_known {
        return format!("Next releases are not known: {}\n\n", escaped(why));
    }
    let rows: Vec<[String; 6]> = next.changed.iter().map(row).collect();
    let header = ["Function", "Serves", "Next version", "Bytes", "Difference", ""];
    let mut text = table(header, &rows);
    if next.unchanged > 0 {
        let verb = if next.unchanged == 1 { "keeps its release" } else { "keep their releases" };
        text.push_str(&format!("{} {verb}.\n\n", plural(next.unchanged, "function")));
    }
    text
}

fn row(release: &NextRelease) -> [String; 6] {
    let NextRelease { function, serves, serves_size, next, published, reason, size } = release;
    let of_size = |size: Option<u64>| size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let bytes = match serves {
        Some(_) => format!("{} → {}", of_size(*serves_size), of_size(*size)),
        None => of_size(*size),
    };
    let difference = match (serves_size, size) {
        (Some(before), Some(after)) => signed_bytes(*before, *after),
        (_, None) => "not built here".to_owned(),
        (None, Some(_)) => "new".to_owned(),
    };
    let why = match (published, reason) {
        (true, _) => "exists".to_owned(),
        (false, reason) => reason.clone().unwrap_or_default(),
    };
    let serves = serves.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    [function.to_string(), serves, next.to_string(), bytes, difference, why]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_releases_are_a_table_of_versions_and_sizes() {
        let release = |function: &str, serves: Option<&str>, sizes: (Option<u64>, Option<u64>)| NextRelease {
            function: function.parse().unwrap(),
            serves: serves.map(|version| version.parse().unwrap()),
            serves_size: sizes.0,
            next: "1.3.0".parse().unwrap(),
            published: function == "tracer",
            reason: Some("2 changes since 1.2.0".into()),
            size: sizes.1,
        };
        let changed = vec![
            release("hello", Some("1.2.0"), (Some(1_900_000), Some(1_912_345))),
            release("invoice", Some("1.2.0"), (Some(1_900_000), None)),
            release("tracer", None, (None, Some(412))),
        ];
        let next = NextReleases { changed, unchanged: 2, not_known: None };
        insta::assert_snapshot!(next_releases(&next), @r"
        | Function | Serves | Next version | Bytes | Difference |  |
        | --- | --- | --- | --- | --- | --- |
        | hello | 1.2.0 | 1.3.0 | 1900000 → 1912345 | +12.3 kB | 2 changes since 1.2.0 |
        | invoice | 1.2.0 | 1.3.0 | 1900000 → ? | not built here | 2 changes since 1.2.0 |
        | tracer | nothing | 1.3.0 | 412 | new | exists |

        2 functions keep their releases.
        ");
        let unknown = NextReleases { not_known: Some("git | says no".into()), ..NextReleases::default() };
        assert_eq!(next_releases(&unknown), "Next releases are not known: git \\| says no\n\n");
    }
}
