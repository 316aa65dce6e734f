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
        identity: Some(crate::identity::tests::identity()),
        materials: vec![
            Material { name: "rustc".into(), uri: Some("pkg:generic/rustc@1.95.0".into()), sha256: None },
            Material { name: "Cargo.lock".into(), uri: None, sha256: Some("0".repeat(64)) },
        ],
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
          "buildType": "https://github.com/slipway/slipway/build-type/2",
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
            "tools": {},
            "dirty": false,
            "identity": {
              "builder": "github",
              "issuer": "https://ci.example",
              "audience": "slipway",
              "subject": "repo:acme/shop:environment:release",
              "builder_id": "https://ci.example/job/release",
              "repository": "https://git.example/shop",
              "ref": "refs/heads/main",
              "commit": "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0",
              "workflow": ".github/workflows/release.yml",
              "run": "https://ci.example/job/release/7",
              "actor": "ada",
              "environment": "release",
              "key": "k1",
              "verified_at": "2026-11-01T00:00:00Z"
            }
          },
          "resolvedDependencies": [
            {
              "uri": "git+https://git.example/shop@refs/heads/main",
              "name": "source",
              "digest": {
                "gitCommit": "3f2a91c03f2a91c03f2a91c03f2a91c03f2a91c0"
              }
            },
            {
              "name": "Cargo.lock",
              "digest": {
                "sha256": "0000000000000000000000000000000000000000000000000000000000000000"
              }
            },
            {
              "uri": "pkg:generic/rustc@1.95.0",
              "name": "rustc"
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
        ProvenanceClaims {
            builder: None,
            repository: some(repository),
            git_ref: some(git_ref),
            workflow: some(workflow),
        }
    };
    let met = claims("https://git.example/shop", "refs/heads/main", ".github/workflows/release.yml");
    let missing = |claims: &ProvenanceClaims| statement.missing_claims(claims, None);
    assert_eq!(missing(&met), Vec::<String>::new());
    assert_eq!(missing(&claims("", "", "")), Vec::<String>::new());
    assert_eq!(
        missing(&claims("https://git.example/shop2", "refs/heads/ma", "")),
        [
            "repository is https://git.example/shop, must be https://git.example/shop2",
            "ref is refs/heads/main, must be refs/heads/ma"
        ]
    );
    // What a token proves counts, whatever the statement says of itself.
    let silent = VerifiedIdentity { workflow: None, ..crate::identity::tests::identity() };
    let silent = BuildInvocation { identity: Some(silent), ..invocation() };
    let silent = Statement::of(&manifest(), &silent).unwrap();
    assert_eq!(
        silent.missing_claims(&claims("", "", "release.yml"), None),
        ["workflow is not stated, must be release.yml"]
    );
}

#[test]
fn builder_that_is_required_is_proven_by_its_own_issuer() {
    let proven = Statement::of(&manifest(), &invocation()).unwrap();
    let unverified = BuildInvocation { identity: None, ..invocation() };
    let unverified = Statement::of(&manifest(), &unverified).unwrap();
    let github = ProvenanceClaims { builder: Some("github".into()), ..ProvenanceClaims::default() };
    let issuer = Some("https://ci.example");
    assert_eq!(proven.missing_claims(&github, issuer), Vec::<String>::new());
    // The name that a statement gives its builder is no evidence.
    for other in [Some("https://token.actions.githubusercontent.com"), None] {
        let missing = proven.missing_claims(&github, other);
        assert!(
            missing[0].starts_with("it was built by https://ci.example, must be `github`"),
            "{missing:?}"
        );
    }
    let missing = unverified.missing_claims(&github, issuer);
    assert!(missing[0].starts_with("its claims are unverified"), "{missing:?}");
    assert_eq!(unverified.missing_claims(&ProvenanceClaims::default(), None), Vec::<String>::new());
    assert!(unverified.identity().is_none() && proven.identity().is_some());
}

#[test]
fn statement_says_whether_it_is_of_uncommitted_changes_and_its_token_of_which_commit() {
    let mut dirty = manifest();
    dirty.source.dirty = true;
    let statement = Statement::of(&manifest(), &invocation()).unwrap();
    let wrong = statement.differences(&dirty.sealed()).unwrap().join("; ");
    assert!(wrong.contains("uncommitted changes"), "{wrong}");
    let other = VerifiedIdentity { commit: Some("0".repeat(40)), ..crate::identity::tests::identity() };
    let other = BuildInvocation { identity: Some(other), ..invocation() };
    let wrong = Statement::of(&manifest(), &other).unwrap().differences(&manifest()).unwrap();
    assert_eq!(wrong, ["its builder's token was for another commit than the manifest's"]);
}

#[test]
fn fields_that_are_not_known_are_ignored_and_build_types_that_are_not_known_are_refused() {
    let statement = Statement::of(&manifest(), &invocation()).unwrap();
    let text = String::from_utf8(statement.bytes().unwrap()).unwrap();
    let more = text.replacen("{\"_type\"", "{\"more\":[1],\"_type\"", 1);
    let more = more.replacen("\"buildType\"", "\"later\":{},\"buildType\"", 1);
    assert_ne!(more, text);
    assert_eq!(Statement::read(more.as_bytes()).unwrap(), statement);
    let later = text.replacen("build-type/2", "build-type/3", 1);
    assert!(Statement::read(later.as_bytes()).unwrap_err().contains("build-type/3"));
}
