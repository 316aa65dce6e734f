//! Choosing versions and publishing, with a store in memory and a real repository; documents that earlier versions stored.

mod lines;
mod owner;
mod stored;

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Catalogue, InputsRecord, Manifest, PublishedRelease, ReleaseContent, ReleaseStatements, VersionBump,
    VersionChoice, VersionRequest, artifact_key, choose_version, publish, sample_manifest,
};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::fakes::{FakeStore, Fault, Faults};
use crate::name::Version;
use crate::progress::Progress;
use crate::source::tests::{Tree, hello};

struct Releases {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl Releases {
    fn new() -> Self {
        let faults = Arc::new(Faults::default());
        let store = FakeStore::new("artifacts", faults.clone());
        let catalogue = Catalogue::new(store.clone());
        Self { faults, store, catalogue, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes an artifact's file and makes the manifest of its release.
    fn built(&self, version: &str, bytes: &str) -> (Manifest, PathBuf) {
        let zip = self.folder.path().join(format!("{bytes}.zip"));
        std::fs::write(&zip, bytes).unwrap();
        let mut manifest = sample_manifest("hello", version);
        let sha256 = Digest::of(bytes);
        manifest.artifact.sha256 = sha256;
        manifest.artifact.code_sha256 = sha256.base64();
        manifest.artifact.key = artifact_key(&sha256);
        manifest.artifact.size = bytes.len() as u64;
        manifest.source.inputs_digest = Digest::of(format!("inputs of {bytes}"));
        (manifest.sealed(), zip)
    }

    async fn publish(&self, version: &str, bytes: &str, exact: bool) -> Result<PublishedRelease> {
        let (manifest, zip) = self.built(version, bytes);
        let step = Progress::silent().step("publish", "hello");
        publish(
            &self.catalogue,
            manifest,
            ReleaseContent::Zip(&zip),
            ReleaseStatements::default(),
            exact,
            &step,
        )
        .await
    }

    /// Publishes a release of the source in a tree.
    async fn release(&self, tree: &Tree, version: &str) -> Manifest {
        let source = tree.source();
        let (mut manifest, zip) = self.built(version, version);
        manifest.source.commit = source.commit;
        manifest.source.inputs_digest = source.inputs_digest;
        manifest.source.dirty = source.dirty;
        InputsRecord::of(&source.inputs).store(&self.catalogue, &source.inputs_digest).await.unwrap();
        let step = Progress::silent().step("publish", "hello");
        let published = publish(
            &self.catalogue,
            manifest.sealed(),
            ReleaseContent::Zip(&zip),
            ReleaseStatements::default(),
            true,
            &step,
        )
        .await;
        published.unwrap().manifest().clone()
    }

    async fn choose(&self, tree: &Tree, request: VersionRequest) -> Result<VersionChoice> {
        let project = tree.project();
        let settings = project.function(&hello()).unwrap();
        choose_version(&self.catalogue, &tree.repository(), &hello(), settings, &tree.source(), &request)
            .await
    }

    /// Returns the choice as text: `reuse 0.1.0`, `0.2.0: 1 change since 0.1.0`.
    async fn chosen(&self, tree: &Tree, request: VersionRequest) -> String {
        match self.choose(tree, request).await.unwrap() {
            VersionChoice::Reuse { manifest, newest: None } => format!("reuse {}", manifest.version),
            VersionChoice::Reuse { manifest, newest: Some(newest) } => {
                format!("reuse {} although {newest} is newer", manifest.version)
            }
            VersionChoice::New { version, reason, exact, notes } => {
                let notes = notes.iter().map(|note| format!("; {note}")).collect::<String>();
                format!("{version}: {reason}{}{notes}", if exact { " (exact)" } else { "" })
            }
        }
    }
}

fn exactly(version: &str) -> VersionRequest {
    VersionRequest { version: Some(version.parse().unwrap()), ..VersionRequest::default() }
}

fn bump(bump: VersionBump) -> VersionRequest {
    VersionRequest { bump: Some(bump), ..VersionRequest::default() }
}

fn details(failure: &Failure) -> String {
    let report = failure.report();
    let details = report.details.iter().map(|detail| format!("{} {}\n", detail.name, detail.value));
    format!("{}\n{}{}", report.message, details.collect::<String>(), report.hint.unwrap_or_default())
}

#[tokio::test]
async fn next_version_follows_from_the_changed_inputs() {
    let (releases, tree) = (Releases::new(), Tree::new());
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "0.1.0: first release");
    releases.release(&tree, "0.1.0").await;
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "reuse 0.1.0");
    tree.write("README.md", "elsewhere");
    tree.commit("feat!: elsewhere");
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "reuse 0.1.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("no convention");
    assert_eq!(
        releases.chosen(&tree, VersionRequest::default()).await,
        "0.1.1: 1 change since 0.1.0 that says no type"
    );
    tree.write("crates/shared/src/lib.rs", "fn more() {}\n");
    tree.commit("feat: more");
    assert_eq!(
        releases.chosen(&tree, VersionRequest::default()).await,
        "0.2.0: 2 changes since 0.1.0, 1 says no type"
    );
    releases.release(&tree, "0.2.0").await;
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "reuse 0.2.0");
}

