//! The layers of the crate: each module with what it does and which modules it may use.
//!
//! The list runs from the ground up, and a module may only use modules that stand before it, so that the graph cannot
//! have a circle. The tests read the real edges from the sources. docs/architecture.md holds the same list, written from
//! here by `cargo test -p xtask --features update-docs --lib layers`. Tests, and modules for tests alone, do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

mod reader;

use reader::{Source, sources, uses};

/// One module of the crate.
struct Layer {
    name: &'static str,
    /// What it does, as docs/architecture.md prints it.
    does: &'static str,
    /// The modules that it uses, each of which stands before it.
    uses: &'static [&'static str],
}

const fn layer(name: &'static str, does: &'static str, uses: &'static [&'static str]) -> Layer {
    Layer { name, does, uses }
}

/// All modules, from the ground up.
const LAYERS: &[Layer] = &[
    // Crates below this one: slipway-values, slipway-runner.
    layer("format", "durations, sizes, ages, counts and lists as people read them", &[]),
    layer("digest", "SHA-256 digests", &[]),
    layer("partition", "AWS partitions: names in ARNs, DNS suffixes, hosts of ECR registries", &[]),
    layer("architecture", "the processor architectures of Lambda, with their names elsewhere", &[]),
    layer("runtime", "the runtimes of Lambda: identifier, family, operating system", &[]),
    layer("name", "names of functions, stacks and environments; versions", &[]),
    layer(
        "failure",
        "kind, message, details, what is unchanged, hint, cause; the one table of exit codes",
        &[],
    ),
    layer("schema", "the schema that a stored document names", &[]),
    layer("progress", "progress events; stages emit them, `output` renders them", &[]),
    layer("process", "processes of this machine", &[]),
    layer("interrupt", "counts signals, stops parts of a run", &[]),
    layer("exec", "runs programs; the only place that starts one", &[]),
    layer("command_lines", "runs command lines from settings files until one fails", &[]),
    layer("credentials", "variables that hold credentials, by their names", &[]),
    layer("graph", "runs an acyclic graph of tasks with a limit", &[]),
    // What the stages are given.
    layer("pins", "the pinned versions of the programs that Slipway installs", &[]),
    layer(
        "settings",
        "flags, environment variables and files, read once into plain structs",
        &["architecture", "credentials", "failure", "format", "name", "runtime"],
    ),
    layer(
        "ports",
        "traits for what lies outside: stores, registries, Lambda, signing keys, approval, time",
        &["digest", "failure"],
    ),
    layer(
        "ownership",
        "whose a ledger and releases are: markers of projects, and traces of them from before there were markers",
        &["failure", "name", "schema"],
    ),
    layer(
        "identity",
        "who runs a build: the token of a CI system, verified with its issuer's keys",
        &["failure", "format", "ports", "settings"],
    ),
    // The stages, in the order of a release.
    layer(
        "source",
        "a function's folder at a commit (git through libgit2), the digest of its inputs, the guard against uncommitted changes",
        &["digest", "exec", "failure", "name", "pins", "runtime", "settings"],
    ),
    layer(
        "release",
        "next version, manifest, catalogue, publishing; SBOM, provenance, keys, and their verification",
        &[
            "architecture",
            "digest",
            "failure",
            "format",
            "identity",
            "name",
            "ownership",
            "ports",
            "progress",
            "runtime",
            "schema",
            "settings",
            "source",
        ],
    ),
    layer(
        "plan",
        "a stack's files as git lists them, their archive and working copy; var-files and backend; Terraform's plan and state as values; guards",
        &[
            "architecture",
            "digest",
            "exec",
            "failure",
            "format",
            "interrupt",
            "name",
            "partition",
            "ports",
            "process",
            "progress",
            "release",
            "runtime",
            "settings",
            "source",
        ],
    ),
    layer(
        "work_files",
        "Terraform's local files: finds states that could not be saved, removes the rest",
        &["failure", "interrupt", "name", "plan", "progress"],
    ),
    layer(
        "ledger",
        "who runs what since when; the deploy lock and its lease",
        &["digest", "failure", "format", "name", "ownership", "plan", "ports", "process", "schema"],
    ),
    layer(
        "saved_plans",
        "plans that were shown, kept in the environment's store until they are applied or expire",
        &["digest", "failure", "format", "ledger", "name", "plan", "ports", "schema"],
    ),
    layer(
        "policy",
        "the project's commands that judge a plan before anybody is asked",
        &["command_lines", "failure", "interrupt", "name", "progress", "settings"],
    ),
    layer(
        "verification",
        "checks a published Lambda version: code, configuration, smoke events",
        &[
            "digest",
            "failure",
            "format",
            "interrupt",
            "name",
            "plan",
            "ports",
            "release",
            "runtime",
            "settings",
        ],
    ),
    layer(
        "gates",
        "runs the project's own commands that decide whether new versions serve",
        &[
            "command_lines",
            "exec",
            "failure",
            "interrupt",
            "name",
            "plan",
            "ports",
            "settings",
            "verification",
        ],
    ),
    layer(
        "rollout",
        "moves the alias, given evidence that the version may serve",
        &["failure", "ledger", "ports", "verification"],
    ),
    layer(
        "tools",
        "the programs that are run: the Rust builder, cargo, git, uv, Terraform; their installation",
        &[
            "architecture",
            "digest",
            "exec",
            "failure",
            "format",
            "interrupt",
            "pins",
            "plan",
            "progress",
            "runtime",
        ],
    ),
    layer(
        "artifact",
        "collects a function's files, checks them, packs them as zip or image; compares two builds",
        &[
            "architecture",
            "digest",
            "exec",
            "failure",
            "format",
            "interrupt",
            "name",
            "ports",
            "progress",
            "runtime",
            "settings",
            "source",
            "tools",
        ],
    ),
    layer(
        "delivery",
        "plan, approval, apply, verification, rollout, ledger; rollback, recovery, destroy; several stacks",
        &[
            "digest",
            "failure",
            "format",
            "gates",
            "graph",
            "interrupt",
            "ledger",
            "name",
            "partition",
            "plan",
            "policy",
            "ports",
            "process",
            "progress",
            "release",
            "rollout",
            "saved_plans",
            "settings",
            "source",
            "verification",
        ],
    ),
    // Beside the stages.
    layer(
        "prune",
        "finds and removes old Lambda versions, zips, images and saved plans that no environment needs",
        &["digest", "failure", "ledger", "name", "ports", "progress", "release", "saved_plans", "settings"],
    ),
    layer(
        "status",
        "what runs in an environment, compared with its ledgers",
        &["failure", "ledger", "name", "ownership", "plan", "ports"],
    ),
    layer(
        "audit",
        "what is proven or refuted of every function that serves; a folder of evidence",
        &["digest", "failure", "format", "ledger", "name", "ports", "release"],
    ),
    layer(
        "suite",
        "runs a function's own test suite against a deployment",
        &[
            "command_lines",
            "failure",
            "format",
            "interrupt",
            "name",
            "plan",
            "ports",
            "progress",
            "settings",
            "verification",
        ],
    ),
    layer(
        "test_groups",
        "runs the repository's own tests in groups, counts skipped tests",
        &["command_lines", "exec", "failure", "format", "interrupt", "settings", "tools"],
    ),
    layer(
        "checks",
        "runs the checks of `pipelines/project.toml`",
        &[
            "command_lines",
            "digest",
            "exec",
            "failure",
            "format",
            "graph",
            "interrupt",
            "name",
            "progress",
            "settings",
            "source",
            "tools",
        ],
    ),
    layer(
        "publication",
        "versions, checks, builds, SBOM, provenance, publishing; compares and rebuilds releases",
        &[
            "architecture",
            "artifact",
            "checks",
            "digest",
            "failure",
            "format",
            "graph",
            "identity",
            "interrupt",
            "name",
            "ports",
            "progress",
            "release",
            "settings",
            "source",
            "tools",
        ],
    ),
    layer(
        "emulator",
        "starts and finds the local environment; its Python interpreters",
        &["failure", "format", "interrupt", "name", "progress", "release", "runtime", "settings", "tools"],
    ),
    layer(
        "bootstrap",
        "prepares an account: what it needs, adoption of existing resources, settings and the trusted key for the project's files",
        &[
            "failure",
            "format",
            "name",
            "partition",
            "plan",
            "ports",
            "progress",
            "release",
            "settings",
            "source",
        ],
    ),
    layer(
        "requirements",
        "the programs, tools and credentials that a project needs on this machine; whether an account has room",
        &[
            "emulator",
            "exec",
            "failure",
            "format",
            "interrupt",
            "name",
            "plan",
            "ports",
            "runtime",
            "settings",
            "source",
            "tools",
        ],
    ),
    layer(
        "github",
        "variables of a GitHub repository's environment, and the rules that decide who gets into it",
        &["failure", "name", "plan", "ports", "settings"],
    ),
    // What people meet.
    layer(
        "output",
        "console, tables, markdown, JSON documents, the run's record",
        &["delivery", "failure", "format", "name", "plan", "progress", "publication", "release", "source"],
    ),
    layer(
        "app",
        "the composition root: the only place that chooses implementations of ports",
        &[
            "artifact",
            "bootstrap",
            "delivery",
            "digest",
            "emulator",
            "exec",
            "failure",
            "format",
            "gates",
            "identity",
            "interrupt",
            "ledger",
            "name",
            "output",
            "ownership",
            "partition",
            "plan",
            "policy",
            "ports",
            "progress",
            "publication",
            "release",
            "saved_plans",
            "settings",
            "source",
            "tools",
        ],
    ),
    layer(
        "commands",
        "one file a command: arguments, a call, what is printed",
        &[
            "app",
            "artifact",
            "audit",
            "bootstrap",
            "checks",
            "delivery",
            "digest",
            "emulator",
            "failure",
            "format",
            "github",
            "ledger",
            "name",
            "output",
            "plan",
            "ports",
            "progress",
            "prune",
            "publication",
            "release",
            "requirements",
            "saved_plans",
            "settings",
            "source",
            "status",
            "suite",
            "test_groups",
            "tools",
            "verification",
            "work_files",
        ],
    ),
    layer(
        "cli",
        "from arguments to an exit code",
        &["app", "commands", "emulator", "failure", "output", "settings"],
    ),
];

