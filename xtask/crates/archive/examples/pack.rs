//! Packs a folder as a zip or as an image layer: `pack zip|layer FOLDER TO`. What benches/pack.py measures.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use slipway_archive::{Error, Tree, write_layer, write_zip};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [kind, folder, to] = arguments.as_slice() else { return failed("usage: pack zip|layer FOLDER TO") };
    match pack(&kind.to_string_lossy(), folder, to) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => failed(&error.to_string()),
        None => failed("the first argument is zip or layer"),
    }
}

fn pack(kind: &str, folder: &Path, to: &Path) -> Option<Result<(), Error>> {
    let tree = Tree::from_folder(folder);
    match kind {
        "zip" => Some(tree.and_then(|tree| write_zip(&tree, to, &|_| ()).map(drop))),
        "layer" => Some(tree.and_then(|tree| write_layer(&tree, "var/task", 0, to, &|_| ()).map(drop))),
        _ => None,
    }
}

fn failed(line: &str) -> ExitCode {
    // Nobody is left to be told where stderr is closed.
    let _ = writeln!(std::io::stderr(), "error: {line}");
    ExitCode::FAILURE
}
