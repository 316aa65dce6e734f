//! The SBOM: a CycloneDX document of the components that a function's artifact is made of.
//!
//! In: the function, its artifact's digest and [`SbomComponents`], which [`rust_components`] and [`python_components`] list.
//! Out: the document's bytes, sorted and without serial number and time, so that the same components give the same bytes.
//! Goes wrong: a component is not in the lock file, an installed package has no name or version.
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

#[cfg(any(test, fuzzing))]
pub(crate) use python::fuzz_metadata;
pub(crate) use python::python_components;
pub(crate) use rust::{RustCrate, rust_components};

use crate::digest::Digest;
use crate::failure::{Failure, Result};
use crate::name::FunctionName;

/// A component of an artifact, or one that took part in its build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SbomComponent {
    /// Its id in the document, unique there, such as `cargo:bytes@1.12.1`.
    pub(crate) id: String,
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its package URL's type, where it comes from that type's public registry: `cargo`, `pypi`.
    pub(crate) registry: Option<&'static str>,
    /// Its source otherwise: a git address with its commit, or another registry.
    pub(crate) origin: Option<String>,
    /// SHA-256 in hex of the file that was downloaded, where it is known which.
    pub(crate) sha256: Option<String>,
    /// SHA-256 in hex of the files that may have been downloaded, where there are several.
    pub(crate) possible_sha256: Vec<String>,
    /// The licence, as the component's own metadata states it.
    pub(crate) licence: Option<String>,
    /// Whether it is in the artifact; if not, it only took part in the build.
    pub(crate) shipped: bool,
    /// Ids of its direct dependencies.
    pub(crate) dependencies: Vec<String>,
}

/// The components of a function.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SbomComponents {
    /// All of them.
    pub(crate) all: Vec<SbomComponent>,
    /// Ids of the function's own direct dependencies.
    pub(crate) direct: Vec<String>,
}

/// The function's id in its document.
const FUNCTION: &str = "function";

/// Returns the key of an artifact's SBOM.
pub(crate) fn key(artifact: &Digest) -> String {
    format!("sbom/sha256/{}.cdx.json", artifact.hex())
}

/// Returns the key of a further SBOM of an artifact: dependencies may change without changing the bytes.
pub(crate) fn other_key(artifact: &Digest, sbom: &Digest) -> String {
    format!("sbom/sha256/{}.{}.cdx.json", artifact.hex(), &sbom.hex()[..16])
}

