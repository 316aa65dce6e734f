//! Base images made of this machine's own files, since the tests ask no public registry.
//!
//! In: the C library that this executable was loaded with, and this machine's Python. Out: OCI layouts in the run's folder,
//! made once: one with a C library alone, one with Python and a runtime client, and one that says it is for other machines.
//! Goes wrong: no Python, or no `ldd` to ask for libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use slipway_archive::image::{Architecture, ConfigEdit, compose, write_layout};
use slipway_archive::{Tree, write_layer};

use super::guard::Run;
use super::process;

/// A base image on disk.
pub struct Base {
    pub layout: PathBuf,
    /// Of its manifest, `sha256:…`.
    pub digest: String,
    /// The length of its manifest.
    pub manifest_size: u64,
}

/// The run's base images.
pub struct Bases {
    /// A C library, and no entry point.
    pub libc: Base,
    /// Python, and a runtime client as the entry point.
    pub python: Base,
    /// The same as `libc`, said to be for arm64.
    pub foreign: Base,
    /// The base's Python as Lambda would name it, such as `python3.11`.
    pub runtime: String,
}

/// Where a function finds the word that only a base has.
pub const MARK: &str = "/etc/slipway-base";

/// Speaks the Runtime API and calls the handler that it is started with, as the clients in Lambda's own bases do.
const CLIENT: &str = r#"
import http.client, importlib, json, os, sys, types

sys.path.insert(0, "/var/task")
module, _, name = sys.argv[1].rpartition(".")
handle = getattr(importlib.import_module(module), name)
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    answer = api.getresponse()
    return answer.headers["Lambda-Runtime-Aws-Request-Id"], answer.read()

while True:
    request, event = call("GET", "next")
    try:
        answer, path = handle(json.loads(event), types.SimpleNamespace(aws_request_id=request)), "/response"
    except Exception as error:
        answer, path = {"errorType": type(error).__name__, "errorMessage": str(error)}, "/error"
    call("POST", request + path, json.dumps(answer))
"#;

/// Parts of Python's library that no function needs.
const LEFT_OUT: [&str; 10] = [
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "ensurepip",
    "lib2to3",
    "pydoc_data",
    "tkinter",
    "dist-packages",
    "site-packages",
];

/// Parts of the C library that wheels may expect (PEP 600, PEP 513) and that nothing here may have loaded.
const OF_LIBC: [&str; 5] = ["libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1"];

/// Returns the run's base images, made on first use.
pub fn bases(run: &'static Run) -> &'static Bases {
    static BASES: OnceLock<Bases> = OnceLock::new();
    BASES.get_or_init(|| {
        let path = &run.machine.path;
        let own = std::env::current_exe().expect("this executable");
        let mut libc = Tree::new();
        add_libraries(&mut libc, &libraries(path, std::slice::from_ref(&own)));
        libc.add_bytes(&MARK[1..], false, b"libc".to_vec()).expect("the mark");
        let (python, interpreter, runtime) = python(path, &own);
        let at = |name: &str| run.folder.join("bases").join(name);
        let entrypoint = Some(vec![interpreter, "-B".to_owned(), "/lambda-entrypoint.py".to_owned()]);
        Bases {
            libc: write(&libc, Architecture::X86_64, None, &at("libc")),
            python: write(&python, Architecture::X86_64, entrypoint, &at("python")),
            foreign: write(&libc, Architecture::Arm64, None, &at("foreign")),
            runtime,
        }
    })
}

fn write(tree: &Tree, architecture: Architecture, entrypoint: Option<Vec<String>>, layout: &Path) -> Base {
    fs::create_dir_all(layout).expect("a folder for a base");
    let file = layout.with_extension("tar.gz");
    let layer = write_layer(tree, "", 0, &file, &|_| ()).expect("a base's layer");
    let edit = ConfigEdit { entrypoint, ..ConfigEdit::new(architecture, 0) };
    let image = compose(None, &[(&layer, "this machine's files")], &edit).expect("a base");
    write_layout(&image, &[&file], &|_| None, Some("base"), layout).expect("a base's layout");
    Base {
        layout: layout.to_owned(),
        digest: image.digest.to_string(),
        manifest_size: image.manifest.len() as u64,
    }
}

/// Gathers Python as it lies on this machine, under its own paths; returns its interpreter and its name as a runtime.
///
/// Debian's is preferred to a version manager's, whose files lie in somebody's home.
fn python(path: &str, own: &Path) -> (Tree, String, String) {
    let debian = Path::new("/usr/bin/python3");
    let program = if debian.is_file() { debian } else { Path::new("python3") };
    let script = "import os, sys, sysconfig; print(os.path.realpath(sys.executable), sysconfig.get_path('stdlib'), \
                  'python%d.%d' % sys.version_info[:2], sep='\\n')";
    let told = output(path, program, &["-c", script]);
    let [interpreter, library, runtime] = told.lines().collect::<Vec<_>>()[..] else {
        panic!("what python3 said of itself: {told}");
    };
    let mut files = Vec::new();
    gather(Path::new(library), &mut files);
    let mut tree = Tree::new();
    for file in &files {
        tree.add_file(inside(file), false, file).expect("a file of Python's library");
    }
    tree.add_file(&interpreter[1..], true, interpreter).expect("the interpreter");
    // The C compiler's runtime library, which wheels expect of the system, comes with this executable.
    let mut programs = vec![PathBuf::from(interpreter), own.to_owned()];
    programs.extend(files.into_iter().filter(|file| file.extension().is_some_and(|suffix| suffix == "so")));
    add_libraries(&mut tree, &libraries(path, &programs));
    tree.add_bytes("lambda-entrypoint.py", false, CLIENT.into()).expect("the runtime client");
    tree.add_bytes(&MARK[1..], false, b"python".to_vec()).expect("the mark");
    (tree, interpreter.to_owned(), runtime.to_owned())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of Python's library").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if LEFT_OUT.contains(&name.as_ref()) || name.starts_with("config-") {
            continue;
        }
        if path.is_dir() {
            gather(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// Lists the shared libraries of programs, the loader among them.
fn libraries(path: &str, programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for programs in programs.chunks(50) {
        let programs: Vec<&str> =
            programs.iter().map(|path| path.to_str().expect("a path in UTF-8")).collect();
        let told = output(path, Path::new("ldd"), &programs);
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, of the loader the path alone.
        found.extend(
            told.lines()
                .filter(|line| line.starts_with(char::is_whitespace))
                .flat_map(str::split_whitespace)
                .filter(|word| word.starts_with('/'))
                .map(PathBuf::from),
        );
    }
    found
}

fn add_libraries(tree: &mut Tree, libraries: &BTreeSet<PathBuf>) {
    let libc = libraries.iter().find(|library| library.ends_with("libc.so.6")).expect("a C library");
    let parts = OF_LIBC.map(|name| libc.with_file_name(name)).into_iter().filter(|part| part.is_file());
    for library in libraries.iter().cloned().chain(parts).collect::<BTreeSet<_>>() {
        tree.add_file(inside(&library), true, &library).expect("a shared library");
    }
}

fn inside(path: &Path) -> &str {
    path.to_str().and_then(|path| path.strip_prefix('/')).expect("an absolute path in UTF-8")
}

fn output(path: &str, program: &Path, arguments: &[&str]) -> String {
    let output = process::command(program).args(arguments).env("PATH", path).output();
    let output = output.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}", program.display(), said(&output.stderr));
    said(&output.stdout)
}
