//! Serves the calls that cargo and cc make to this program as linker, C compiler and archiver.
//!
//! cargo-zigbuild writes wrappers that run `<this program> zig cc -- <flags>`, and links named `ar` and `lib`
//! to this program.
//!
//! What comes in: the process's arguments, its own name first. What goes out: the exit code of `zig <tool>`.
//! What can go wrong: an argument is not UTF-8, the tool is unknown, or zig can't be started; stderr says so.
//! Where zig itself fails, cargo-zigbuild leaves the process with zig's exit code.

use cargo_lambda_build::Zig;
use std::{ffi::OsString, path::Path, process::ExitCode};

/// A call that is not for this program's own command line: zig's tool, and its arguments.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Errand {
    tool: String,
    arguments: Vec<OsString>,
}

/// Recognises an errand by the program's name (`ar`, `lib`) or its first argument (`zig`).
pub(crate) fn errand(arguments: &[OsString]) -> Option<Errand> {
    let (program, rest) = arguments.split_first()?;
    let name = Path::new(program).file_stem()?.to_str()?.to_ascii_lowercase();
    if name == "ar" || name == "lib" {
        return Some(Errand { tool: name, arguments: rest.to_vec() });
    }
    let [word, tool, rest @ ..] = rest else {
        return None;
    };
    // The wrapper's `--` ends cargo-zigbuild's own options; zig must not see it.
    let rest = rest.strip_prefix(&[OsString::from("--")]).unwrap_or(rest);
    (word == "zig").then(|| Errand { tool: tool.to_string_lossy().into_owned(), arguments: rest.to_vec() })
}

/// Runs the errand to its end.
pub(crate) fn serve(errand: Errand) -> ExitCode {
    match zig(errand).and_then(|zig| zig.execute().map_err(|error| format!("{error:#}"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            crate::complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn zig(errand: Errand) -> Result<Zig, String> {
    let args = errand
        .arguments
        .into_iter()
        .map(|argument| {
            argument
                .into_string()
                .map_err(|argument| format!("`zig {}`: {argument:?} is not UTF-8", errand.tool))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(match errand.tool.as_str() {
        "cc" => Zig::Cc { args },
        "c++" => Zig::Cxx { args },
        "ar" => Zig::Ar { args },
        "ranlib" => Zig::Ranlib { args },
        "lib" => Zig::Lib { args },
        "dlltool" => Zig::Dlltool { args },
        other => {
            return Err(format!("`zig {other}` is none of cc, c++, ar, ranlib, lib, dlltool"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand_of(words: &[&str]) -> Option<(String, Vec<String>)> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        errand(&words).map(|errand| {
            (errand.tool, errand.arguments.into_iter().map(|word| word.into_string().unwrap()).collect())
        })
    }

    #[test]
    fn a_wrapper_call_loses_its_separator_and_nothing_else() {
        let (tool, arguments) =
            errand_of(&["/opt/slipway-rust-builder", "zig", "cc", "--", "-g", "--", "a.o"]).unwrap();
        assert_eq!(tool, "cc");
        assert_eq!(arguments, ["-g", "--", "a.o"]);
    }

    #[test]
    fn the_name_of_a_link_selects_the_archiver() {
        let (tool, arguments) = errand_of(&["/cache/wrappers/1f/ar", "cq", "lib.a", "a.o"]).unwrap();
        assert_eq!(tool, "ar");
        assert_eq!(arguments, ["cq", "lib.a", "a.o"]);
    }

    #[test]
    fn the_own_command_line_is_no_errand() {
        assert_eq!(errand_of(&["slipway-rust-builder", "build", "request.json", "reply.json"]), None);
        assert_eq!(errand_of(&["slipway-rust-builder", "zig"]), None);
        assert_eq!(errand_of(&["slipway-rust-builder"]), None);
    }

    #[test]
    fn an_unknown_tool_is_named() {
        let message = zig(Errand { tool: "objcopy".into(), arguments: Vec::new() }).unwrap_err();
        assert!(message.contains("zig objcopy"), "{message}");
    }
}
