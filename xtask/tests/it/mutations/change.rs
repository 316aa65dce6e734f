//! One change of a repository, or of what surrounds a build.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::build_world::BuildWorld;

/// A change. What cannot be done where it comes (a file that is gone) is passed over.
#[derive(Debug, Clone)]
pub enum Change {
    /// Writes other content.
    Edit(String, u32),
    /// Sets a flag in git's index that hides a file's changes, and writes other content.
    EditHidden(String, &'static str, u32),
    /// Writes this content.
    Write(String, String),
    /// Writes other content of the same size, and keeps the file's time.
    EditUnseen(String),
    /// Writes a file that may not exist yet.
    Add(String, u32),
    Delete(String),
    Rename(String, String),
    /// Changes whether a file is executable.
    Chmod(String),
    /// Replaces a file by a link.
    Link(String, String),
    /// Converts a file's line endings.
    LineEndings(String),
    /// Appends a line to `.gitignore`.
    Ignore(String),
    /// Appends a line to `.gitattributes`.
    Attribute(String),
    /// Runs git.
    Git(Vec<String>),
    /// Commits everything.
    Commit,
    /// Commits what changed in the submodule, or moves it to another commit.
    Submodule(u32),
    /// Sets a variable for the builds that follow.
    Variable(String, u32),
    /// Writes cargo's configuration in its own folder.
    CargoHome(u32),
    /// Writes other settings of the image.
    Image(u32),
    /// Spoils a blob of the image's base, or puts the base back.
    Base(bool),
    /// Changes what a tool on the PATH does, and what it says of its version.
    Tool(u32),
}

/// Files that are inputs, in the folders of functions and elsewhere.
const FILES: [&str; 17] = [
    "lambda-src/snake/src/snake/app.py",
    "lambda-src/snake/src/snake/data.json",
    "lambda-src/snake/src/snake/deep/er.py",
    "lambda-src/snake/src/snake/turned.rev",
    "lambda-src/snake/function.toml.notes",
    "lambda-src/snake/vendor/lib.py",
    "lambda-src/maker/build.py",
    "lambda-src/maker/src/one.txt",
    "lambda-src/maker/src/two.txt",
    "lambda-src/maker/src/linked",
    "lambda-src/maker/run.sh",
    "lambda-src/framed/page.txt",
    "lambda-src/framed/make.sh",
    "data/shared.json",
    "data/more.json",
    "data/other.txt",
    "README.md",
];

/// New names for files.
const NAMES: [&str; 11] = [
    "lambda-src/snake/src/snake/new.py",
    "lambda-src/snake/src/snake/__init__.py",
    "lambda-src/snake/src/other.py",
    "lambda-src/snake/vendor/new.py",
    "lambda-src/maker/src/grüße und mehr.txt",
    "lambda-src/maker/new.txt",
    "lambda-src/maker/dist/left.txt",
    "lambda-src/maker/node_modules/x.js",
    "lambda-src/framed/new.txt",
    "data/new.json",
    "data/new.txt",
];

const TARGETS: [&str; 7] = [
    "one.txt",
    "two.txt",
    "../src/two.txt",
    "../../../data/shared.json",
    "../../../README.md",
    "nowhere",
    "/etc/hostname",
];

fn one<'a>(random: &mut fastrand::Rng, list: &[&'a str]) -> &'a str {
    list[random.usize(..list.len())]
}

impl Change {
    /// Returns a random change.
    pub fn random(random: &mut fastrand::Rng) -> Self {
        let file = one(random, &FILES).to_owned();
        let name = one(random, &NAMES).to_owned();
        match random.u32(..100) {
            0..=14 => Self::Edit(file, random.u32(..5)),
            15..=19 => Self::EditUnseen(file),
            20..=27 => Self::Add(name, random.u32(..3)),
            28..=32 => Self::Delete(if random.bool() { file } else { name }),
            33..=37 => Self::Rename(file, name),
            38..=43 => Self::Chmod(file),
            44..=49 => Self::Link("lambda-src/maker/src/linked".into(), one(random, &TARGETS).to_owned()),
            50..=52 => Self::LineEndings(file),
            53..=55 => Self::Ignore(
                one(random, &["*.json", "*.txt", "lambda-src/maker/src/", "node_modules/", "!*.txt"]).into(),
            ),
            56..=58 => Self::Attribute(
                one(
                    random,
                    &[
                        "*.txt text eol=crlf",
                        "*.py text",
                        "*.json filter=rev",
                        "*.txt -text",
                        "*.txt ident",
                        "*.rev -filter",
                        "* text=auto eol=lf",
                    ],
                )
                .into(),
            ),
            59..=64 => {
                let flag = if random.bool() { "--assume-unchanged" } else { "--skip-worktree" };
                Self::EditHidden(file, flag, random.u32(5..9))
            }
            65..=66 => git(&["update-index", "--no-assume-unchanged", "--no-skip-worktree", &file]),
            67..=68 => git(&["config", "core.autocrlf", one(random, &["true", "input", "false"])]),
            69 => git(&["checkout", "--force", "HEAD", "--", &file]),
            70 => git(&["update-index", one(random, &["--split-index", "--no-split-index"])]),
            71 => git(&["stash", "--include-untracked"]),
            72 => git(&["tag", "--force", one(random, &["v9.0.0", "maker-v9.9.9", "snake/1.0.0"])]),
            73..=74 => git(&["rm", "--cached", "--force", "--quiet", &file]),
            75..=82 => Self::Commit,
            83..=88 => Self::Submodule(random.u32(..4)),
            89..=92 => Self::Variable(
                one(random, &["MAKER_FLAVOUR", "UNDECLARED", "LANG", "TZ", "PYTHONDONTWRITEBYTECODE"]).into(),
                random.u32(..3),
            ),
            93..=94 => Self::Image(random.u32(..4)),
            95 => Self::Base(random.bool()),
            _ => Self::Tool(random.u32(..3)),
        }
    }

