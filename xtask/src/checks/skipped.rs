//! How many tests a check skipped, read from what its test programs printed.
//!
//! In: the lines of the output. Out: a number; 0 where no known summary names one. Understood are the summaries of unittest
//! (`OK (skipped=2)`), pytest (`3 passed, 2 skipped in 0.1s`), cargo (`5 passed; 0 failed; 2 ignored;`), nextest, Terraform
//! (`3 passed, 0 failed, 2 skipped.`), Jest and Vitest (`Tests: 2 skipped, 3 passed`, `3 passed | 2 skipped (5)`) and Node
//! (`# skipped 2`). A program that prints several summaries is added up.

/// Adds up what the summaries in an output say.
pub(super) fn skipped_tests(output: &str) -> u64 {
    let output = anstream::adapter::strip_str(output).to_string();
    output.lines().map(|line| in_line(line.trim())).sum()
}

fn in_line(line: &str) -> u64 {
    // unittest: "OK (skipped=2, expected failures=1)".
    if line.starts_with("OK (") || line.starts_with("FAILED (") {
        let number = line.split(['(', ',', ')']).find_map(|part| part.trim().strip_prefix("skipped="));
        return number.and_then(|number| number.parse().ok()).unwrap_or(0);
    }
    // Node: "# skipped 2", or with its other reporter "ℹ skipped 2".
    if let Some(number) = line.strip_prefix("# skipped ").or_else(|| line.strip_prefix("ℹ skipped ")) {
        return number.trim().parse().unwrap_or(0);
    }
    let words: Vec<&str> =
        line.split([' ', ',', ';', '|', '.', '=']).filter(|word| !word.is_empty()).collect();
    // Jest and Vitest count files, too: "Test Suites: 1 skipped", "Test Files  1 skipped".
    let is_summary = matches!(words[..], ["Tests" | "Tests:", ..])
        || (words.contains(&"passed") && !matches!(words[..], ["Test", ..]));
    let counts = words.windows(2).filter(|pair| matches!(pair[1], "skipped" | "ignored"));
    if is_summary { counts.filter_map(|pair| pair[0].parse::<u64>().ok()).sum() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_of_each_program_is_understood() {
        for (output, skipped) in [
            ("Ran 4 tests in 0.003s\n\nOK (skipped=2)\n", 2),
            ("FAILED (failures=1, skipped=12)", 12),
            ("Ran 4 tests in 0.003s\n\nOK\n", 0),
            ("======== 3 passed, 2 skipped, 1 warning in 0.10s ========", 2),
            ("\u{1b}[32m3 passed\u{1b}[0m, \u{1b}[33m1 skipped\u{1b}[0m in 0.01s", 1),
            ("2 skipped in 0.01s", 0),
            (
                "test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured; 1 filtered out; finished in 0.00s",
                2,
            ),
            ("     Summary [   0.002s] 4 tests run: 3 passed, 7 skipped", 7),
            ("Success! 3 passed, 0 failed, 2 skipped.", 2),
            ("Test Suites: 1 skipped, 1 passed, 2 total\nTests:       2 skipped, 3 passed, 5 total", 2),
            (" Test Files  1 passed | 1 skipped (2)\n      Tests  3 passed | 2 skipped (5)", 2),
            ("Tests:       2 skipped, 2 total", 2),
            ("# tests 3\n# pass 2\n# skipped 1", 1),
            ("I skipped 3 meals and 2 skipped me", 0),
            ("", 0),
        ] {
            assert_eq!(skipped_tests(output), skipped, "{output}");
        }
        let twice = "test result: ok. 1 passed; 0 failed; 2 ignored\ntest result: ok. 1 passed; 0 failed; 3 ignored\n";
        assert_eq!(skipped_tests(twice), 5);
    }
}
