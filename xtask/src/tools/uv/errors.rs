//! What uv's output says of a failure: which package, and what to do.

use super::WheelPlatform;
use crate::exec::{self, Program, ProgramResult};
use crate::failure::Failure;

/// Where packages come from, for a package that is in no index.
const INDEXES: &str = "packages come from PyPI, or from the index that UV_DEFAULT_INDEX, UV_INDEX or uv.toml names, and from those that requirements.in or [[tool.uv.index]] of pyproject.toml names; variables must be set for the build as for the lock";

/// What uv prints if it cannot reach an index; its cache may still have all packages.
const UNREACHABLE: [&str; 4] = ["Failed to fetch", "error sending request", "Could not connect", "dns error"];

/// Returns whether uv could reach no index.
pub(super) fn is_unreachable(result: &ProgramResult) -> bool {
    result.tail.iter().any(|line| UNREACHABLE.iter().any(|words| line.contains(words)))
}

/// Returns the failure of a run of uv; it names the package if uv does.
pub(super) fn explain(program: &Program, result: &ProgramResult, platform: &WheelPlatform) -> Failure {
    let output = result.tail.join(" ");
    let failure = exec::exit_failure(program, result);
    if result.timed_out || result.code.is_none() {
        return failure;
    }
    let body = result.tail.join("\n");
    let place = match platform.architecture {
        None => format!("Python {}", platform.python),
        Some(architecture) => {
            format!("Python {} on {architecture} ({})", platform.python, platform.uv_platform)
        }
    };
    if let Some(package) = without_wheel(&output) {
        return Failure::usage(format!("{package} has no wheel for {place}"))
            .body(body)
            .unchanged("Nothing was built.")
            .hint("choose a version that has one, or build the function with with = \"command\": nothing is compiled from a source distribution");
    }
    if let Some(package) = between(&output, "Hash mismatch for `", "`") {
        return Failure::refused(format!("the hash of {package} in the index differs from the lock"))
            .body(body)
            .unchanged("Nothing was built.")
            .hint("if you trust the lock, do not trust the index; otherwise write a new lock with cargo xtask lock");
    }
    if output.contains("not found in the package registry") || output.contains("no version of") {
        return failure.hint(INDEXES);
    }
    failure
}

/// Returns `name version` from uv's "Because name==version has no (usable) wheels".
fn without_wheel(output: &str) -> Option<String> {
    let at = ["has no wheels with", "has no usable wheels", "has no wheels"]
        .iter()
        .filter_map(|words| output.find(words))
        .min()?;
    let package = output[..at].split_whitespace().next_back()?;
    Some(package.trim_matches(['`', ',']).replacen("==", " ", 1))
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let rest = &text[text.find(before)? + before.len()..];
    Some(&rest[..rest.find(after)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_without_a_wheel_is_named() {
        for (output, package) in [
            (
                "  cause: Because pywin32==312 has no wheels with a matching platform tag (e.g., `x`) and you",
                "pywin32 312",
            ),
            (
                "  cause: Because docopt==0.6.2 has no usable wheels and you require docopt==0.6.2",
                "docopt 0.6.2",
            ),
        ] {
            assert_eq!(without_wheel(output).as_deref(), Some(package));
        }
        assert_eq!(without_wheel("something else"), None);
    }
}
