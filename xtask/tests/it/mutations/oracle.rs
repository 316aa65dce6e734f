//! What git says about the files of a function: independent of Slipway's reading.

use super::build_world::BuildWorld;

/// The paths of each function's inputs.
fn paths(function: &str) -> &'static [&'static str] {
    match function {
        "snake" => &["lambda-src/snake"],
        "framed" => &["lambda-src/framed"],
        "rusty" => &[
            "lambda-src/rusty",
            "crates/patched",
            "crates/shared",
            "vendor/thing",
            "lambda-src/snake/vendor",
            "Cargo.toml",
            "Cargo.lock",
            ".cargo",
            ":(glob)data/*.json",
        ],
        _ => &["lambda-src/maker", ":(glob)data/*.json"],
    }
}

/// Lists the files of the repository that links among a function's files lead to: they are inputs as well.
fn link_targets(world: &BuildWorld, paths: &[String]) -> Vec<String> {
    let list = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"].map(str::to_owned);
    let (_, files) = world.git(&[&list[..], paths].concat());
    let root = world.folder.canonicalize().expect("the project's folder");
    files
        .split('\0')
        .map(|file| world.folder.join(file))
        .filter(|file| file.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()))
        .filter_map(|link| {
            let target = link.canonicalize().ok()?;
            Some(target.strip_prefix(&root).ok()?.to_string_lossy().into_owned())
        })
        .collect()
}

/// Returns the reason for which a function's files are not as HEAD has them; nothing where they are.
pub fn dirty(world: &BuildWorld, function: &str) -> Option<String> {
    let mut paths: Vec<String> = paths(function).iter().map(|path| (*path).to_owned()).collect();
    paths.extend(link_targets(world, &paths));
    let arguments = |words: &[&str]| -> Vec<String> {
        words.iter().chain(&["--"]).map(|word| (*word).to_owned()).chain(paths.iter().cloned()).collect()
    };
    // With an index without any times: git then compares what the files contain.
    let script = "!f() { rm -f .git/timeless; git ls-files --stage -z | GIT_INDEX_FILE=.git/timeless git update-index -z --index-info; GIT_INDEX_FILE=.git/timeless git status --porcelain --untracked-files=all --ignore-submodules=none \"$@\"; }; f";
    let alias = format!("alias.status-by-content={script}");
    let (_, status) = world.git(&arguments(&["-c", &alias, "status-by-content"]));
    let (_, flags) = world.git(&arguments(&["ls-files", "-v"]));
    let is_hidden = |line: &str| {
        let path = line.get(3..).unwrap_or_default();
        flags.lines().any(|flag| {
            flag.get(2..) == Some(path) && (flag.starts_with('S') || flag.starts_with(char::is_lowercase))
        })
    };
    // The output of the command is not one of its inputs.
    let relevant =
        |line: &&str| !line.contains("lambda-src/maker/dist/") && !line.contains("lambda-src/framed/dist/");
    if let Some(line) = status.lines().find(|line| relevant(line) && !is_hidden(line)) {
        return Some(line.to_owned());
    }
    // Files whose changes the index hides: compared by content.
    let (_, index) = world.git(&arguments(&["ls-files", "-v", "--stage"]));
    for line in index.lines() {
        let Some((entry, path)) = line.split_once('\t') else { continue };
        let fields: Vec<&str> = entry.split(' ').collect();
        let hidden = fields[0] == "S" || fields[0].starts_with(char::is_lowercase);
        if !hidden || !relevant(&path) {
            continue;
        }
        let file = world.folder.join(path);
        let present = file.symlink_metadata().is_ok();
        if !present && fields[0] == "S" {
            continue;
        }
        use std::os::unix::fs::PermissionsExt as _;
        let metadata = file.symlink_metadata();
        let (bytes, mode) = match &metadata {
            Ok(metadata) if metadata.is_symlink() => {
                let target = std::fs::read_link(&file).expect("a link");
                (target.into_os_string().into_encoded_bytes(), "120000")
            }
            Ok(metadata) if metadata.permissions().mode() & 0o111 != 0 => {
                (std::fs::read(&file).expect("a file"), "100755")
            }
            _ => (std::fs::read(&file).unwrap_or_default(), "100644"),
        };
        let hashed = git2::Oid::hash_object(git2::ObjectType::Blob, &bytes).expect("an object's id");
        if !present || hashed.to_string() != fields[2] || mode != fields[1] {
            return Some(format!("hidden: {line}"));
        }
    }
    None
}