#[tokio::test]
async fn bump_or_force_gives_a_new_version_of_the_same_inputs() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.release(&tree, "1.4.2").await;
    assert_eq!(releases.chosen(&tree, bump(VersionBump::Major)).await, "2.0.0: changed inputs since 1.4.2");
    assert_eq!(releases.chosen(&tree, bump(VersionBump::Minor)).await, "1.5.0: changed inputs since 1.4.2");
    let force = VersionRequest { force: true, ..VersionRequest::default() };
    assert_eq!(releases.chosen(&tree, force).await, "1.4.3: changed inputs since 1.4.2");
}

#[tokio::test]
async fn requested_version_is_used_exactly_or_refused() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.release(&tree, "1.0.0").await;
    assert_eq!(releases.chosen(&tree, exactly("1.0.0")).await, "reuse 1.0.0");
    assert_eq!(releases.chosen(&tree, exactly("3.0.0-rc.1")).await, "3.0.0-rc.1: requested (exact)");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    let failure = releases.choose(&tree, exactly("1.1.0")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.report().hint.unwrap().contains("1.1.0-dirty."), "{failure}");
}

#[tokio::test]
async fn dirty_version_is_named_by_its_inputs() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.release(&tree, "1.0.0").await;
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    let digest = tree.source().inputs_digest;
    let dirty = Version::new(1, 0, 1).dirty(&digest);
    assert_eq!(
        releases.chosen(&tree, VersionRequest::default()).await,
        format!("{dirty}: changed inputs since 1.0.0, with changes that are not committed")
    );
    releases.release(&tree, &dirty.to_string()).await;
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, format!("reuse {dirty}"));
    // A clean release of the same inputs follows the newest clean one, not the dirty one.
    tree.commit("fix: one");
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "1.0.1: 1 change since 1.0.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    assert!(releases.chosen(&tree, VersionRequest::default()).await.starts_with("1.0.1-dirty."));
}

#[tokio::test]
async fn empty_catalogue_continues_from_the_tags_that_head_descends_from() {
    let (releases, tree) = (Releases::new(), Tree::new());
    tree.git(&["tag", "hello-v1.2.0"]);
    tree.git(&["tag", "hello-two-v8.0.0"]);
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "1.2.0: as tagged hello-v1.2.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("feat: more");
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "1.3.0: 1 change since 1.2.0");
    tree.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 3; }\n");
    tree.commit("fix: side");
    tree.git(&["tag", "hello-v7.0.0"]);
    tree.git(&["checkout", "--quiet", "main"]);
    assert_eq!(releases.chosen(&tree, VersionRequest::default()).await, "1.3.0: 1 change since 1.2.0");
}

#[tokio::test]
async fn shallow_clone_without_the_newest_release_is_refused_and_rewritten_history_is_not() {
    let (releases, tree) = (Releases::new(), Tree::new());
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("feat: one");
    releases.release(&tree, "1.0.0").await;
    // The history is rewritten: the number counts, the commit does not.
    tree.git(&["commit", "--quiet", "--amend", "--message", "feat: two"]);
    tree.git(&["reflog", "expire", "--expire=now", "--all"]);
    tree.git(&["gc", "--quiet", "--prune=now"]);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    tree.commit("feat: three");
    assert_eq!(
        releases.chosen(&tree, VersionRequest::default()).await,
        "1.0.1: changed since 1.0.0 (its commit is no longer in the history)"
    );
    let url = format!("file://{}", tree.root().display());
    let clone = tree.root().join("clone");
    tree.git(&["clone", "--quiet", "--depth=1", &url, &clone.to_string_lossy()]);
    let project = crate::settings::Project::load(&clone).unwrap();
    let repository = crate::source::Repository::open(&clone).unwrap();
    let source =
        crate::source::Source::read(&project, &crate::source::tests::process_env(), &repository, &hello())
            .unwrap();
    let settings = project.function(&hello()).unwrap();
    let request = VersionRequest::default();
    let failure = choose_version(&releases.catalogue, &repository, &hello(), settings, &source, &request)
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert!(failure.message().starts_with("this is a shallow clone"), "{failure}");
    // A version that is named needs no history.
    let named = exactly("2.0.0");
    choose_version(&releases.catalogue, &repository, &hello(), settings, &source, &named).await.unwrap();
}

#[tokio::test]
async fn publishing_stores_the_manifest_last_and_can_be_repeated_after_any_crash() {
    for call in 0.. {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorBefore, Fault::ErrorAfter] {
            let releases = Releases::new();
            releases.faults.arm(Some((call, fault)));
            let first = releases.faults.run_until_crash(releases.publish("1.0.0", "zip", true)).await;
            let manifests = releases.store.objects("releases/").len();
            assert!(
                manifests == 0 || releases.store.objects("artifacts/").len() == 1,
                "a manifest without its bytes"
            );
            let struck = releases.faults.triggered_at().is_some();
            assert_eq!(struck, !matches!(first, Some(Ok(_))), "call {call}");
            releases.faults.arm(None);
            let second = releases.publish("1.0.0", "zip", true).await.unwrap();
            assert_eq!(matches!(second, PublishedRelease::New(_)), manifests == 0, "call {call} {fault:?}");
            releases.catalogue.check_artifact(second.manifest()).await.unwrap();
            if !struck {
                return;
            }
        }
    }
}

