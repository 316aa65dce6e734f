//! Verifies a signed release with programs that are not Slipway's: OpenSSL, securesystemslib, in-toto's library and CycloneDX's
//! own schema.

use std::path::{Path, PathBuf};
use std::process::Output;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::support::EchoProject;
use crate::support::machine::repository;
use crate::support::process::command;
use crate::support::skip::Missing;

pub(super) fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Finds the system's OpenSSL.
pub(super) fn find_openssl() -> Result<PathBuf, Missing> {
    let programs = ["/usr/bin/openssl", "/usr/local/bin/openssl"].map(PathBuf::from);
    let found = programs.into_iter().find(|program| program.is_file());
    found.ok_or_else(|| Missing::new("openssl is not installed"))
}

/// Runs OpenSSL, which must succeed.
pub(super) fn run_openssl(openssl: &Path, arguments: &[&str]) -> Output {
    let output = command(openssl).args(arguments).output().expect("openssl runs");
    assert!(
        output.status.success(),
        "openssl {arguments:?}: {} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[expect(clippy::disallowed_methods, reason = "the machine's settings for packages")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Builds the signed bytes by hand and verifies their signature with OpenSSL.
pub(super) fn verify_with_openssl(
    write: &impl Fn(&str, &[u8]) -> PathBuf,
    envelope: &[u8],
    public: &Path,
) -> Result<(), Missing> {
    let openssl = find_openssl()?;
    let envelope: Value = serde_json::from_slice(envelope).expect("an envelope");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let payload = BASE64_STANDARD.decode(text(&envelope["payload"])).expect("base64");
    let signature = BASE64_STANDARD.decode(text(&envelope["signatures"][0]["sig"])).expect("base64");
    let payload_type = text(&envelope["payloadType"]);
    let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    signed.extend_from_slice(&payload);
    let (signed, signature) = (write("signed", &signed), write("signature", &signature));
    let arguments =
        ["dgst", "-sha256", "-verify", path(public), "-signature", path(&signature), path(&signed)];
    assert_eq!(run_openssl(&openssl, &arguments).stdout, b"Verified OK\n");
    Ok(())
}

const VERIFIER: &str = r#"
import hashlib, json, sys
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cyclonedx.schema import SchemaVersion
from google.protobuf import json_format
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from cyclonedx.validation.json import JsonStrictValidator

_, envelope, public, sbom, sample = sys.argv
read = json.load(open(envelope))
key = SSlibKey.from_crypto(load_pem_public_key(open(public, "rb").read()), keyid=read["signatures"][0]["keyid"])
parsed = Envelope.from_dict(read)
parsed.verify([key], 1)
sbom = open(sbom).read()
named = {subject["digest"]["sha256"] for subject in json.loads(parsed.payload)["subject"]}
assert hashlib.sha256(sbom.encode()).hexdigest() in named, named
# in-toto's own library: the statement, and SLSA's provenance in it, without a field that it does not know.
stated = json.loads(parsed.payload)
provenance = json_format.ParseDict(stated["predicate"], Provenance())
assert provenance.build_definition.build_type == "https://github.com/slipway/slipway/build-type/2"
names = {dependency.name for dependency in provenance.build_definition.resolved_dependencies}
assert {"source", "Cargo.lock"} <= names, names
assert provenance.build_definition.internal_parameters["dirty"] is False
statement = Statement([], stated["predicateType"], {})
json_format.ParseDict(stated, statement.pb)
statement.validate()
parsed.payload += b" "
try:
    parsed.verify([key], 1)
    sys.exit("a changed payload was verified")
except VerificationError:
    pass
for document in (sbom, open(sample).read()):
    error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(document)
    assert error is None, error
print("verified")
"#;

/// Verifies the envelope with securesystemslib, the statement with in-toto's library, and the SBOM with CycloneDX's own schema.
pub(super) fn verify_with_python(
    project: &EchoProject,
    folder: &Path,
    envelope: &Path,
    public: &Path,
    sbom: &Path,
) -> Result<(), Missing> {
    let venv = folder.join("venv");
    let pythons = ["/usr/bin/python3", "/usr/local/bin/python3"].map(PathBuf::from);
    let Some(python) = pythons.iter().find(|python| python.is_file()) else {
        return Err(Missing::new("python3 is not installed"));
    };
    let settings =
        ["HTTPS_PROXY", "NO_PROXY", "PIP_CERT", "PIP_INDEX_URL", "PIP_FIND_LINKS", "SSL_CERT_FILE"];
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = command(program);
        command.args(arguments).env("HOME", &project.home).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.envs(settings.iter().filter_map(|name| Some((name, variable(name)?))));
        command.output().expect("a program that runs")
    };
    let created = run(python, &["-m", "venv", path(&venv)]);
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "securesystemslib[crypto]==1.6.0",
        "in-toto-attestation==0.9.3",
        "cyclonedx-python-lib[json-validation]==11.12.0",
    ];
    if !created.status.success() || !run(&venv.join("bin/python"), &pip).status.success() {
        return Err(Missing::new(
            "securesystemslib, in-toto-attestation and cyclonedx-python-lib cannot be installed from PyPI",
        ));
    }
    // A sample with everything that Slipway writes: this project's function has no dependencies.
    let sample = repository().join("xtask/src/release/sbom/sample.cdx.json");
    let files = [envelope, public, sbom, &sample].map(path);
    let arguments: Vec<&str> = ["-c", VERIFIER].into_iter().chain(files).collect();
    let output = run(&venv.join("bin/python"), &arguments);
    assert!(
        output.stdout == b"verified\n",
        "{} {}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
