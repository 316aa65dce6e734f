//! The content of a statement, the manifest that it is about, and its claims.

use super::*;
use crate::release::sample_manifest;

/// Returns the invocation of a build in CI.
pub(crate) fn invocation() -> BuildInvocation {
    BuildInvocation {
        builder: "https://ci.example/job/release".into(),
        id: "https://ci.example/job/release/7".into(),
        started_on: "2026-11-01T00:00:00Z".parse().unwrap(),
        git_ref: Some("refs/heads/main".into()),
        workflow: Some(".github/workflows/release.yml".into()),
    }
}

fn manifest() -> Manifest {
    let mut manifest = sample_manifest("hello", "1.2.3");
    manifest.source.repository = Some("https://git.example/shop".into());
    manifest.sbom = Some(Digest::of("sbom"));
    manifest.sealed()
}

#[test]
fn statement_has_the_layout_of_in_toto_and_slsa() {
    let statement = Statement::of(&manifest(), &invocation()).unwrap();
    let mut json: serde_json::Value = serde_json::from_slice(&statement.bytes().unwrap()).unwrap();
    json["predicate"]["runDetails"]["builder"]["version"]["slipway"] = "[version]".into();
    json["subject"][1]["digest"]["sha256"] = "[manifest]".into();
    insta::assert_json_snapshot!(json, @r#"
    {
      "_type": "https://in-toto.io/Statement/v1",
      "subject": [
        {
          "name": "artifacts/sha256/c1c6cc37f8913fce5ac4f668f3654a71bd7a67eb633cb8c62ec427f11a45e8b4.zip",
          "digest": {
            "sha256": "c1c6cc37f8913fce5ac4f668f3654a71bd7a67eb633cb8c62ec427f11a45e8b4"
          }
        },
        {
          "name": "releases/hello/1.2.3.json",
          "digest": {
            "sha256": "[manifest]"
          }
        },
        {
          "name": "sbom/sha256/c1c6cc37f8913fce5ac4f668f3654a71bd7a67eb633cb8c62ec427f11a45e8b4.cdx.json",
          "digest": {
            "sha256": "98f3ae1ef67113d8140d4f6cb8d2830070e21ea48f091be519659846c771a374"
          }
        }
      ],
      "predicateType": "https://slsa.dev/provenance/v1",
      "predicate": {
        "buildDefinition": {
          "buildType": "https://github.com/slipway/slipway/blob/main/docs/how-to/signing.md#build-type-1",
          "externalParameters": {
            "function": "hello",
            "version": "1.2.3",
            "repository": "https://git.example/shop",
            "ref": "refs/heads/main",
            "commit": "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0",
            "workflow": ".github/workflows/release.yml"
          },
          "internalParameters": {
            "inputs_digest": "sha256:a2b7f372caf21d59e0f780c3ee4b234280cc80d6f8fd7a091729d6ca32858955",
            "tools": {}
          },
          "resolvedDependencies": [
            {
              "uri": "git+https://git.example/shop@refs/heads/main",
              "name": "source",
              "digest": {
                "gitCommit": "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0"
              }
            }
          ]
        },
        "runDetails": {
          "builder": {
            "id": "https://ci.example/job/release",
            "version": {
              "slipway": "[version]"
            }
          },
          "metadata": {
            "invocationId": "https://ci.example/job/release/7",
            "startedOn": "2026-11-01T00:00:00Z"
          }
        }
      }
    }
    "#);
    assert_eq!(Statement::read(&statement.bytes().unwrap()).unwrap(), statement);
}

#[test]
fn statement_is_about_one_manifest_alone() {
    let manifest = manifest();
    let statement = Statement::of(&manifest, &invocation()).unwrap();
    assert_eq!(statement.differences(&manifest).unwrap(), Vec::<String>::new());
    let change = |change: fn(&mut Manifest)| {
        let mut other = manifest.clone();
        change(&mut other);
        statement.differences(&other.sealed()).unwrap().join("; ")
    };
    assert!(
        change(|manifest| manifest.handler = "other".into())
            .contains("no subject is releases/hello/1.2.3.json")
    );
    assert!(
        change(|manifest| manifest.artifact.sha256 = Digest::of("other"))
            .contains("no subject is artifacts/")
    );
    assert!(change(|manifest| manifest.sbom = Some(Digest::of("other"))).contains("no subject is sbom/"));
    assert!(change(|manifest| manifest.sbom = None).contains("3 subjects instead of 2"));
    assert!(change(|manifest| manifest.source.commit = "0".repeat(40)).contains("it states commit 3f2a91c0"));
    assert!(change(|manifest| manifest.version = "1.2.4".parse().unwrap()).contains("about `hello` 1.2.3"));
    assert!(change(|manifest| manifest.source.repository = None).contains("another repository"));
}

#[test]
fn claims_must_match_exactly() {
    let statement = Statement::of(&manifest(), &invocation()).unwrap();
    let claims = |repository: &str, git_ref: &str, workflow: &str| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ProvenanceClaims { repository: some(repository), git_ref: some(git_ref), workflow: some(workflow) }
    };
    let met = claims("https://git.example/shop", "refs/heads/main", ".github/workflows/release.yml");
    assert_eq!(statement.missing_claims(&met), Vec::<String>::new());
    assert_eq!(statement.missing_claims(&claims("", "", "")), Vec::<String>::new());
    assert_eq!(
        statement.missing_claims(&claims("https://git.example/shop2", "refs/heads/ma", "")),
        [
            "repository is https://git.example/shop, must be https://git.example/shop2",
            "ref is refs/heads/main, must be refs/heads/ma"
        ]
    );
    let silent = BuildInvocation { workflow: None, ..invocation() };
    let silent = Statement::of(&manifest(), &silent).unwrap();
    assert_eq!(
        silent.missing_claims(&claims("", "", "release.yml")),
        ["workflow is not stated, must be release.yml"]
    );
}