/// Writes a function's SBOM.
pub(crate) fn document(
    function: &FunctionName,
    artifact: &Digest,
    components: SbomComponents,
) -> Result<Vec<u8>> {
    let SbomComponents { mut all, mut direct } = components;
    all.sort_by(|a, b| a.id.cmp(&b.id));
    direct.sort();
    let mut dependencies = vec![Dependency { dependency_ref: FUNCTION.to_owned(), dependencies: direct }];
    dependencies.extend(all.iter().map(|component| {
        let mut dependencies = component.dependencies.clone();
        dependencies.sort();
        Dependency { dependency_ref: component.id.clone(), dependencies }
    }));
    let mut main =
        Component::new(Classification::Application, function.as_str(), "", Some(FUNCTION.to_owned()));
    // A release has a version, its bytes have none: the same artifact may be released twice.
    main.version = None;
    main.hashes = Some(sha256(&artifact.hex()));
    let bom = Bom {
        serial_number: None,
        metadata: Some(Metadata { component: Some(main), ..Metadata::default() }),
        components: Some(Components(all.iter().map(cyclonedx_component).collect())),
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

/// Returns the number of components in an SBOM, or why it is not that of a function's artifact.
pub(crate) fn component_count(
    bytes: &[u8],
    function: &FunctionName,
    artifact: &Digest,
) -> Result<usize, String> {
    let bom =
        Bom::parse_from_json_v1_5(bytes).map_err(|error| format!("it is not CycloneDX 1.5: {error}"))?;
    let main = bom.metadata.and_then(|metadata| metadata.component).ok_or("it names no component")?;
    if main.name.to_string() != function.as_str() {
        return Err(format!("it is the SBOM of `{}`", main.name));
    }
    let names = |hash: &Hash| matches!(hash.alg, HashAlgorithm::SHA_256) && hash.content.0 == artifact.hex();
    if !main.hashes.is_some_and(|hashes| hashes.0.iter().any(names)) {
        return Err("it is the SBOM of other bytes".into());
    }
    Ok(bom.components.map_or(0, |components| components.0.len()))
}

fn cyclonedx_component(of: &SbomComponent) -> Component {
    let mut component = Component::new(Classification::Library, &of.name, &of.version, Some(of.id.clone()));
    component.scope = Some(if of.shipped { Scope::Required } else { Scope::Excluded });
    component.purl = of.registry.and_then(|registry| Purl::new(registry, &of.name, &of.version).ok());
    component.hashes = of.sha256.as_deref().map(sha256);
    component.licenses = of.licence.as_deref().map(|licence| Licenses(vec![licence_of(licence)]));
    component.external_references = of.origin.as_deref().map(|origin| {
        let kind = if origin.starts_with("git+") {
            ExternalReferenceType::Vcs
        } else {
            ExternalReferenceType::Distribution
        };
        ExternalReferences(vec![ExternalReference::new(kind, Uri::Url(Address::new(origin)))])
    });
    if !of.possible_sha256.is_empty() {
        let property = |hash: &String| Property::new("slipway:locked:sha256", hash);
        component.properties = Some(Properties(of.possible_sha256.iter().map(property).collect()));
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

    fn components() -> SbomComponents {
        let component = |id: &str, licence: &str, shipped| SbomComponent {
            id: id.into(),
            name: id.split([':', '@']).nth(1).unwrap().into(),
            version: id.split('@').nth(1).unwrap().into(),
            registry: Some("cargo"),
            sha256: Some(Digest::of(id).hex()),
            licence: Some(licence.into()),
            shipped,
            ..SbomComponent::default()
        };
        let mut a = component("cargo:a@1.0.0", "MIT/Apache-2.0", true);
        a.dependencies = vec!["cargo:c@0.1.0".into(), "cargo:b@2.0.0".into()];
        let mut c = component("cargo:c@0.1.0", "see the file", true);
        (c.registry, c.sha256, c.origin) =
            (None, None, Some("git+https://git.example/c#0123456789abcdef0123456789abcdef01234567".into()));
        c.possible_sha256 = vec!["1".repeat(64), "2".repeat(64)];
        SbomComponents {
            all: vec![c, component("cargo:b@2.0.0", "Zlib", false), a],
            direct: vec!["cargo:a@1.0.0".into()],
        }
    }

    #[test]
    fn document_is_valid_and_does_not_depend_on_the_order_of_components() {
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let bytes = document(&function, &artifact, components()).unwrap();
        let mut reversed = components();
        reversed.all.reverse();
        reversed.all.iter_mut().for_each(|component| component.dependencies.reverse());
        assert_eq!(document(&function, &artifact, reversed).unwrap(), bytes);
        let text = String::from_utf8(bytes.clone()).unwrap();
        for absent in ["serialNumber", "timestamp"] {
            assert!(!text.contains(absent), "{text}");
        }
        // tests/it/signing.rs validates it with CycloneDX's own schema.
        assert_eq!(text, include_str!("sbom/sample.cdx.json"));
        let bom = Bom::parse_from_json_v1_5(bytes.as_slice()).unwrap();
        assert!(bom.validate_version(SpecVersion::V1_5).passed(), "{:?}", bom.validate());
    }

    #[test]
    fn document_is_accepted_only_for_its_function_and_artifact() {
        let (function, artifact) = ("hello".parse().unwrap(), Digest::of("zip"));
        let bytes = document(&function, &artifact, components()).unwrap();
        assert_eq!(component_count(&bytes, &function, &artifact), Ok(3));
        assert_eq!(
            component_count(&bytes, &"other".parse().unwrap(), &artifact),
            Err("it is the SBOM of `hello`".to_owned())
        );
        assert_eq!(
            component_count(&bytes, &function, &Digest::of("zap")),
            Err("it is the SBOM of other bytes".to_owned())
        );
        assert!(component_count(b"{}", &function, &artifact).is_err());
    }
}
