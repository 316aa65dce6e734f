//! The results of checks as JUnit XML, which CI systems show: <https://github.com/testmoapp/junitxml>.
//!
//! In: the reports. Out: one suite with a test case for each check. What programs printed is cleaned: XML 1.0 allows no control
//! character but tab and line ends, not even as a reference (<https://www.w3.org/TR/xml/#charsets>).

use super::CheckReport;

/// Renders the reports of a project's checks.
pub(crate) fn junit(project: &str, reports: &[CheckReport]) -> String {
    let failed = reports.iter().filter(|report| report.failed()).count();
    let left_out = reports.iter().filter(|report| report.left_out.is_some()).count();
    let took: u64 = reports.iter().map(|report| report.took_ms).sum();
    let counts = format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"{left_out}\" time=\"{}\"",
        reports.len(),
        seconds(took)
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite name=\"{} checks\" {counts}>\n",
        escaped(project)
    );
    reports.iter().for_each(|report| xml.push_str(&case(project, report)));
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn case(project: &str, report: &CheckReport) -> String {
    let begin = format!(
        "    <testcase classname=\"{}.checks\" name=\"{}\" time=\"{}\"",
        escaped(project),
        escaped(&report.name),
        seconds(report.took_ms)
    );
    let inner = match &report.left_out {
        Some(why) => format!("      <skipped message=\"{}\"/>\n", escaped(why)),
        None if report.failed() => {
            let why = report.why.as_deref().unwrap_or("failed");
            let lines =
                report.tail.iter().cloned().chain(report.hint.iter().map(|hint| format!("-> {hint}")));
            let lines: Vec<String> = lines.collect();
            format!("      <failure message=\"{}\">{}</failure>\n", escaped(why), escaped(&lines.join("\n")))
        }
        None => return format!("{begin}/>\n"),
    };
    format!("{begin}>\n{inner}    </testcase>\n")
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// Escapes a text for an attribute or an element; a character that XML 1.0 does not allow becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\r' => {}
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str) -> CheckReport {
        CheckReport {
            name: name.to_owned(),
            passed: true,
            remembered: false,
            left_out: None,
            run: vec!["true".into()],
            skipped_tests: 0,
            took_ms: 1_234,
            log: None,
            why: None,
            hint: None,
            tail: Vec::new(),
        }
    }

    #[test]
    fn each_check_is_a_test_case() {
        let failed = CheckReport {
            passed: false,
            why: Some("`lint` exited with 1".into()),
            hint: Some("lint --fix".into()),
            tail: vec!["a < b && \"c\"".into(), "\u{1b}[31mred\u{0}\u{9b}\u{ffff}]]>".into()],
            ..report("lint")
        };
        let left_out = CheckReport {
            passed: false,
            left_out: Some("`tflint` is not on the PATH".into()),
            took_ms: 0,
            ..report("tflint")
        };
        insta::assert_snapshot!(junit("shop", &[report("format"), failed, left_out]), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" skipped="1" time="2.468">
          <testsuite name="shop checks" tests="3" failures="1" errors="0" skipped="1" time="2.468">
            <testcase classname="shop.checks" name="format" time="1.234"/>
            <testcase classname="shop.checks" name="lint" time="1.234">
              <failure message="`lint` exited with 1">a &lt; b &amp;&amp; &quot;c&quot;&#10;�[31mred���]]&gt;&#10;-&gt; lint --fix</failure>
            </testcase>
            <testcase classname="shop.checks" name="tflint" time="0.000">
              <skipped message="`tflint` is not on the PATH"/>
            </testcase>
          </testsuite>
        </testsuites>
        "#);
    }

    #[test]
    fn every_character_gives_well_formed_xml() {
        let all: String = (0..=0x11_0000_u32).filter_map(char::from_u32).collect();
        let out = escaped(&all);
        // https://www.w3.org/TR/xml/#NT-Char, and no markup but our own references.
        let allowed = |c: char| matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
        assert!(out.chars().all(|c| allowed(c) && !matches!(c, '<' | '>' | '"' | '\u{7f}'..='\u{9f}')));
        let without = ["&amp;", "&lt;", "&gt;", "&quot;", "&#10;", "&#9;"];
        let rest = without.iter().fold(out, |text, reference| text.replace(reference, ""));
        assert!(!rest.contains('&'));
    }
}
