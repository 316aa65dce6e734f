//! The SBOM: a CycloneDX document of exactly what a function's artifact is made of.
//!
//! In: the function, its artifact's digest and [`Part`]s, which [`rust`] and [`python`] find. Out: the document's bytes;
//! without serial number and time, sorted, so that the same parts give the same bytes. Goes wrong: a lock file that does not
//! know a part, installed packages that do not say who they are.
//!
//! Layout: <https://cyclonedx.org/docs/1.5/json/>.

mod python;
mod rust;

use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component, Components, Scope};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::external_reference::{
    ExternalReference, ExternalReferenceType, ExternalReferences, Uri,
};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::prelude::{Purl, SpdxExpression, Uri as Address};

pub(crate) use python::{python, unpack};
pub(crate) use rust::{RustCrate, rust};

use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::FunctionName;

/// Something that an artifact is made of, or with.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Part {
    /// Its id in the document, unique there, such as `cargo:bytes@1.12.1`.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its package URL's type, where it comes from that type's public registry: `cargo`, `pypi`.
    pub(crate) registry: Option<&'static str>,
    /// Where it comes from otherwise: a git address with its commit, or another registry.
    pub(crate) origin: Option<String>,
    /// SHA-256 in hex of the file that was fetched, where it is known which.
    pub(crate) sha256: Option<String>,
    /// SHA-256 in hex of the files that may have been fetched, where there are several.
    pub(crate) possible_sha256: Vec<String>,
    /// The licence, as the part itself says.
    pub(crate) licence: Option<String>,
    /// Whether it is in the artifact, rather than only took part in making it.
    pub(crate) shipped: bool,
    /// Ids of its direct dependencies.
    pub(crate) needs: Vec<String>,
}

/// What a function is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Parts {
    /// All parts.
    pub(crate) parts: Vec<Part>,
    /// Ids of the function's own direct dependencies.
    pub(crate) direct: Vec<String>,
}

/// The function's id in its document.
const FUNCTION: &str = "function";

/// Returns the key of an artifact's SBOM.
pub(crate) fn key(artifact: &Digest) -> String {
    format!("sbom/sha256/{}.cdx.json", artifact.hex())
}

/// Returns the key of an SBOM whose artifact has another one already: dependencies may change without changing the bytes.
pub(crate) fn other_key(artifact: &Digest, sbom: &Digest) -> String {
    format!("sbom/sha256/{}.{}.cdx.json", artifact.hex(), &sbom.hex()[..16])
}

/// Writes a function's SBOM.
pub(crate) fn document(function: &FunctionName, artifact: &Digest, parts: Parts) -> Result<Vec<u8>> {
    let Parts { mut parts, mut direct } = parts;
    parts.sort_by(|a, b| a.id.cmp(&b.id));
    direct.sort();
    let mut dependencies = vec![Dependency { dependency_ref: FUNCTION.to_owned(), dependencies: direct }];
    dependencies.extend(parts.iter().map(|part| {
        let mut needs = part.needs.clone();
        needs.sort();
        Dependency { dependency_ref: part.id.clone(), dependencies: needs }
    }));
    let mut main =
        Component::new(Classification::Application, function.as_str(), "", Some(FUNCTION.to_owned()));
    // The release has a version, its bytes have none: the same artifact may be released twice.
    main.version = None;
    main.hashes = Some(sha256(&artifact.hex()));
    let bom = Bom {
        serial_number: None,
        metadata: Some(Metadata { component: Some(main), ..Metadata::default() }),
        components: Some(Components(parts.iter().map(component).collect())),
        dependencies: Some(Dependencies(dependencies)),
        spec_version: SpecVersion::V1_5,
        ..Bom::default()
    };
    let mut bytes = Vec::new();
    bom.output_as_json_v1_5(&mut bytes)
        .map_err(|error| Failure::defect("an SBOM cannot be written as JSON").caused_by(error))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Says what keeps a document from being the SBOM of a function's artifact.
pub(crate) fn check(bytes: &[u8], function: &FunctionName, artifact: &Digest) -> Result<usize, String> {
    let bom = Bom::parse_from_json_v1_5(bytes).map_err(|error| format!("it is no CycloneDX 1.5: {error}"))?;
    let main = bom.metadata.and_then(|metadata| metadata.component).ok_or("it names no component")?;
    if main.name.to_string() != function.as_str() {
        return Err(format!("it is that of `{}`", main.name));
    }
    let names = |hash: &Hash| matches!(hash.alg, HashAlgorithm::SHA_256) && hash.content.0 == artifact.hex();
    if !main.hashes.is_some_and(|hashes| hashes.0.iter().any(names)) {
        return Err("it is that of other bytes".into());
    }
    Ok(bom.components.map_or(0, |components| components.0.len()))
}

fn component(part: &Part) -> Component {
    let mut component =
        Component::new(Classification::Library, &part.name, &part.version, Some(part.id.clone()));
    component.scope = Some(if part.shipped { Scope::Required } else { Scope::Excluded });
    component.purl = part.registry.and_then(|registry| Purl::new(registry, &part.name, &part.version).ok());
    component.hashes = part.sha256.as_deref().map(sha256);
    component.licenses = part.licence.as_deref().map(|licence| Licenses(vec![licence_of(licence)]));
    component.external_references = part.origin.as_deref().map(|origin| {
        let kind = if origin.starts_with("git+") {
            ExternalReferenceType::Vcs
        } else {
            ExternalReferenceType::Distribution
        };
        ExternalReferences(vec![ExternalReference::new(kind, Uri::Url(Address::new(origin)))])
    });
    if !part.possible_sha256.is_empty() {
        let of = |hash: &String| Property::new("slipway:locked:sha256", hash);
        component.properties = Some(Properties(part.possible_sha256.iter().map(of).collect()));
    }
    component
}

fn licence_of(text: &str) -> LicenseChoice {
    match SpdxExpression::parse_lax(text.to_owned()) {
        Ok(expression) => LicenseChoice::Expression(expression),
        Err(_) => LicenseChoice::license(text),
    }
}

fn sha256(hex: &str) -> Hashes {
    Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(hex.to_owned()) }])
}

