//! Checks that a compiled program or library can start in the runtime it is meant for.
//!
//! In: a file's bytes, the architecture and the runtime of the function. Out: what the file is ([`ElfFacts`]).
//! Goes wrong, with what to do about it ([`ElfError`]): the file is not a 64-bit little-endian ELF file, has code for
//! another machine, or needs a newer glibc or another loader than the runtime has. Lambda accepts such files and then fails
//! at the first invocation.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use object::FileKind;
use object::elf::{self, FileHeader64};
use object::endian::LittleEndian;
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

pub(crate) use glibc::{Glibc, provided_by as glibc_of};

use crate::architecture::Architecture;
use crate::runtime::Runtime;

mod glibc;

type Header = FileHeader64<LittleEndian>;

const ENDIAN: LittleEndian = LittleEndian;

/// How many symbols an error lists.
const MAX_SYMBOLS: usize = 5;

/// An ELF file that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ElfFacts {
    /// The architecture that it is built for.
    pub(crate) architecture: Architecture,
    /// Whether anything is loaded with the file.
    pub(crate) linkage: Linkage,
    /// The loader that the file names; libraries and static programs have none.
    pub(crate) interpreter: Option<String>,
    /// The newest glibc version that the file needs, if it needs any.
    pub(crate) glibc: Option<Glibc>,
}

/// Whether a file needs shared libraries or a loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linkage {
    /// It needs neither: a static or static-pie program.
    Static,
    /// It needs a loader or shared libraries.
    Dynamic,
}

/// Why a file cannot start in its runtime.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ElfError {
    /// Not a program for Linux.
    #[error("{} is not a Linux program (ELF), but {found}", path.display())]
    NotElf {
        /// The file.
        path: PathBuf,
        /// What it is, with its article.
        found: String,
    },

    /// An ELF file that Lambda's machines do not run.
    #[error("{} is {found}; Lambda runs 64-bit little-endian programs and libraries", path.display())]
    Unsuitable {
        /// The file.
        path: PathBuf,
        /// What it is, with its article.
        found: &'static str,
    },

    /// Code for another machine.
    #[error("{} is built for {found}, but the function's architecture is {wanted}: {fix}", path.display())]
    WrongMachine {
        /// The file.
        path: PathBuf,
        /// The machine that it is built for.
        found: String,
        /// The architecture in function.toml.
        wanted: Architecture,
        /// What to do, as the end of a sentence.
        fix: String,
    },

    /// A glibc that is newer than the runtime's.
    #[error(
        "{} needs glibc {needs}, but {runtime} has {provides}: {}; build it against glibc {provides} or \
         older, or link it statically",
        path.display(),
        symbols.join(", ")
    )]
    GlibcTooNew {
        /// The file.
        path: PathBuf,
        /// The runtime in function.toml.
        runtime: Runtime,
        /// The newest version needed.
        needs: Glibc,
        /// The runtime's version.
        provides: Glibc,
        /// Up to five of the symbols concerned, newest first, as `symbol (GLIBC_x.y)`.
        symbols: Vec<String>,
    },

    /// A loader that the runtime does not have.
    #[error(
        "{} is started by {interpreter}, which {runtime} does not have (it has {provides}): \
         link it against glibc, or statically",
        path.display()
    )]
    WrongInterpreter {
        /// The file.
        path: PathBuf,
        /// The loader named in the file.
        interpreter: String,
        /// The runtime in function.toml.
        runtime: Runtime,
        /// The runtime's loader.
        provides: &'static str,
    },

    /// A file without the section tables that list the glibc versions it needs.
    #[error(
        "{} has no section headers, so the glibc it needs cannot be read: strip it with `strip`, not `sstrip`",
        path.display()
    )]
    NoSections {
        /// The file.
        path: PathBuf,
    },

    /// An ELF file with broken tables.
    #[error("{} is a damaged ELF file: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        source: object::Error,
    },
}

/// Checks one file for an architecture and a runtime.
///
/// For a runtime that is not listed, glibc and loader are not checked.
pub(crate) fn check(
    path: &Path,
    bytes: &[u8],
    architecture: Architecture,
    runtime: &Runtime,
) -> Result<ElfFacts, ElfError> {
    let header = header(path, bytes)?;
    let found = header.e_machine(ENDIAN);
    if found != machine(architecture) {
        return Err(wrong_machine(path, found, architecture));
    }
    let needs = LinkRequirements::read(header, bytes)
        .map_err(|source| ElfError::Malformed { path: path.to_owned(), source })?;
    if let Some(provides) = glibc::limit_of(runtime) {
        if needs.unreadable {
            return Err(ElfError::NoSections { path: path.to_owned() });
        }
        if let Some(newest) = needs.newest()
            && newest > provides
        {
            return Err(ElfError::GlibcTooNew {
                path: path.to_owned(),
                runtime: runtime.clone(),
                needs: newest,
                provides,
                symbols: needs.symbols_newer_than(provides),
            });
        }
        if let Some(interpreter) = &needs.interpreter
            && interpreter != architecture.dynamic_loader()
        {
            return Err(ElfError::WrongInterpreter {
                path: path.to_owned(),
                interpreter: interpreter.clone(),
                runtime: runtime.clone(),
                provides: architecture.dynamic_loader(),
            });
        }
    }
    Ok(ElfFacts {
        architecture,
        linkage: needs.linkage,
        glibc: needs.newest(),
        interpreter: needs.interpreter,
    })
}

