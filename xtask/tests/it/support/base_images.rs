//! Base images built from this machine's files, since the tests use no public registry.
//!
//! In: the C library that this executable uses, and this machine's Python. Out: OCI layouts in the test run's folder, built
//! once: one with only a C library, one with Python and a runtime client, and one that claims to be for arm64. Goes wrong: no
//! Python, or no `ldd` to list libraries.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use slipway_archive::image::{Architecture, ConfigEdit, compose, write_layout};
use slipway_archive::{Tree, write_layer};

use super::process;
use super::test_run::TestRun;

/// A base image on disk.
pub struct BaseImage {
    pub layout: PathBuf,
    /// The digest of its manifest, `sha256:…`.
    pub digest: String,
    /// The length of its manifest.
    pub manifest_size: u64,
}

/// The base images of the test run.
pub struct BaseImages {
    /// A C library, without an entry point.
    pub libc: BaseImage,
    /// Python, and a runtime client as the entry point.
    pub python: BaseImage,
    /// The same as `libc`, but declared as arm64.
    pub arm64: BaseImage,
    /// The Python of the base as a Lambda runtime, such as `python3.11`.
    pub runtime: String,
}

/// A file that exists only in a base image; it contains the base's name.
pub const MARKER_FILE: &str = "/etc/slipway-base";

/// Implements the Runtime API and calls the handler in its argument, as the clients in Lambda's own bases do.
const CLIENT: &str = r#"
import http.client, importlib, json, os, sys, types

sys.path.insert(0, "/var/task")
module, _, name = sys.argv[1].rpartition(".")
handle = getattr(importlib.import_module(module), name)
api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])

def call(method, path, body=None):
    api.request(method, "/2018-06-01/runtime/invocation/" + path, body)
    response = api.getresponse()
    return response.headers["Lambda-Runtime-Aws-Request-Id"], response.read()

while True:
    request, event = call("GET", "next")
    try:
        result, path = handle(json.loads(event), types.SimpleNamespace(aws_request_id=request)), "/response"
    except Exception as error:
        result, path = {"errorType": type(error).__name__, "errorMessage": str(error)}, "/error"
    call("POST", request + path, json.dumps(result))
"#;

/// Parts of Python's library that no function needs.
const EXCLUDED: [&str; 10] = [
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

/// Parts of the C library that wheels may need (PEP 600, PEP 513), even if no program here has loaded them.
const LIBC_PARTS: [&str; 5] = ["libdl.so.2", "libm.so.6", "libpthread.so.0", "librt.so.1", "libutil.so.1"];

/// Returns the base images of the test run, built on first use.
pub fn base_images(test_run: &'static TestRun) -> &'static BaseImages {
    static BASES: OnceLock<BaseImages> = OnceLock::new();
    BASES.get_or_init(|| {
        let path = &test_run.machine.path;
        let own = std::env::current_exe().expect("this executable");
        let mut libc = Tree::new();
        add_libraries(&mut libc, &libraries(path, std::slice::from_ref(&own)));
        libc.add_bytes(&MARKER_FILE[1..], false, b"libc".to_vec()).expect("the mark");
        let (python, interpreter, runtime) = python(path, &own);
        let at = |name: &str| test_run.folder.join("bases").join(name);
        let entrypoint = Some(vec![interpreter, "-B".to_owned(), "/lambda-entrypoint.py".to_owned()]);
        BaseImages {
            libc: write(&libc, Architecture::X86_64, None, &at("libc")),
            python: write(&python, Architecture::X86_64, entrypoint, &at("python")),
            arm64: write(&libc, Architecture::Arm64, None, &at("arm64")),
            runtime,
        }
    })
}

fn write(
    tree: &Tree,
    architecture: Architecture,
    entrypoint: Option<Vec<String>>,
    layout: &Path,
) -> BaseImage {
    fs::create_dir_all(layout).expect("a folder for a base");
    let file = layout.with_extension("tar.gz");
    let layer = write_layer(tree, "", 0, &file, &|_| ()).expect("a base's layer");
    let edit = ConfigEdit { entrypoint, ..ConfigEdit::new(architecture, 0) };
    let image = compose(None, &[(&layer, "this machine's files")], &edit).expect("a base");
    write_layout(&image, &[&file], &|_| None, Some("base"), layout).expect("a base's layout");
    BaseImage {
        layout: layout.to_owned(),
        digest: image.digest.to_string(),
        manifest_size: image.manifest.len() as u64,
    }
}

/// Collects this machine's Python under its own paths; returns the files, the interpreter's path and the Lambda runtime.
///
/// Debian's Python is preferred to a version manager's, whose files are in a home folder.
fn python(path: &str, own: &Path) -> (Tree, String, String) {
    let debian = Path::new("/usr/bin/python3");
    let program = if debian.is_file() { debian } else { Path::new("python3") };
    let script = "import os, sys, sysconfig; print(os.path.realpath(sys.executable), sysconfig.get_path('stdlib'), \
                  'python%d.%d' % sys.version_info[:2], sep='\\n')";
    let printed = output(path, program, &["-c", script]);
    let [interpreter, library, runtime] = printed.lines().collect::<Vec<_>>()[..] else {
        panic!("unexpected output of python3: {printed}");
    };
    let mut files = Vec::new();
    collect_files(Path::new(library), &mut files);
    let mut tree = Tree::new();
    for file in &files {
        tree.add_file(inside(file), false, file).expect("a file of Python's library");
    }
    tree.add_file(&interpreter[1..], true, interpreter).expect("the interpreter");
    // Wheels expect the C compiler's runtime library of the system; this executable uses it.
    let mut programs = vec![PathBuf::from(interpreter), own.to_owned()];
    programs.extend(files.into_iter().filter(|file| file.extension().is_some_and(|suffix| suffix == "so")));
    add_libraries(&mut tree, &libraries(path, &programs));
    tree.add_bytes("lambda-entrypoint.py", false, CLIENT.into()).expect("the runtime client");
    tree.add_bytes(&MARKER_FILE[1..], false, b"python".to_vec()).expect("the mark");
    (tree, interpreter.to_owned(), runtime.to_owned())
}

fn collect_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of Python's library").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if EXCLUDED.contains(&name.as_ref()) || name.starts_with("config-") {
            continue;
        }
        if path.is_dir() {
            collect_files(&path, files);
        } else if path.is_file() {
            files.push(path);
        }
    }
}

/// Lists the shared libraries of programs, including the loader.
fn libraries(path: &str, programs: &[PathBuf]) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for programs in programs.chunks(50) {
        let programs: Vec<&str> =
            programs.iter().map(|path| path.to_str().expect("a path in UTF-8")).collect();
        let printed = output(path, Path::new("ldd"), &programs);
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`; for the loader only the path.
        found.extend(
            printed
                .lines()
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
    let parts = LIBC_PARTS.map(|name| libc.with_file_name(name)).into_iter().filter(|part| part.is_file());
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
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}: {}", program.display(), text(&output.stderr));
    text(&output.stdout)
}
