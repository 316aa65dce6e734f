//! Failures as text, and the styles of all text.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use crate::failure::ErrorReport;

pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
pub(super) const FAINT: Style = Style::new().dimmed();
pub(super) const BOLD: Style = Style::new().bold();
/// All styles in use.
pub(super) const STYLES: [Style; 5] = [GOOD, BAD, HINT, FAINT, BOLD];

/// Renders a failure: message, details, causes, quoted lines, what is unchanged, hint.
pub(crate) fn failure_text(report: &ErrorReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BAD}error{BAD:#}: {}", report.message);
    let width = report.details.iter().map(|detail| detail.name.chars().count()).max().unwrap_or(0);
    for detail in &report.details {
        let _ = writeln!(out, "  {:width$}   {}", detail.name, detail.value);
    }
    for cause in &report.causes {
        let _ = writeln!(out, "  because {cause}");
    }
    for line in report.body.iter().flat_map(|body| body.lines()) {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(unchanged) = &report.unchanged {
        let _ = writeln!(out, "  {unchanged}");
    }
    if let Some(hint) = &report.hint {
        let _ = writeln!(out, "{HINT}hint{HINT:#}: {hint}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Failure;

    #[test]
    fn failure_shows_message_details_and_hint() {
        let failure = Failure::refused("`hello` 1.4.2 already exists with other bytes")
            .detail("stored", "sha256:9c1f…e2a4")
            .detail("built", "sha256:77ab…0c19")
            .unchanged("Nothing was published.")
            .hint("leave out --version");
        let text = anstream::adapter::strip_str(&failure_text(&failure.report())).to_string();
        insta::assert_snapshot!(text, @r"
        error: `hello` 1.4.2 already exists with other bytes
          stored   sha256:9c1f…e2a4
          built    sha256:77ab…0c19
          Nothing was published.
        hint: leave out --version
        ");
    }
}
