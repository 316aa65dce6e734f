//! Formats values for people: durations, sizes, ages, counts and lists.

use std::time::Duration;

/// Returns `serves` for one function and `serve` for several.
pub fn serve(functions: usize) -> &'static str {
    if functions == 1 { "serves" } else { "serve" }
}

/// Formats a duration: `0.2 s`, `48.1 s`, `1 m 25 s`, `2 h 3 m`.
pub fn seconds(duration: Duration) -> String {
    let total = duration.as_secs();
    match total {
        0..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} m {} s", total / 60, total % 60),
        _ => format!("{} h {} m", total / 3_600, total % 3_600 / 60),
    }
}

/// Formats a size in bytes, in decimal units: `412 B`, `1.9 MB`.
pub fn bytes(size: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let size_f = size as f64;
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size_f / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size_f / 1e6),
        _ => format!("{:.1} GB", size_f / 1e9),
    }
}

/// Formats the change of a size: `+412 B`, `-1.9 MB`, `same size`.
pub fn signed_bytes(before: u64, after: u64) -> String {
    match after.cmp(&before) {
        std::cmp::Ordering::Greater => format!("+{}", bytes(after - before)),
        std::cmp::Ordering::Less => format!("-{}", bytes(before - after)),
        std::cmp::Ordering::Equal => "same size".into(),
    }
}

/// Formats the time since `then`: `just now`, `12 minutes ago`, `6 days ago`.
pub fn age(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let total = now.as_second().saturating_sub(then.as_second()).max(0);
    let (number, unit) = match total {
        0..60 => return "just now".into(),
        60..3_600 => (total / 60, "minute"),
        3_600..86_400 => (total / 3_600, "hour"),
        _ => (total / 86_400, "day"),
    };
    format!("{} ago", plural(usize::try_from(number).unwrap_or(usize::MAX), unit))
}

/// Formats a count with its noun: `1 change`, `3 changes`.
pub fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Joins names into an enumeration: `a`, `a and b`, `a, b and c`.
pub fn list<S: AsRef<str>>(items: impl IntoIterator<Item = S>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.as_ref().to_owned()).collect();
    match items.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_sizes_lists_and_ages_have_readable_forms() {
        assert_eq!(seconds(Duration::from_millis(240)), "0.2 s");
        assert_eq!(seconds(Duration::from_secs(85)), "1 m 25 s");
        assert_eq!(bytes(1_900_000), "1.9 MB");
        assert_eq!(bytes(412), "412 B");
        assert_eq!(list(["a", "b", "c"]), "a, b and c");
        let then: jiff::Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
        assert_eq!(age(then, "2026-11-01T00:12:30Z".parse().unwrap()), "12 minutes ago");
        assert_eq!(age(then, "2026-11-02T01:00:00Z".parse().unwrap()), "1 day ago");
    }
}
