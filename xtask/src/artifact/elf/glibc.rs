//! The GNU C library: what a runtime provides and what a file needs.
//!
//! In: a runtime, or the section table of an ELF file. Out: versions, ordered as versions are. Goes wrong: the
//! file's tables are broken.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt;

use object::SymbolIndex;
use object::elf;
use object::read::elf::{SectionTable, Sym};

use super::{ENDIAN, Header};
use crate::runtime::Runtime;

/// A version of the GNU C library, ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Glibc {
    major: u32,
    minor: u32,
    patch: u32,
}

/// Returns the glibc of a runtime; `None` for one that is not listed.
pub(crate) fn provided_by(runtime: &Runtime) -> Option<Glibc> {
    let (major, minor) = runtime.operating_system()?.glibc();
    Some(Glibc::new(major, minor, 0))
}

/// Returns the newest glibc that code for a runtime may need; `None` if the runtime's family is unknown.
///
/// A runtime that is not listed is newer than this version of Slipway. Its limit is that of its family's newest listed one: a
/// check that may be too strict is better than none.
pub(super) fn limit_of(runtime: &Runtime) -> Option<Glibc> {
    let newest_of_family = || {
        let family = runtime.family()?;
        Runtime::LISTED.iter().rfind(|listed| listed.family() == Some(family))
    };
    provided_by(runtime).or_else(|| provided_by(newest_of_family()?))
}

/// Reads the glibc versions that the loader requires, newest first, each with a symbol that needs it.
///
/// A version that no symbol uses is listed by its own name.
///
/// Like the loader, it ignores versions that are marked weak
/// ([`dl-version.c`](https://sourceware.org/git/?p=glibc.git;a=blob;f=elf/dl-version.c)).
pub(super) fn needed_by(
    sections: &SectionTable<'_, Header>,
    bytes: &[u8],
) -> object::Result<BTreeSet<(Reverse<Glibc>, String)>> {
    let Some((mut needs, link)) = sections.gnu_verneed(ENDIAN, bytes)? else {
        return Ok(BTreeSet::new());
    };
    let strings = sections.strings(ENDIAN, bytes, link)?;
    // By the number under which the symbol table refers to a version.
    let mut needed = Vec::new();
    while let Some((_, mut wanted)) = needs.next()? {
        while let Some(version) = wanted.next()? {
            let name = String::from_utf8_lossy(version.name(ENDIAN, strings)?).into_owned();
            if let Some(glibc) = Glibc::parse(&name)
                && !version.vna_flags.get(ENDIAN).contains(elf::VER_FLG_WEAK)
            {
                needed.push((version.vna_other(ENDIAN).index(), glibc, name));
            }
        }
    }

    let symbols = sections.symbols(ENDIAN, bytes, elf::SHT_DYNSYM)?;
    let table = sections.versions(ENDIAN, bytes)?.unwrap_or_default();
    let mut found = BTreeSet::new();
    let mut used = BTreeSet::new();
    for (index, symbol) in symbols.iter().enumerate() {
        let version = table.version_index(ENDIAN, SymbolIndex(index)).index();
        if let Some((at, (_, glibc, name))) =
            needed.iter().enumerate().find(|(_, (index, ..))| *index == version)
            && symbol.is_undefined(ENDIAN)
        {
            let symbol = String::from_utf8_lossy(symbol.name(ENDIAN, symbols.strings())?).into_owned();
            found.insert((Reverse(*glibc), format!("{symbol} ({name})")));
            used.insert(at);
        }
    }
    for (at, (_, glibc, name)) in needed.into_iter().enumerate() {
        if !used.contains(&at) {
            found.insert((Reverse(glibc), name));
        }
    }
    Ok(found)
}

impl Glibc {
    pub(super) const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads the name of a symbol version; `None` for other libraries' versions and for GLIBC_PRIVATE.
    fn parse(name: &str) -> Option<Self> {
        let version = name.strip_prefix("GLIBC_")?;
        // Packed relative relocations, new in glibc 2.36 (its release notes).
        if version == "ABI_DT_RELR" {
            return Some(Self::new(2, 36, 0));
        }
        let mut parts = version.split('.').map(str::parse::<u32>);
        let mut next = || parts.next().unwrap_or(Ok(0)).ok();
        Some(Self::new(next()?, next()?, next()?))
    }
}

impl fmt::Display for Glibc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch > 0 { write!(f, ".{}", self.patch) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::Glibc;

    #[test]
    fn glibc_versions_are_ordered_as_numbers() {
        let parse = |name| Glibc::parse(name).expect(name);
        assert!(parse("GLIBC_2.4") < parse("GLIBC_2.34"));
        assert!(parse("GLIBC_2.2.5") < parse("GLIBC_2.3"));
        assert!(parse("GLIBC_ABI_DT_RELR") > parse("GLIBC_2.34"));
        assert_eq!(parse("GLIBC_2.2.5").to_string(), "2.2.5");
        for name in ["GLIBCXX_3.4.30", "GLIBC_PRIVATE", "GCC_3.0", "GLIBC_"] {
            assert_eq!(Glibc::parse(name), None, "{name}");
        }
    }
}
