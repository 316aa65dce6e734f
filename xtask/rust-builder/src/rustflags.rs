//! The flags that rustc gets: the project's own, the target CPU, and the path remapping.
//!
//! Cargo takes `rustflags` from ONE source: the environment, else `target.<triple>` and `target.'cfg(…)'`
//! joined, else `build`. cargo-lambda adds its CPU to `build`, where a project's `target` table makes it vanish
//! without a word; a remapping put there would vanish too. So everything goes to `target.<triple>`, and a
//! project's `build` flags, which that hides, are repeated there.
//! <https://doc.rust-lang.org/cargo/reference/config.html#buildrustflags>
//!
//! What comes in: the project's flags, the architecture, the remap entries. What goes out: a value for cargo's
//! `--config`, and the whole list for the reply. What can go wrong: nothing here.

use crate::{request::Remap, target::Architecture};

/// The project's own flags from its configuration files and `CARGO_*` variables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ProjectFlags {
    /// What cargo would use for the target: the `target` tables joined, or the `build` flags.
    pub(crate) resolved: Vec<String>,
    /// The `build` flags.
    pub(crate) build: Vec<String>,
}

/// What is added to the project's flags, and what comes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rustflags {
    /// Goes to cargo's `--config`.
    pub(crate) config: String,
    /// What rustc gets in the end, in order.
    pub(crate) effective: Vec<String>,
}

/// Decides the flags. A CPU that the project names is kept; else it is cargo-lambda's.
pub(crate) fn decide(project: &ProjectFlags, architecture: Architecture, remap: &[Remap]) -> Rustflags {
    let mut added = Vec::new();
    if project.resolved == project.build {
        added.extend_from_slice(&project.build);
    }
    if !names_cpu(&project.resolved) {
        added.push("-C".to_owned());
        added.push(format!("target-cpu={}", architecture.cpu()));
    }
    added.extend(remap_flags(remap));
    let effective = if project.resolved == project.build {
        added.clone()
    } else {
        project.resolved.iter().chain(&added).cloned().collect()
    };
    Rustflags { config: config_value(architecture, &added), effective }
}

/// Writes the entries as flags. rustc lets the last match win, so a longer prefix comes after a shorter one.
fn remap_flags(remap: &[Remap]) -> Vec<String> {
    let mut entries: Vec<&Remap> = remap.iter().collect();
    entries.sort_by(|a, b| (a.from.len(), &a.from).cmp(&(b.from.len(), &b.from)));
    entries.into_iter().map(|Remap { from, to }| format!("--remap-path-prefix={from}={to}")).collect()
}

fn names_cpu(flags: &[String]) -> bool {
    flags.iter().any(|flag| {
        let option = flag.strip_prefix("-C").or_else(|| flag.strip_prefix("--codegen=")).unwrap_or(flag);
        option.starts_with("target-cpu=") || option.starts_with("target_cpu=")
    })
}

/// Writes a TOML assignment. A JSON string without control characters is a TOML string too.
fn config_value(architecture: Architecture, flags: &[String]) -> String {
    let list: Vec<String> =
        flags.iter().map(|flag| serde_json::Value::from(flag.as_str()).to_string()).collect();
    format!("target.{}.rustflags=[{}]", architecture.triple(), list.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn remap(entries: &[(&str, &str)]) -> Vec<Remap> {
        entries.iter().map(|(from, to)| Remap { from: (*from).into(), to: (*to).into() }).collect()
    }

    #[test]
    fn a_silent_project_gets_the_cpu_and_the_remapping() {
        let flags = decide(&ProjectFlags::default(), Architecture::X86_64, &remap(&[("/w", "/src")]));
        assert_eq!(flags.effective, ["-C", "target-cpu=haswell", "--remap-path-prefix=/w=/src"]);
        assert_eq!(
            flags.config,
            r#"target.x86_64-unknown-linux-gnu.rustflags=["-C","target-cpu=haswell","--remap-path-prefix=/w=/src"]"#
        );
    }

    #[test]
    fn the_longer_prefix_comes_last_whatever_the_order_of_the_request() {
        let expected = ["--remap-path-prefix=/w=/src", "--remap-path-prefix=/w/target=/target"];
        for entries in
            [[("/w", "/src"), ("/w/target", "/target")], [("/w/target", "/target"), ("/w", "/src")]]
        {
            assert_eq!(remap_flags(&remap(&entries)), expected);
        }
    }

    #[test]
    fn build_flags_are_repeated_because_the_target_table_hides_them() {
        let own = words(&["--cfg", "tokio_unstable"]);
        let project = ProjectFlags { resolved: own.clone(), build: own };
        let flags = decide(&project, Architecture::Arm64, &[]);
        assert_eq!(flags.effective, ["--cfg", "tokio_unstable", "-C", "target-cpu=neoverse-n1"]);
        assert!(flags.config.contains(r#"["--cfg","tokio_unstable","#), "{}", flags.config);
    }

    #[test]
    fn target_flags_are_cargos_to_join_and_are_not_given_twice() {
        let project =
            ProjectFlags { resolved: words(&["-Clink-arg=-s"]), build: words(&["--cfg", "hidden"]) };
        let flags = decide(&project, Architecture::X86_64, &[]);
        assert_eq!(flags.effective, ["-Clink-arg=-s", "-C", "target-cpu=haswell"]);
        assert_eq!(flags.config, r#"target.x86_64-unknown-linux-gnu.rustflags=["-C","target-cpu=haswell"]"#);
    }

    #[test]
    fn a_cpu_that_the_project_names_is_kept() {
        for own in [
            words(&["-C", "target-cpu=x86-64-v2"]),
            words(&["-Ctarget-cpu=x86-64-v2"]),
            words(&["--codegen=target_cpu=x86-64-v2"]),
        ] {
            let project = ProjectFlags { resolved: own.clone(), build: own.clone() };
            assert_eq!(decide(&project, Architecture::X86_64, &[]).effective, own);
        }
    }

    #[test]
    fn quotes_and_backslashes_survive_toml() {
        let flags =
            decide(&ProjectFlags::default(), Architecture::X86_64, &remap(&[(r#"/a "b"\c"#, "/src")]));
        assert!(flags.config.contains(r#""--remap-path-prefix=/a \"b\"\\c=/src""#), "{}", flags.config);
    }
}
