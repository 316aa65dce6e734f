//! Makes what others wrote harmless for the terminal and for the log of a CI system.
//!
//! Functions, their logs, remote servers, the ledger and test suites decide texts that Slipway prints. A terminal would obey the
//! escape sequences in them (move the cursor, set the clipboard, hide text), and GitHub's runner the workflow commands. In: any
//! text. Out: the same text where only the styles that Slipway itself uses are left as they are; other styles are removed, and every
//! other control character is shown as `\u001b`. That is also what JSON means by it, so a JSON document stays the same document.

use std::borrow::Cow;

use super::text::STYLES;

/// Who reads a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// A terminal, or a log without commands.
    Terminal,
    /// GitHub's runner, which takes lines of the log as commands:
    /// <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.
    Github,
}

/// Returns a text that does nothing to its reader.
pub(super) fn harmless(text: &str, reader: Reader) -> Cow<'_, str> {
    let controls = text.chars().any(|c| is_control(c) && c != '\n' && c != '\t');
    let commands = reader == Reader::Github && (text.contains("::") || text.contains("##["));
    if !controls && !commands {
        return Cow::Borrowed(text);
    }
    let text = without_controls(text);
    Cow::Owned(if commands { without_commands(&text) } else { text })
}

/// Escapes control characters and removes foreign styles.
fn without_controls(text: &str) -> String {
    let styles: Vec<String> = STYLES
        .iter()
        .flat_map(|style| [style.render().to_string(), style.render_reset().to_string()])
        .collect();
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(c) = rest.chars().next() {
        let style =
            if c == '\u{1b}' { own_style(rest, &styles).or_else(|| foreign_style(rest)) } else { None };
        if let Some((length, shown)) = style {
            out.push_str(&rest[..if shown { length } else { 0 }]);
            rest = &rest[length..];
            continue;
        }
        match c {
            '\n' | '\t' => out.push(c),
            '\r' if rest.starts_with("\r\n") => {}
            c if is_control(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    out
}

/// Returns the length of one of Slipway's own styles at the beginning of a text, which is shown.
fn own_style(text: &str, styles: &[String]) -> Option<(usize, bool)> {
    let found = styles.iter().filter(|style| !style.is_empty() && text.starts_with(style.as_str()));
    found.map(|style| (style.len(), true)).max()
}

/// Returns the length of another sequence that sets a style (SGR) at the beginning of a text, which is not shown.
fn foreign_style(text: &str) -> Option<(usize, bool)> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !c.is_ascii_digit() && !matches!(c, ';' | ':'))?;
    parameters[end..].starts_with('m').then_some((2 + end + 1, false))
}

/// Returns whether a character controls a terminal or hides what a text says: C0, DEL, C1, the directions of Unicode (as in
/// <https://trojansource.codes>), and characters without a width at the beginning of a command.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Breaks what GitHub's runner would take for a command: `::` at the beginning of a line, also after blanks, and `##[` anywhere.
fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        // What looks like nothing counts as nothing: the runner compares by the rules of a language.
        let begin = anstream::adapter::strip_str(line).to_string();
        let at = line.find("::").filter(|_| {
            begin
                .split("::")
                .next()
                .is_some_and(|before| before.chars().all(|c| c.is_whitespace() || !c.is_ascii()))
        });
        let line = match at {
            Some(at) => format!("{}\\u003a{}", &line[..at], &line[at + 1..]),
            None => line.to_owned(),
        };
        line.replace("##[", "#\\u0023[")
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::super::text::{BAD, FAINT};
    use super::*;

    fn shown(text: &str) -> String {
        harmless(text, Reader::Terminal).into_owned()
    }

    fn in_github(text: &str) -> String {
        harmless(text, Reader::Github).into_owned()
    }

    #[test]
    fn text_without_controls_is_left_as_it_is() {
        let text = "plan · dev ✓\n\tname::space {\"a\": 1}\n";
        assert!(matches!(harmless(text, Reader::Terminal), Cow::Borrowed(same) if same == text));
        assert_eq!(in_github(text), text);
    }

    #[test]
    fn own_styles_stay_and_foreign_ones_are_removed() {
        let own = format!("{BAD}error{BAD:#}: {FAINT}| line{FAINT:#}");
        assert_eq!(shown(&own), own);
        // Concealed, and black on black.
        assert_eq!(shown("a\u{1b}[8mb\u{1b}[30;40mc\u{1b}[38:5:1md"), "abcd");
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(shown("\u{1b}]52;c;cm0=\u{7}"), "\\u001b]52;c;cm0=\\u0007");
        assert_eq!(shown("yes\r\u{1b}[2K\u{1b}[1Ano"), "yes\\u000d\\u001b[2K\\u001b[1Ano");
        assert_eq!(
            shown("\u{9b}2J\u{7f}\u{0}\u{202e}txt\u{200b}"),
            "\\u009b2J\\u007f\\u0000\\u202etxt\\u200b"
        );
        assert_eq!(shown("a\r\nb\n"), "a\nb\n");
        let all: String = (0..=0x10_ffff).filter_map(char::from_u32).collect();
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
        assert!(shown(&all).chars().all(allowed) && in_github(&all).chars().all(allowed));
    }

    #[test]
    fn json_document_stays_the_same_document() {
        let value = serde_json::json!({ "answer": "\u{1b}[2J\u{9b}8m\u{202e}\r\n::stop-commands::x\u{7f}" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        for shown in [shown(&text), in_github(&text)] {
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value, "{shown}");
        }
    }

    #[test]
    fn line_of_others_is_no_workflow_command() {
        for line in [
            "::add-mask::a",
            "  \t::error file=a::b",
            "\u{a0}\u{3000}::set-output name=a::b",
            "\u{1b}[31m::stop-commands::x",
            "é::debug::b",
        ] {
            let shown = in_github(&format!("first\n{line}\nlast"));
            let line = shown.lines().nth(1).unwrap();
            assert!(line.contains("\\u003a:") && !line.trim_start().starts_with("::"), "{line}");
        }
        // What has no width is visible, so that nothing is taken for the beginning of the line.
        assert_eq!(in_github("\u{200b}::warning::b"), "\\u200b::warning::b");
        // A styled line is one for the runner too.
        let styled = in_github(&format!("{FAINT}::group::a{FAINT:#}"));
        assert!(styled.contains("\\u003a:group"), "{styled}");
        // A carriage return ends a line for the runner.
        assert_eq!(in_github("a\r::group::b"), "a\\u000d::group::b");
        assert_eq!(in_github("a ##[group]b"), "a #\\u0023[group]b");
        assert_eq!(in_github("12:30:01 release::hello"), "12:30:01 release::hello");
        assert_eq!(shown("::group::a"), "::group::a");
    }
}
