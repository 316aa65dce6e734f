//! Memory use while packing a tree much larger than the window. The only test of its process, since it measures the
//! memory of the whole process.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use slipway_archive::{Tree, WINDOW, write_zip};

const MIB: u64 = 1024 * 1024;

/// Returns the peak memory of this process in bytes (`VmHWM` of proc(5)).
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib * 1024
}

/// Writes noise, which deflate cannot compress: a compressed piece is then as long as the file.
fn noise(path: &Path, length: u64) {
    let mut file = File::create(path).expect("a file");
    let mut state = length | 1;
    let mut block = vec![0_u8; MIB as usize];
    for _ in 0..length / MIB {
        for word in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all(&block).expect("written");
    }
}

#[test]
fn packing_memory_stays_within_the_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut tree = Tree::new();
    let mut add = |name: String, length: u64| {
        let path = folder.path().join(&name);
        noise(&path, length);
        tree.add_file(&name, false, path).expect("added");
    };
    add("one-longer-than-the-window".to_owned(), WINDOW + 2 * MIB);
    for number in 0..8 {
        add(format!("part-{number:02}"), 12 * MIB);
    }
    let unpacked = WINDOW + 2 * MIB + 8 * 12 * MIB;

    let before = peak();
    let written = write_zip(&tree, &folder.path().join("large.zip"), &|_| ()).expect("written");
    let grown = peak() - before;

    assert_eq!(written.unpacked_size, unpacked);
    assert!(written.size > unpacked, "the noise was compressed, so the test proves nothing");
    // What each thread needs besides the pieces: encoder state, buffers, stacks, memory that the allocator keeps.
    let overhead = 24 * MIB;
    assert!(grown < WINDOW + overhead, "grew by {} MiB", grown / MIB);
    assert!(grown > 12 * MIB, "grew by {} MiB: the measurement does not work", grown / MIB);
}
