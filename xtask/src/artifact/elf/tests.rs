//! Checks programs that the system's C compiler makes, and copies of them with single fields changed.

use std::path::PathBuf;
use std::process::Command;

use super::glibc::limit_of;
use super::{ElfError, ElfFacts, Glibc, Linkage, check};
use crate::architecture::Architecture;
use crate::runtime::Runtime;

const HELLO: &str = "#include <stdio.h>\nint main(void) { puts(\"hello\"); return 0; }\n";

/// Offset of `e_machine` and `e_shoff` in a 64-bit header (elf(5)).
const MACHINE_AT: usize = 18;
const SECTIONS_AT: usize = 40;

/// The compiler's own machine; everything compiled here is for it.
const HERE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::Arm64 } else { Architecture::X86_64 };
const ELSEWHERE: Architecture =
    if cfg!(target_arch = "aarch64") { Architecture::X86_64 } else { Architecture::Arm64 };

fn compile(source: &str, arguments: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder.path().join("a.c"), folder.path().join("a.out"));
    std::fs::write(&from, source).expect("the source");
    #[expect(clippy::disallowed_methods, reason = "the test needs really compiled programs")]
    let output = Command::new("cc").arg(&from).arg("-o").arg(&to).args(arguments).output().expect("cc");
    assert!(output.status.success(), "cc: {}", String::from_utf8_lossy(&output.stderr));
    std::fs::read(to).expect("a program")
}

fn file() -> PathBuf {
    PathBuf::from("target/lambda/hello/bootstrap")
}

fn facts(bytes: &[u8], runtime: &str) -> ElfFacts {
    check(&file(), bytes, HERE, &Runtime::from(runtime)).expect("it passes")
}

/// Checks and expects a refusal, whose message names the file.
fn refusal(bytes: &[u8], architecture: Architecture, runtime: &str) -> ElfError {
    let error = check(&file(), bytes, architecture, &Runtime::from(runtime)).expect_err("it is refused");
    let message = error.to_string();
    assert!(message.starts_with("target/lambda/hello/bootstrap "), "{message}");
    error
}

fn patched(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + with.len()].copy_from_slice(with);
    bytes
}

/// Replaces every occurrence of some bytes by others of the same length.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let places: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty(), "nothing to replace");
    places.into_iter().fold(bytes.to_vec(), |bytes, at| patched(&bytes, at, to))
}

#[test]
fn linkage_is_known_of_dynamic_and_static_programs_and_libraries() {
    let dynamic = facts(&compile(HELLO, &[]), "");
    assert_eq!((dynamic.architecture, dynamic.linkage), (HERE, Linkage::Dynamic));
    let loader = dynamic.interpreter.expect("a loader");
    assert!(loader.starts_with("/lib") && loader.contains("ld-linux"), "{loader}");
    assert!(dynamic.glibc >= Some(Glibc::new(2, 2, 5)), "{:?}", dynamic.glibc);

    for arguments in [&["-static"][..], &["-static-pie"]] {
        let stuck = facts(&compile(HELLO, arguments), "provided.al2");
        assert_eq!((stuck.linkage, stuck.interpreter, stuck.glibc), (Linkage::Static, None, None));
    }

    let library = facts(
        &compile("#include <stdio.h>\nvoid greet(void) { puts(\"hi\"); }\n", &["-shared", "-fPIC"]),
        "",
    );
    assert_eq!((library.linkage, library.interpreter), (Linkage::Dynamic, None));
}

#[test]
fn newer_glibc_is_refused_with_its_symbols() {
    // Seven functions whose symbols glibc 2.34 moved into libc.so.6 under that version.
    let moved = "#define _GNU_SOURCE\n#include <pthread.h>\n#include <dlfcn.h>\nint main(void) {\n\
        return (long)pthread_create + (long)pthread_join + (long)pthread_detach + (long)pthread_key_create\n\
        + (long)pthread_getspecific + (long)dlopen + (long)dlsym != 7; }\n";
    let program = compile(moved, &["-O0"]);
    let needs = facts(&program, "").glibc.expect("a version");
    assert!(needs >= Glibc::new(2, 34, 0), "this test needs cc with glibc 2.34 or newer, not {needs}");

    let error = refusal(&program, HERE, "provided.al2");
    let ElfError::GlibcTooNew { provides, symbols, .. } = &error else { panic!("{error}") };
    assert_eq!(*provides, Glibc::new(2, 26, 0));
    assert_eq!(symbols.len(), 5, "{symbols:?}");
    assert!(symbols.iter().all(|symbol| symbol.ends_with("(GLIBC_2.34)")), "{symbols:?}");
    let message = error.to_string();
    assert!(message.contains(&format!("needs glibc {needs}, but provided.al2 has 2.26")), "{message}");

    assert_eq!(facts(&program, "cobol9").glibc, Some(needs), "an unknown family sets no limit");
    // A runtime that is not listed has the limit of its family's newest one.
    assert_eq!(limit_of(&"nodejs99.x".into()), Some(Glibc::new(2, 34, 0)));
    assert_eq!(limit_of(&"nodejs18.x".into()), Some(Glibc::new(2, 26, 0)));
    if needs == Glibc::new(2, 34, 0) {
        for runtime in ["provided.al2023", "nodejs99.x"] {
            assert_eq!(facts(&program, runtime).glibc, Some(needs));
        }
    }
}