#[tokio::test]
async fn same_release_with_other_times_is_not_a_new_one() {
    let releases = Releases::new();
    releases.publish("1.0.0", "zip", false).await.unwrap();
    let (mut again, zip) = releases.built("1.0.0", "zip");
    again.built.by = "somebody else".into();
    again.built.at = "2026-11-20T00:00:00Z".parse().unwrap();
    let step = Progress::silent().step("publish", "hello");
    let published = publish(
        &releases.catalogue,
        again.sealed(),
        ReleaseContent::Zip(&zip),
        ReleaseStatements::default(),
        true,
        &step,
    )
    .await
    .unwrap();
    assert!(matches!(&published, PublishedRelease::Existing(manifest) if manifest.built.by == "test"));
}

#[tokio::test]
async fn other_bytes_never_replace_an_existing_version() {
    let releases = Releases::new();
    releases.publish("1.0.0", "one", true).await.unwrap();
    let before = releases.store.objects("releases/");
    let failure = releases.publish("1.0.0", "two", true).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let text = details(&failure);
    for digest in [Digest::of("one"), Digest::of("two")] {
        assert!(text.contains(&digest.to_string()), "{text}");
    }
    assert_eq!(releases.store.objects("releases/"), before);
    // A dirty version names its inputs: another number would be wrong.
    releases.publish("1.0.1-dirty.abcdef01", "three", false).await.unwrap();
    let failure = releases.publish("1.0.1-dirty.abcdef01", "four", false).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn taken_version_moves_on_to_the_next_number() {
    let releases = Releases::new();
    releases.publish("1.0.0", "one", false).await.unwrap();
    releases.publish("1.0.1", "two", false).await.unwrap();
    let published = releases.publish("1.0.0", "three", false).await.unwrap();
    assert_eq!(published.manifest().version.to_string(), "1.0.2");
    let (function, version) = (hello(), Version::new(1, 0, 2));
    let stored = releases.catalogue.manifest(&function, &version).await.unwrap();
    assert_eq!(&stored, published.manifest(), "sealed again with its number");
    for number in 3..30 {
        releases.publish(&format!("1.0.{number}"), &format!("bytes {number}"), true).await.unwrap();
    }
    let failure = releases.publish("1.0.0", "late", false).await.unwrap_err();
    assert!(failure.message().contains("versions in a row"), "{failure}");
}

#[tokio::test]
async fn replaced_bytes_and_edited_manifests_are_refused() {
    let releases = Releases::new();
    let manifest = releases.publish("1.0.0", "zip", true).await.unwrap().manifest().clone();
    let key = manifest.artifact.key.clone();
    releases.store.set(&key, *b"zi");
    let failure = releases.publish("1.0.1", "zip", true).await.unwrap_err();
    assert!(failure.message().contains("other bytes under the name"), "{failure}");
    let failure = releases.catalogue.check_artifact(&manifest).await.unwrap_err();
    assert!(failure.message().ends_with("2 bytes instead of 3"), "{failure}");
    releases.store.set(&key, *b"zap");
    let failure = releases.catalogue.check_artifact(&manifest).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.message().contains("`hello` 1.0.0") && failure.message().contains("was replaced"));
    releases.store.remove(&key);
    let failure = releases.catalogue.check_artifact(&manifest).await.unwrap_err();
    assert!(failure.message().ends_with("the object is missing"), "{failure}");
    let name = Manifest::key(&manifest.function, &manifest.version);
    let text = String::from_utf8(manifest.bytes().unwrap()).unwrap();
    releases.store.set(&name, text.replace("bootstrap", "bootstrip"));
    let failure = releases.catalogue.manifest(&hello(), &manifest.version).await.unwrap_err();
    assert!(failure.message().contains("was edited"), "{failure}");
    let failure = releases.publish("1.0.0", "other", true).await.unwrap_err();
    assert!(failure.message().contains("was edited"), "{failure}");
}

#[tokio::test]
async fn unknown_version_lists_the_nearest_versions() {
    let releases = Releases::new();
    let wanted: Version = "1.4.2".parse().unwrap();
    let failure = releases.catalogue.manifest(&hello(), &wanted).await.unwrap_err();
    assert!(failure.report().hint.unwrap().contains("has no release of `hello` yet"));
    for version in ["0.9.0", "1.4.1", "1.5.0", "2.0.0"] {
        releases.publish(version, version, true).await.unwrap();
    }
    let failure = releases.catalogue.manifest(&hello(), &wanted).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert_eq!(failure.report().hint.unwrap(), "the nearest versions that exist: 1.4.1, 1.5.0, 2.0.0, 0.9.0");
    let newest = releases.catalogue.newest(&hello()).await.unwrap().unwrap();
    assert_eq!(newest.version.to_string(), "2.0.0");
}