    /// Makes the change.
    pub fn apply(&self, world: &mut BuildWorld) {
        let root = world.folder.clone();
        let at = |path: &str| root.join(path);
        match self {
            Self::Edit(path, number) => replace(&at(path), &content(path, *number)),
            Self::EditUnseen(path) => edit_unseen(&at(path)),
            Self::EditHidden(path, flag, number) => {
                world.git(&["update-index".to_owned(), (*flag).to_owned(), path.clone()]);
                replace(&at(path), &content(path, *number));
            }
            Self::Write(path, text) => {
                let file = at(path);
                if fs::create_dir_all(file.parent().expect("a folder")).is_ok() {
                    let _ = fs::write(file, text);
                }
            }
            Self::CargoHome(number) => world.write_cargo_configuration(*number),
            Self::Add(path, number) => {
                let file = at(path);
                if !file.is_dir() && fs::create_dir_all(file.parent().expect("a folder")).is_ok() {
                    let _ = fs::write(file, content(path, *number));
                }
            }
            Self::Delete(path) => {
                let _ = fs::remove_file(at(path));
            }
            Self::Rename(from, to) => {
                let to = at(to);
                if !to.exists() && fs::create_dir_all(to.parent().expect("a folder")).is_ok() {
                    let _ = fs::rename(at(from), to);
                }
            }
            Self::Chmod(path) => {
                let file = at(path);
                if let Ok(metadata) = file.metadata() {
                    let mode = if metadata.permissions().mode() & 0o111 == 0 { 0o755 } else { 0o644 };
                    let _ = fs::set_permissions(file, fs::Permissions::from_mode(mode));
                }
            }
            Self::Link(path, target) => {
                let _ = fs::remove_file(at(path));
                let _ = std::os::unix::fs::symlink(target, at(path));
            }
            Self::LineEndings(path) => {
                if let Ok(text) = fs::read_to_string(at(path)) {
                    let other = if text.contains("\r\n") {
                        text.replace("\r\n", "\n")
                    } else {
                        text.replace('\n', "\r\n")
                    };
                    replace(&at(path), &other);
                }
            }
            Self::Ignore(line) => append(&at(".gitignore"), line),
            Self::Attribute(line) => append(&at(".gitattributes"), line),
            Self::Git(arguments) => {
                world.git(arguments);
            }
            Self::Commit => world.commit(),
            Self::Submodule(number) => world.change_submodule(*number),
            Self::Variable(name, number) => {
                world.variables.retain(|(known, _)| known != name);
                if *number > 0 {
                    world.variables.push((name.clone(), number.to_string()));
                }
            }
            Self::Image(number) => world.write_image(*number),
            Self::Base(spoil) => world.change_base(*spoil),
            Self::Tool(number) => world.write_tool(*number),
        }
    }
}

fn git(arguments: &[&str]) -> Change {
    Change::Git(arguments.iter().map(|argument| (*argument).to_owned()).collect())
}

fn content(path: &str, number: u32) -> String {
    if path.ends_with(".py") {
        return format!(
            "# {number}\nWORD = {number}\n\n\ndef handle(event, context):\n    return {number}\n"
        );
    }
    if path.ends_with(".rs") {
        return format!("pub const WORD: &str = \"{path} {number}\";\n");
    }
    format!("content {number}\nof this file\n")
}

/// Writes an existing file; programs stay programs.
fn replace(path: &Path, text: &str) {
    if !path.is_file() {
        return;
    }
    if is_program(path) {
        append(path, "# changed");
    } else {
        let _ = fs::write(path, text);
    }
}

/// Whether a build runs the file.
fn is_program(path: &Path) -> bool {
    ["build.py", "run.sh", "make.sh"].iter().any(|name| path.ends_with(name))
}

fn append(path: &Path, line: &str) {
    let text = fs::read_to_string(path).unwrap_or_default();
    let _ = fs::write(path, format!("{text}{line}\n"));
}

/// Changes one byte of a file and puts its times back.
fn edit_unseen(path: &Path) {
    if let (Ok(mut bytes), Ok(metadata)) = (fs::read(path), path.metadata())
        && !is_program(path)
        && let Some(byte) = bytes.iter_mut().find(|byte| byte.is_ascii_digit())
    {
        *byte = if *byte == b'9' { b'0' } else { *byte + 1 };
        let _ = fs::write(path, bytes);
        if let (Ok(time), Ok(file)) = (metadata.modified(), fs::File::options().write(true).open(path)) {
            let _ = file.set_modified(time);
        }
    }
}