#[test]
fn symbols_within_the_limit_are_not_listed() {
    // `exp` of glibc 2.29 beside the `puts` that every glibc has.
    let source = "#include <stdio.h>\n#include <math.h>\nint main(int n, char **a) \
        { printf(\"%f\", exp(n)); return a == 0; }\n";
    let library = compile(source, &["-shared", "-fPIC", "-lm"]);
    let error = refusal(&library, HERE, "python3.11");
    let ElfError::GlibcTooNew { needs, symbols, .. } = &error else { panic!("{error}") };
    assert_eq!(
        (needs.to_string().as_str(), symbols.as_slice()),
        ("2.29", &["exp (GLIBC_2.29)".to_owned()][..])
    );
    assert_eq!(facts(&library, "python3.12").glibc, Some(Glibc::new(2, 29, 0)));
}

#[test]
fn weak_versions_are_ignored_as_the_loader_does() {
    let source = "#include <math.h>\ndouble grow(double x) { return exp(x); }\n";
    let library = compile(source, &["-shared", "-fPIC", "-lm"]);
    assert!(matches!(refusal(&library, HERE, "provided.al2"), ElfError::GlibcTooNew { .. }));
    // Elf64_Vernaux: vna_hash, the ELF hash of the name, then vna_flags, in which 2 is VER_FLG_WEAK.
    let hash = elf_hash(b"GLIBC_2.29").to_le_bytes();
    let strong = [hash.as_slice(), &[0, 0]].concat();
    let weak = [hash.as_slice(), &[2, 0]].concat();
    let library = replaced(&library, &strong, &weak);
    assert!(facts(&library, "provided.al2").glibc < Some(Glibc::new(2, 29, 0)));
}

/// The hash of the System V ABI, which verneed entries carry.
fn elf_hash(name: &[u8]) -> u32 {
    name.iter().fold(0, |hash: u32, byte| {
        let hash = (hash << 4).wrapping_add(u32::from(*byte));
        let high = hash & 0xf000_0000;
        (hash ^ (high >> 24)) & !high
    })
}

#[test]
fn code_for_another_machine_is_refused_with_a_fix() {
    let program = compile(HELLO, &[]);
    let message = refusal(&program, ELSEWHERE, "provided.al2023").to_string();
    assert!(message.contains(&format!("is built for {HERE}")), "{message}");
    assert!(message.contains(&format!("architecture is {ELSEWHERE}")), "{message}");
    assert!(message.contains("unknown-linux-gnu"), "{message}");
    assert!(message.contains(&format!("write architecture = \"{HERE}\" in function.toml")), "{message}");

    let foreign = refusal(&patched(&program, MACHINE_AT, &243_u16.to_le_bytes()), HERE, "");
    assert!(foreign.to_string().contains("is built for RISC-V"), "{foreign}");
    assert!(!foreign.to_string().contains("function.toml"), "{foreign}");
}

#[test]
fn unknown_loader_is_refused() {
    let program = compile(HELLO, &["-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"]);
    let error = refusal(&program, HERE, "provided.al2023");
    let message = error.to_string();
    assert!(matches!(error, ElfError::WrongInterpreter { .. }), "{message}");
    assert!(message.contains("started by /lib/ld-musl-x86_64.so.1"), "{message}");
    assert_eq!(facts(&program, "").interpreter.as_deref(), Some("/lib/ld-musl-x86_64.so.1"));
}

#[test]
fn file_that_is_not_elf_is_described() {
    for (bytes, found) in [
        (&b"#!/usr/bin/env python3\nprint()\n"[..], "a script for \"/usr/bin/env python3\""),
        (b"\xcf\xfa\xed\xfe\x07\x00\x00\x01\x03\0\0\0\x02\0\0\0", "macOS (Mach-O)"),
        (b"\xca\xfe\xba\xbe\0\0\0\x02\x01\0\0\x07\0\0\0\x03", "macOS (Mach-O)"),
        (b"PK\x03\x04\x14\0\0\0\0\0\0\0\0\0\0\0", "a zip archive"),
        (b"!<arch>\n        ", "a static library"),
        (b"\0asm\x01\0\0\0\0\0\0\0\0\0\0\0", "WebAssembly"),
        (b"hello", "plain text"),
        (b"", "an empty file"),
        (b"\xff\xfe\xfd\xfc", "data of an unknown kind"),
    ] {
        let error = refusal(bytes, HERE, "provided.al2023");
        assert!(matches!(error, ElfError::NotElf { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
    }
    let error = refusal(&windows_program(), HERE, "");
    assert!(error.to_string().contains("Windows (PE)"), "{error}");
}

/// The least of a PE32+ file: the DOS stub's pointer, the signature, and the magic of its optional header.
fn windows_program() -> Vec<u8> {
    let mut bytes = vec![0; 512];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x80;
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&0x8664_u16.to_le_bytes());
    bytes[0x98..0x9a].copy_from_slice(&0x020b_u16.to_le_bytes());
    bytes
}

#[test]
fn unsuitable_and_damaged_elf_files_are_refused() {
    let program = compile(HELLO, &[]);
    let object = compile(HELLO, &["-c"]);
    for (bytes, found) in [
        (object, "an object file that was not linked"),
        (patched(&program, 4, &[1]), "32-bit"),
        (patched(&program, 5, &[2]), "big-endian"),
        (patched(&program, 16, &4_u16.to_le_bytes()), "core dump"),
    ] {
        let error = refusal(&bytes, HERE, "provided.al2023");
        assert!(matches!(error, ElfError::Unsuitable { .. }), "{error}");
        assert!(error.to_string().contains(found), "{error}");
    }
    for length in [4, 20, 64, program.len() / 2] {
        let error = refusal(&program[..length], HERE, "provided.al2023");
        assert!(matches!(error, ElfError::Malformed { .. }), "{length}: {error}");
    }
    // e_shoff, and e_shnum with e_shstrndx at the header's end.
    let bare = patched(&patched(&program, SECTIONS_AT, &[0; 8]), 60, &[0; 4]);
    let error = refusal(&bare, HERE, "provided.al2023");
    assert!(matches!(error, ElfError::NoSections { .. }), "{error}");
}
