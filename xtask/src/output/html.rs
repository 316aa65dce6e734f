//! The summary of a run as a page of its own, for CI systems that show files instead of markdown (Jenkins, GitLab).
//!
//! In: the summary's markdown, in which the values of others are escaped. Out: HTML with neither scripts nor anything from
//! elsewhere. Nothing rests on the escaping alone: raw HTML other than a line break is shown as text, images and links are only their
//! words, and the page's own policy forbids scripts.

use std::io::Write as _;
use std::path::Path;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html};

use crate::failure::{self, Result};

/// The beginning of a page. `html` and `body` need no end: <https://html.spec.whatwg.org/multipage/syntax.html#optional-tags>.
const HEAD: &str = "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">
<meta name=\"viewport\" content=\"width=device-width\">
<title>Slipway</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem; color: #1b1f24; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { border: 1px solid #d0d7de; padding: 0.3rem 0.7rem; text-align: left; vertical-align: top; }
th { background: #f3f5f7; }
td { overflow-wrap: anywhere; }
pre { background: #f3f5f7; padding: 0.8rem; overflow: auto; }
section + section { border-top: 1px solid #d0d7de; margin-top: 2rem; }
</style>
</head>
<body>
";

/// Appends a summary to a page, which is begun if the file does not exist or is empty.
pub(crate) fn append(path: &Path, command: &str, markdown: &str) -> Result<()> {
    let section = format!("<section id=\"{command}\">\n{}</section>\n", rendered(markdown));
    let file = std::fs::File::options().create(true).append(true).open(path);
    file.and_then(|mut file| {
        let head = if file.metadata()?.len() == 0 { HEAD } else { "" };
        file.write_all(format!("{head}{section}").as_bytes())
    })
    .map_err(|error| failure::io("append to", path, error))
}

/// Renders markdown without anything that a page could run or load.
fn rendered(markdown: &str) -> String {
    let clean: String = markdown
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    let events = Parser::new_ext(&clean, Options::ENABLE_TABLES).filter_map(|event| match event {
        Event::InlineHtml(html) if matches!(&*html, "<br>") => Some(Event::HardBreak),
        Event::InlineHtml(html) | Event::Html(html) => Some(Event::Text(html)),
        Event::Start(Tag::Link { .. } | Tag::Image { .. } | Tag::HtmlBlock)
        | Event::End(TagEnd::Link | TagEnd::Image | TagEnd::HtmlBlock) => None,
        other => Some(other),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::delivery::StackPlan;
    use crate::output::markdown;
    use crate::plan::{Action, Change, ReviewedChange};

    /// Addresses and reasons as an attacker would write them.
    const HOSTILE: &[&str] = &[
        "module.f[\"<script>alert(1)</script>\"].aws_lambda_function.this",
        "a | b |\n| --- |\n| <img src=x onerror=alert(1)>",
        "[click](javascript:alert(1)) ![x](https://evil.example/x.png)",
        "`</code><script>` ``` \n```\n<iframe src=//evil.example>",
        "<br><svg/onload=alert(1)><!-- ",
        "\u{1b}[2J\u{9b}8m\u{0}<style>@import '//evil.example'</style>",
        "\" onmouseover=\"alert(1)\n\n<div onclick=alert(1)>\n\nx",
        "&lt;script&gt; \\<b\\> \\[x\\](javascript:1) <https://evil.example> <a@evil.example>",
    ];

    fn assert_harmless(html: &str) {
        // Every tag is one that our own markdown makes, and none but the alignment of a cell has an attribute.
        for tag in html.split('<').skip(1) {
            let (tag, _) = tag.split_once('>').expect(html);
            let name = tag.trim_start_matches('/');
            let known = [
                "h3",
                "p",
                "table",
                "thead",
                "tbody",
                "tr",
                "th",
                "td",
                "br /",
                "strong",
                "em",
                "pre",
                "code",
                "hr /",
                "blockquote",
                "ul",
                "li",
                "code class=\"language-text\"",
            ];
            assert!(known.contains(&name), "<{tag}> in {html}");
        }
        assert!(!html.contains(['\u{1b}', '\u{9b}', '\u{0}']), "{html}");
    }

    #[test]
    fn hostile_addresses_are_text() {
        let change = |address: &&str| Change {
            address: (*address).to_owned(),
            action: Action::Update,
            reason: Some((*address).to_owned()),
        };
        let changes: Vec<Change> = HOSTILE.iter().map(change).collect();
        let row = |address: &&str| ReviewedChange {
            address: (*address).to_owned(),
            action: Action::Update,
            reason: Some((*address).to_owned()),
            attributes: vec![(*address).to_owned()],
            forces: vec![(*address).to_owned()],
            holds: Some((*address).to_owned()),
        };
        let plan = StackPlan {
            stack: "hello".parse().unwrap(),
            summary: String::new(),
            drift: changes.clone(),
            changes,
            outputs_change: false,
            rows: HOSTILE.iter().map(row).collect(),
            drift_rows: HOSTILE.iter().map(row).collect(),
            destroys: Vec::new(),
            losses: Vec::new(),
            refused: None,
        };
        let markdown = markdown::plans(&"prod".parse().unwrap(), &[plan], &BTreeMap::new());
        let html = rendered(&markdown);
        assert_harmless(&html);
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
        assert_eq!(html.matches("<tr>").count(), 3 * (HOSTILE.len() + 1), "a row for each change: {html}");
    }

    #[test]
    fn values_that_nobody_escaped_are_text_too() {
        for text in HOSTILE {
            assert_harmless(&rendered(text));
            assert_harmless(&rendered(&format!("### Slipway: {text}\n\n| a |\n| --- |\n| {text} |\n")));
            let report = crate::failure::Failure::failed(*text).body(*text).hint(*text).detail("x", *text);
            assert_harmless(&rendered(&markdown::failure("deploy", &report.report())));
        }
    }

    #[test]
    fn summaries_are_sections_of_one_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("summary.html");
        append(&path, "plan", "### one\n").unwrap();
        append(&path, "deploy", "| a |\n| --- |\n| b |\n").unwrap();
        let page = std::fs::read_to_string(path).unwrap();
        assert_eq!(page.matches("<!doctype html>").count(), 1);
        let (head, body) = page.split_once("<body>\n").unwrap();
        assert!(head.contains("default-src 'none'") && !head.contains("script>"), "{head}");
        insta::assert_snapshot!(body, @r#"
        <section id="plan">
        <h3>one</h3>
        </section>
        <section id="deploy">
        <table><thead><tr><th>a</th></tr></thead><tbody>
        <tr><td>b</td></tr>
        </tbody></table>
        </section>
        "#);
    }
}