/// The modules that may name a leaf crate; all others go through the ports.
const LEAVES: &[(&str, &[&str])] = &[
    ("slipway_archive", &["artifact", "plan", "release", "source"]),
    ("slipway_cloud", &["ports", "app"]),
    ("slipway_local", &["commands", "emulator", "app"]),
    ("aws_", &[]),
];

/// Modules that exist for tests alone.
const TESTS: &[&str] = &["documents", "fakes", "fuzzing", "language", "layers", "links"];

/// Returns the edges of each module that are in the sources.
fn real_edges() -> BTreeMap<String, BTreeMap<String, PathBuf>> {
    let mut edges: BTreeMap<String, BTreeMap<String, PathBuf>> = BTreeMap::new();
    for Source { module, path, text } in sources() {
        for name in uses(&text) {
            if name != module && !TESTS.contains(&name.as_str()) {
                edges.entry(module.clone()).or_default().entry(name).or_insert_with(|| path.clone());
            }
        }
    }
    edges
}

/// Returns each use of a module that does not stand before its user, or that stands in the list twice.
fn uses_of_higher_layers(layers: &[Layer]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut below = BTreeSet::new();
    for Layer { name, uses, .. } in layers {
        let higher = uses.iter().filter(|used| !below.contains(*used));
        wrong.extend(higher.map(|used| format!("`{name}` uses `{used}`, which does not stand before it")));
        if !below.insert(*name) {
            wrong.push(format!("`{name}` stands in the list twice"));
        }
    }
    wrong
}