#[cfg(test)]
mod tests {
    use cyclonedx_bom::validation::Validate as _;

    use super::*;

    pub(super) fn parts() -> Parts {
        let part = |id: &str, licence: &str, shipped| Part {
            id: id.into(),
            name: id.split([':', '@']).nth(1).unwrap().into(),
            version: id.split('@').nth(1).unwrap().into(),
            registry: Some("cargo"),
            sha256: Some(Digest::of(id).hex()),
            licence: Some(licence.into()),
            shipped,
            ..Part::default()
        };
        let mut a = part("cargo:a@1.0.0", "MIT/Apache-2.0", true);
        a.needs = vec!["cargo:c@0.1.0".into(), "cargo:b@2.0.0".into()];
        let mut c = part("cargo:c@0.1.0", "see the file", true);
        (c.registry, c.sha256, c.origin) =
            (None, None, Some("git+https://git.example/c#0123456789abcdef0123456789abcdef01234567".into()));
        c.possible_sha256 = vec!["1".repeat(64), "2".repeat(64)];
        Parts {
            parts: vec![c, part("cargo:b@2.0.0", "Zlib", false), a],
            direct: vec!["cargo:a@1.0.0".into()],
        }
    }

    #[test]
    fn the_document_is_whole_and_the_same_whatever_the_order() {
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let bytes = document(&function, &artifact, parts()).unwrap();
        let mut turned = parts();
        turned.parts.reverse();
        turned.parts.iter_mut().for_each(|part| part.needs.reverse());
        assert_eq!(document(&function, &artifact, turned).unwrap(), bytes);
        let text = String::from_utf8(bytes.clone()).unwrap();
        for absent in ["serialNumber", "timestamp"] {
            assert!(!text.contains(absent), "{text}");
        }
        // Held against CycloneDX's own schema in tests/it/signing.rs.
        assert_eq!(text, include_str!("sbom/sample.cdx.json"));
        let bom = Bom::parse_from_json_v1_5(bytes.as_slice()).unwrap();
        assert!(bom.validate_version(SpecVersion::V1_5).passed(), "{:?}", bom.validate());
    }

    #[test]
    fn a_document_is_that_of_one_functions_bytes() {
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let bytes = document(&function, &artifact, parts()).unwrap();
        assert_eq!(check(&bytes, &function, &artifact), Ok(3));
        assert_eq!(
            check(&bytes, &"other".parse().unwrap(), &artifact),
            Err("it is that of `hello`".to_owned())
        );
        assert_eq!(check(&bytes, &function, &Digest::of("zap")), Err("it is that of other bytes".to_owned()));
        assert!(check(b"{}", &function, &artifact).is_err());
    }
}
