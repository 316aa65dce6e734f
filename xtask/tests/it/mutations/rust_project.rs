//! The Rust function of the generated repository: a path dependency, a patched and a vendored package, a package in a submodule,
//! a build script, files and variables that are compiled in.

use super::change::Change;
use crate::support::sandbox::Sandbox;

const MAIN: &str = r#"mod word;

const TEXTS: [&str; 8] = [
    word::WORD,
    shared::WORD,
    shared::THING,
    shared::PATCHED,
    submodule::WORD,
    include_str!("../text.txt"),
    include_str!("../../../data/shared.json"),
    env!("FROM_BUILD_SCRIPT"),
];
const VARIABLES: [Option<&str>; 2] = [option_env!("MAKER_FLAVOUR"), option_env!("UNDECLARED")];

fn main() {
    println!("{TEXTS:?} {VARIABLES:?}");
}
"#;

const SCRIPT: &str = r#"fn main() {
    println!("cargo:rerun-if-changed=settings.txt");
    let text = std::fs::read_to_string("settings.txt").unwrap_or_default();
    println!("cargo:rustc-env=FROM_BUILD_SCRIPT={}", text.replace('\n', " "));
}
"#;

const LOCK: &str = r#"version = 4

[[package]]
name = "patched"
version = "1.0.0"

[[package]]
name = "rusty"
version = "0.0.0"
dependencies = [
 "shared",
 "submodule",
]

[[package]]
name = "shared"
version = "0.0.0"
dependencies = [
 "patched",
 "thing",
]

[[package]]
name = "submodule"
version = "0.0.0"

[[package]]
name = "thing"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
"#;

/// Writes the function and its packages; the submodule holds `lib.rs`.
pub fn write(sandbox: &Sandbox) {
    for (path, text) in [
        (
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"lambda-src/rusty\", \"crates/shared\", \"crates/submodule\"]\nexclude = [\"crates/patched\", \"vendor\"]\n[profile.release]\nopt-level = 1\nlto = \"off\"\n[patch.crates-io]\npatched = { path = \"crates/patched\" }\n",
        ),
        ("Cargo.lock", LOCK),
        (
            ".cargo/config.toml",
            "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
        ),
        (
            "lambda-src/rusty/function.toml",
            "runtime = \"provided.al2023\"\n[build]\nwith = \"cargo\"\ninputs = [\"data/*.json\"]\nenv = [\"MAKER_FLAVOUR\"]\n",
        ),
        (
            "lambda-src/rusty/Cargo.toml",
            "[package]\nname = \"rusty\"\nversion = \"0.0.0\"\nedition = \"2024\"\nbuild = \"build.rs\"\n[dependencies]\nshared = { path = \"../../crates/shared\" }\nsubmodule = { path = \"../../crates/submodule\" }\n",
        ),
        ("lambda-src/rusty/build.rs", SCRIPT),
        ("lambda-src/rusty/settings.txt", "settings 1\n"),
        ("lambda-src/rusty/text.txt", "text 1\n"),
        ("lambda-src/rusty/src/main.rs", MAIN),
        ("lambda-src/rusty/src/word.rs", "pub const WORD: &str = \"word 1\";\n"),
        (
            "crates/shared/Cargo.toml",
            "[package]\nname = \"shared\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\nthing = \"1\"\npatched = \"1\"\n",
        ),
        (
            "crates/shared/src/lib.rs",
            "pub use patched::WORD as PATCHED;\npub use thing::WORD as THING;\nmod word;\npub use word::WORD;\n",
        ),
        ("crates/shared/src/word.rs", "pub const WORD: &str = \"shared 1\";\n"),
        // The manifest of a package whose source lies in the submodule.
        (
            "crates/submodule/Cargo.toml",
            "[package]\nname = \"submodule\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\npath = \"../../lambda-src/snake/vendor/lib.rs\"\n",
        ),
        (
            "crates/patched/Cargo.toml",
            "[package]\nname = \"patched\"\nversion = \"1.0.0\"\nedition = \"2024\"\n",
        ),
        ("crates/patched/src/lib.rs", "pub const WORD: &str = \"patched 1\";\n"),
        ("vendor/thing/Cargo.toml", "[package]\nname = \"thing\"\nversion = \"1.0.0\"\nedition = \"2024\"\n"),
        ("vendor/thing/src/lib.rs", "pub const WORD: &str = \"vendored 1\";\n"),
        ("vendor/thing/.cargo-checksum.json", "{\"files\":{},\"package\":null}"),
    ] {
        sandbox.write(path, text);
    }
}

/// Returns a random change of what decides the binary, or of what might.
pub fn random_change(random: &mut fastrand::Rng) -> Change {
    let words = [
        "lambda-src/rusty/src/word.rs",
        "crates/shared/src/word.rs",
        "crates/patched/src/lib.rs",
        "vendor/thing/src/lib.rs",
    ];
    let texts = ["lambda-src/rusty/text.txt", "lambda-src/rusty/settings.txt", "data/shared.json"];
    let one = |random: &mut fastrand::Rng, list: &[&str]| list[random.usize(..list.len())].to_owned();
    let word = one(random, &words);
    match random.u32(..20) {
        0..=3 => Change::Edit(word, random.u32(..50)),
        4..=5 => Change::EditUnseen(word),
        6..=7 => Change::Edit(one(random, &texts), random.u32(..9)),
        8 => Change::EditUnseen(one(random, &texts)),
        9..=10 => Change::Submodule(random.u32(..3)),
        11..=12 => Change::Variable(
            one(random, &["MAKER_FLAVOUR", "UNDECLARED", "RUSTFLAGS", "CARGO_PROFILE_RELEASE_OPT_LEVEL"]),
            random.u32(..3),
        ),
        13 => Change::CargoHome(random.u32(..3)),
        14 => Change::Write(
            ".cargo/config.toml".into(),
            format!(
                "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n[build]\nrustflags = [\"-Copt-level={}\"]\n",
                random.u32(..3)
            ),
        ),
        15 => Change::Write("lambda-src/rusty/src/bin/more.rs".into(), "fn main() {}\n".into()),
        16 => {
            let flag = if random.bool() { "--assume-unchanged" } else { "--skip-worktree" };
            Change::EditHidden(word, flag, random.u32(50..60))
        }
        17 => Change::Delete("lambda-src/rusty/settings.txt".into()),
        _ => Change::Commit,
    }
}