#[test]
fn layers_use_only_layers_below_them() {
    assert_eq!(uses_of_higher_layers(LAYERS), Vec::<String>::new());
}

#[test]
fn layers_with_a_circle_are_found() {
    let circle = [layer("a", "", &["b"]), layer("b", "", &["a"])];
    assert_eq!(uses_of_higher_layers(&circle), ["`a` uses `b`, which does not stand before it"]);
}

#[test]
fn edges_in_the_sources_are_those_of_the_list() {
    let real = real_edges();
    let mut wrong = Vec::new();
    for (module, used) in &real {
        let declared = LAYERS.iter().find(|layer| layer.name == module).map_or(&[][..], |layer| layer.uses);
        for (name, path) in used {
            if !declared.contains(&name.as_str()) {
                wrong.push(format!("{}: `{module}` may not use `{name}`", path.display()));
            }
        }
    }
    for layer in LAYERS {
        let used = real.get(layer.name);
        let unused = layer.uses.iter().filter(|name| used.is_none_or(|used| !used.contains_key(**name)));
        wrong.extend(unused.map(|name| format!("`{}` no longer uses `{name}`: remove it", layer.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn architecture_page_holds_the_list() {
    let mut table = String::from("| Module | What it does | Uses |\n|---|---|---|\n");
    for Layer { name, does, uses } in LAYERS {
        let uses: Vec<String> = uses.iter().map(|name| format!("`{name}`")).collect();
        let uses = if uses.is_empty() { "–".to_owned() } else { uses.join(", ") };
        table.push_str(&format!("| `{name}` | {does} | {uses} |\n"));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/architecture.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- layers: begin, written by xtask/src/layers.rs -->\n", "<!-- layers: end -->");
    let (before, rest) = page.split_once(begin).expect("the mark where the list begins");
    let (kept, after) = rest.split_once(end).expect("the mark where the list ends");
    if cfg!(feature = "update-docs") {
        std::fs::write(&path, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(kept, table, "run cargo test -p xtask --features update-docs --lib layers");
    }
}

#[test]
fn leaf_crates_are_named_by_few_modules() {
    for Source { module, path, text } in sources() {
        for (leaf, doors) in LEAVES {
            let named = text.match_indices(leaf).any(|(at, _)| {
                let before = text[..at].chars().next_back();
                text[at..].split_once("::").is_some_and(|(name, _)| {
                    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
                }) && before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != '"')
            });
            assert!(
                !named || doors.contains(&module.as_str()),
                "{}: `{module}` may not name {leaf}",
                path.display()
            );
        }
    }
}

#[test]
fn commands_do_not_call_each_other_and_stages_do_not_print() {
    let all = sources();
    let verbs: Vec<String> = all
        .iter()
        .filter(|source| source.path.parent() == Some(Path::new("commands")))
        .map(|source| source.path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    assert!(verbs.len() > 10, "{verbs:?}");
    for Source { module, path, text } in &all {
        if module == "commands" {
            for verb in &verbs {
                for way in
                    [format!("super::{verb}::"), format!("commands::{verb}::"), format!("super::{{{verb}::")]
                {
                    assert!(!text.contains(&way), "{}: one command calls another: {way}", path.display());
                }
            }
        }
        if !["cli", "commands", "output", "app"].contains(&module.as_str()) {
            assert!(!uses(text).contains("output"), "{}: `{module}` writes for people", path.display());
        }
    }
}