/// Returns the machine type that an ELF header names.
fn machine(architecture: Architecture) -> elf::Machine {
    match architecture {
        Architecture::X86_64 => elf::EM_X86_64,
        Architecture::Arm64 => elf::EM_AARCH64,
    }
}

/// Finds the header of a 64-bit little-endian program or library.
fn header<'data>(path: &Path, bytes: &'data [u8]) -> Result<&'data Header, ElfError> {
    let unsuitable = |found| ElfError::Unsuitable { path: path.to_owned(), found };
    if !bytes.starts_with(&elf::ELFMAG) {
        return Err(ElfError::NotElf { path: path.to_owned(), found: describe(bytes) });
    }
    // EI_CLASS and EI_DATA, before any field is read as 64-bit little-endian.
    match bytes.get(4..6) {
        Some([1, _]) => return Err(unsuitable("a 32-bit ELF file")),
        Some([_, 2]) => return Err(unsuitable("a big-endian ELF file")),
        _ => {}
    }
    let header =
        Header::parse(bytes).map_err(|source| ElfError::Malformed { path: path.to_owned(), source })?;
    match header.e_type(ENDIAN) {
        elf::ET_EXEC | elf::ET_DYN => Ok(header),
        elf::ET_REL => Err(unsuitable("an object file that was not linked")),
        elf::ET_CORE => Err(unsuitable("a core dump")),
        _ => Err(unsuitable("an ELF file of an unknown type")),
    }
}

/// Describes a file that is not ELF, with its article.
fn describe(bytes: &[u8]) -> String {
    if let Some(script) = bytes.strip_prefix(b"#!") {
        let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line: String = String::from_utf8_lossy(line).trim().chars().take(60).collect();
        return format!("a script for {line:?}");
    }
    let kind = match FileKind::parse(bytes) {
        Ok(FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64) => {
            "a program for macOS (Mach-O)"
        }
        Ok(FileKind::Pe32 | FileKind::Pe64) => "a program for Windows (PE)",
        Ok(FileKind::Archive) => "a static library (ar archive)",
        _ if bytes.is_empty() => "an empty file",
        _ if bytes.starts_with(b"PK\x03\x04") => "a zip archive",
        _ if bytes.starts_with(b"\0asm") => "a WebAssembly module",
        _ if std::str::from_utf8(bytes).is_ok() => "plain text",
        _ => "data of an unknown kind",
    };
    kind.to_owned()
}

fn wrong_machine(path: &Path, found: elf::Machine, wanted: Architecture) -> ElfError {
    let other = Architecture::ALL.into_iter().find(|other| machine(*other) == found);
    let build = format!("build it for {}", wanted.rust_target());
    ElfError::WrongMachine {
        path: path.to_owned(),
        found: match (other, found) {
            (Some(other), _) => other.to_string(),
            (None, elf::EM_RISCV) => "RISC-V".to_owned(),
            (None, elf::EM_PPC64) => "64-bit PowerPC".to_owned(),
            (None, elf::EM_S390) => "IBM Z".to_owned(),
            (None, unknown) => format!("machine type {}", unknown.0),
        },
        wanted,
        fix: match other {
            Some(other) => format!("{build}, or write architecture = \"{other}\" in function.toml"),
            None => build,
        },
    }
}

/// The loader, libraries and glibc versions that a file needs.
struct LinkRequirements {
    linkage: Linkage,
    interpreter: Option<String>,
    /// Versions, newest first, each with a symbol that needs it.
    versions: BTreeSet<(Reverse<Glibc>, String)>,
    /// Whether there are dynamic dependencies, but no tables that list their versions.
    unreadable: bool,
}

impl LinkRequirements {
    fn read(header: &Header, bytes: &[u8]) -> object::Result<Self> {
        let mut interpreter = None;
        let mut libraries = false;
        for program in header.program_headers(ENDIAN, bytes)? {
            if let Some(name) = program.interpreter(ENDIAN, bytes)? {
                interpreter = Some(String::from_utf8_lossy(name).into_owned());
            }
            let dynamic = program.dynamic(ENDIAN, bytes)?.unwrap_or_default();
            libraries |= dynamic.iter().any(|entry| entry.d_tag(ENDIAN) == elf::DT_NEEDED);
        }
        let sections = header.sections(ENDIAN, bytes)?;
        let dynamic = libraries || interpreter.is_some();
        Ok(Self {
            linkage: if dynamic { Linkage::Dynamic } else { Linkage::Static },
            interpreter,
            versions: glibc::needed_by(&sections, bytes)?,
            unreadable: libraries && sections.is_empty(),
        })
    }

    fn newest(&self) -> Option<Glibc> {
        self.versions.first().map(|(Reverse(version), _)| *version)
    }

    /// Lists symbols that need a newer version than a limit, newest first.
    fn symbols_newer_than(&self, limit: Glibc) -> Vec<String> {
        let newer = self.versions.iter().filter(|(Reverse(version), _)| *version > limit);
        newer.map(|(_, name)| name.clone()).take(MAX_SYMBOLS).collect()
    }
}

#[cfg(test)]
mod tests;
