//! Choosing and publishing over a store in memory and a real repository.

use std::path::PathBuf;
use std::sync::Arc;

use super::{
    Bump, Catalogue, Choice, Content, Manifest, Published, Request, Statements, artifact_key, choose,
    publish, sample_manifest,
};
use crate::digest::Digest;
use crate::failure::{Failure, FailureKind, Result};
use crate::fakes::{FakeStore, Fault, Faults};
use crate::name::Version;
use crate::progress::Progress;
use crate::source::tests::{Tree, hello};

struct Shelf {
    faults: Arc<Faults>,
    store: Arc<FakeStore>,
    catalogue: Catalogue,
    folder: tempfile::TempDir,
}

impl Shelf {
    fn new() -> Self {
        let faults = Arc::new(Faults::default());
        let store = FakeStore::new("artifacts", faults.clone());
        let catalogue = Catalogue::new(store.clone());
        Self { faults, store, catalogue, folder: tempfile::tempdir().unwrap() }
    }

    /// Writes an artifact's file and makes the manifest of a release of it.
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

    async fn publish(&self, version: &str, bytes: &str, asked: bool) -> Result<Published> {
        let (manifest, zip) = self.built(version, bytes);
        let step = Progress::silent().step("publish", "hello");
        publish(&self.catalogue, manifest, Content::Zip(&zip), Statements::default(), asked, &step).await
    }

    /// Publishes a release of what lies in a tree.
    async fn release(&self, tree: &Tree, version: &str) -> Manifest {
        let source = tree.look();
        let (mut manifest, zip) = self.built(version, version);
        manifest.source.commit = source.commit;
        manifest.source.inputs_digest = source.inputs_digest;
        manifest.source.dirty = source.dirty;
        let step = Progress::silent().step("publish", "hello");
        let published = publish(
            &self.catalogue,
            manifest.sealed(),
            Content::Zip(&zip),
            Statements::default(),
            true,
            &step,
        )
        .await;
        published.unwrap().manifest().clone()
    }

    async fn choose(&self, tree: &Tree, request: Request) -> Result<Choice> {
        let project = tree.project();
        let settings = project.function(&hello()).unwrap();
        choose(&self.catalogue, &tree.repository(), &hello(), settings, &tree.look(), &request).await
    }

    /// Says what is chosen: `reuse 0.1.0`, `0.2.0: 1 change since 0.1.0`.
    async fn chosen(&self, tree: &Tree, request: Request) -> String {
        match self.choose(tree, request).await.unwrap() {
            Choice::Reuse(manifest) => format!("reuse {}", manifest.version),
            Choice::New { version, why, asked } => {
                format!("{version}: {why}{}", if asked { " (asked)" } else { "" })
            }
        }
    }
}

fn asked(version: &str) -> Request {
    Request { version: Some(version.parse().unwrap()), ..Request::default() }
}

fn bump(bump: Bump) -> Request {
    Request { bump: Some(bump), ..Request::default() }
}

fn details(failure: &Failure) -> String {
    let report = failure.report();
    let details = report.details.iter().map(|detail| format!("{} {}\n", detail.name, detail.value));
    format!("{}\n{}{}", report.message, details.collect::<String>(), report.hint.unwrap_or_default())
}

#[tokio::test]
async fn the_next_version_follows_from_what_changed() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "0.1.0: first release");
    shelf.release(&tree, "0.1.0").await;
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "reuse 0.1.0");
    tree.write("README.md", "elsewhere");
    tree.commit("feat!: elsewhere");
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "reuse 0.1.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("no convention");
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "0.1.1: 1 change since 0.1.0");
    tree.write("crates/shared/src/lib.rs", "fn more() {}\n");
    tree.commit("feat: more");
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "0.2.0: 2 changes since 0.1.0");
    shelf.release(&tree, "0.2.0").await;
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "reuse 0.2.0");
}

#[tokio::test]
async fn a_bump_or_force_cuts_a_new_one_of_the_same_inputs() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    shelf.release(&tree, "1.4.2").await;
    assert_eq!(shelf.chosen(&tree, bump(Bump::Major)).await, "2.0.0: changed inputs since 1.4.2");
    assert_eq!(shelf.chosen(&tree, bump(Bump::Minor)).await, "1.5.0: changed inputs since 1.4.2");
    let force = Request { force: true, ..Request::default() };
    assert_eq!(shelf.chosen(&tree, force).await, "1.4.3: changed inputs since 1.4.2");
}

#[tokio::test]
async fn a_version_that_is_asked_for_is_that_one_or_nothing() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    shelf.release(&tree, "1.0.0").await;
    assert_eq!(shelf.chosen(&tree, asked("1.0.0")).await, "reuse 1.0.0");
    assert_eq!(shelf.chosen(&tree, asked("3.0.0-rc.1")).await, "3.0.0-rc.1: asked for (asked)");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    let failure = shelf.choose(&tree, asked("1.1.0")).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(failure.report().hint.unwrap().contains("1.1.0-dirty."), "{failure}");
}

#[tokio::test]
async fn what_no_commit_holds_is_named_by_its_inputs() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    shelf.release(&tree, "1.0.0").await;
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    let digest = tree.look().inputs_digest;
    let dirty = Version::new(1, 0, 1).dirty(&digest);
    assert_eq!(
        shelf.chosen(&tree, Request::default()).await,
        format!("{dirty}: changed inputs since 1.0.0, with changes that are not committed")
    );
    shelf.release(&tree, &dirty.to_string()).await;
    assert_eq!(shelf.chosen(&tree, Request::default()).await, format!("reuse {dirty}"));
    // A clean release of the same inputs follows the newest clean one, not the dirty one.
    tree.commit("fix: one");
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "1.0.1: 1 change since 1.0.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    assert!(shelf.chosen(&tree, Request::default()).await.starts_with("1.0.1-dirty."));
}

#[tokio::test]
async fn an_empty_catalogue_goes_on_from_the_tags_that_head_descends_from() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    tree.git(&["tag", "hello-v1.2.0"]);
    tree.git(&["tag", "hello-two-v8.0.0"]);
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "1.2.0: as tagged hello-v1.2.0");
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("feat: more");
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "1.3.0: 1 change since 1.2.0");
    tree.git(&["checkout", "--quiet", "-b", "side", "HEAD~1"]);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 3; }\n");
    tree.commit("fix: side");
    tree.git(&["tag", "hello-v7.0.0"]);
    tree.git(&["checkout", "--quiet", "main"]);
    assert_eq!(shelf.chosen(&tree, Request::default()).await, "1.3.0: 1 change since 1.2.0");
}

#[tokio::test]
async fn a_history_that_lacks_the_newest_release_is_told_apart_from_a_shallow_one() {
    let (shelf, tree) = (Shelf::new(), Tree::new());
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 1; }\n");
    tree.commit("feat: one");
    shelf.release(&tree, "1.0.0").await;
    // Rewritten away: the number counts, the history does not.
    tree.git(&["commit", "--quiet", "--amend", "--message", "feat: two"]);
    tree.git(&["reflog", "expire", "--expire=now", "--all"]);
    tree.git(&["gc", "--quiet", "--prune=now"]);
    tree.write("lambda-src/hello/src/main.rs", "fn main() { 2; }\n");
    tree.commit("feat: three");
    assert_eq!(
        shelf.chosen(&tree, Request::default()).await,
        "1.0.1: changed since 1.0.0 (its commit is no longer in the history)"
    );
    let url = format!("file://{}", tree.root().display());
    let clone = tree.root().join("clone");
    tree.git(&["clone", "--quiet", "--depth=1", &url, &clone.to_string_lossy()]);
    let project = crate::settings::Project::load(&clone).unwrap();
    let repository = crate::source::Repository::open(&clone).unwrap();
    let source = crate::source::Source::look(&project, &repository, &hello()).unwrap();
    let settings = project.function(&hello()).unwrap();
    let request = Request::default();
    let failure =
        choose(&shelf.catalogue, &repository, &hello(), settings, &source, &request).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert!(failure.message().starts_with("this is a shallow clone"), "{failure}");
    // With the version named nothing of the history is needed.
    let named = asked("2.0.0");
    choose(&shelf.catalogue, &repository, &hello(), settings, &source, &named).await.unwrap();
}

#[tokio::test]
async fn publishing_is_the_bytes_first_and_the_manifest_last_and_can_be_cut_off_anywhere() {
    for cut in 0.. {
        for fault in [Fault::CrashBefore, Fault::CrashAfter, Fault::ErrorBefore, Fault::ErrorAfter] {
            let shelf = Shelf::new();
            shelf.faults.arm(Some((cut, fault)));
            let first = shelf.faults.run_until_crash(shelf.publish("1.0.0", "zip", true)).await;
            let manifests = shelf.store.objects("releases/").len();
            assert!(
                manifests == 0 || shelf.store.objects("artifacts/").len() == 1,
                "a manifest without its bytes"
            );
            let struck = shelf.faults.triggered_at().is_some();
            assert_eq!(struck, !matches!(first, Some(Ok(_))), "cut {cut}");
            shelf.faults.arm(None);
            let second = shelf.publish("1.0.0", "zip", true).await.unwrap();
            assert_eq!(matches!(second, Published::New(_)), manifests == 0, "cut {cut} {fault:?}");
            shelf.catalogue.check_artifact(second.manifest()).await.unwrap();
            if !struck {
                return;
            }
        }
    }
}

#[tokio::test]
async fn the_same_release_again_is_no_new_one_though_times_differ() {
    let shelf = Shelf::new();
    shelf.publish("1.0.0", "zip", false).await.unwrap();
    let (mut again, zip) = shelf.built("1.0.0", "zip");
    again.built.by = "somebody else".into();
    again.built.at = "2026-11-20T00:00:00Z".parse().unwrap();
    let step = Progress::silent().step("publish", "hello");
    let published =
        publish(&shelf.catalogue, again.sealed(), Content::Zip(&zip), Statements::default(), true, &step)
            .await
            .unwrap();
    assert!(matches!(&published, Published::Existing(manifest) if manifest.built.by == "test"));
}

#[tokio::test]
async fn other_bytes_never_take_a_version_that_exists() {
    let shelf = Shelf::new();
    shelf.publish("1.0.0", "one", true).await.unwrap();
    let before = shelf.store.objects("releases/");
    let failure = shelf.publish("1.0.0", "two", true).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let told = details(&failure);
    for digest in [Digest::of("one"), Digest::of("two")] {
        assert!(told.contains(&digest.to_string()), "{told}");
    }
    assert_eq!(shelf.store.objects("releases/"), before);
    // A dirty version is a name of its inputs: another number would say nothing true.
    shelf.publish("1.0.1-dirty.abcdef01", "three", false).await.unwrap();
    let failure = shelf.publish("1.0.1-dirty.abcdef01", "four", false).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
}

#[tokio::test]
async fn who_loses_the_race_for_a_number_takes_the_next() {
    let shelf = Shelf::new();
    shelf.publish("1.0.0", "one", false).await.unwrap();
    shelf.publish("1.0.1", "two", false).await.unwrap();
    let published = shelf.publish("1.0.0", "three", false).await.unwrap();
    assert_eq!(published.manifest().version.to_string(), "1.0.2");
    let (function, version) = (hello(), Version::new(1, 0, 2));
    let stored = shelf.catalogue.manifest(&function, &version).await.unwrap();
    assert_eq!(&stored, published.manifest(), "sealed anew under its number");
    for number in 3..30 {
        shelf.publish(&format!("1.0.{number}"), &format!("bytes {number}"), true).await.unwrap();
    }
    let failure = shelf.publish("1.0.0", "late", false).await.unwrap_err();
    assert!(failure.message().contains("in a row were taken"), "{failure}");
}

#[tokio::test]
async fn replaced_bytes_and_edited_manifests_are_found_out() {
    let shelf = Shelf::new();
    let manifest = shelf.publish("1.0.0", "zip", true).await.unwrap().manifest().clone();
    let key = manifest.artifact.key.clone();
    shelf.store.set(&key, *b"zi");
    let failure = shelf.publish("1.0.1", "zip", true).await.unwrap_err();
    assert!(failure.message().contains("other bytes under the name"), "{failure}");
    let failure = shelf.catalogue.check_artifact(&manifest).await.unwrap_err();
    assert!(failure.message().ends_with("2 bytes instead of 3"), "{failure}");
    shelf.store.remove(&key);
    let failure = shelf.catalogue.check_artifact(&manifest).await.unwrap_err();
    assert!(failure.message().ends_with("the object is missing"), "{failure}");
    let name = Manifest::key(&manifest.function, &manifest.version);
    let text = String::from_utf8(manifest.bytes().unwrap()).unwrap();
    shelf.store.set(&name, text.replace("bootstrap", "bootstrip"));
    let failure = shelf.catalogue.manifest(&hello(), &manifest.version).await.unwrap_err();
    assert!(failure.message().contains("was edited"), "{failure}");
    let failure = shelf.publish("1.0.0", "other", true).await.unwrap_err();
    assert!(failure.message().contains("was edited"), "{failure}");
}

#[tokio::test]
async fn an_unknown_version_is_told_with_its_neighbours() {
    let shelf = Shelf::new();
    let wanted: Version = "1.4.2".parse().unwrap();
    let failure = shelf.catalogue.manifest(&hello(), &wanted).await.unwrap_err();
    assert!(failure.report().hint.unwrap().contains("holds no release of `hello` yet"));
    for version in ["0.9.0", "1.4.1", "1.5.0", "2.0.0"] {
        shelf.publish(version, version, true).await.unwrap();
    }
    let failure = shelf.catalogue.manifest(&hello(), &wanted).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Usage);
    assert_eq!(failure.report().hint.unwrap(), "the nearest that exist: 1.4.1, 1.5.0, 2.0.0, 0.9.0");
    let newest = shelf.catalogue.newest(&hello()).await.unwrap().unwrap();
    assert_eq!(newest.version.to_string(), "2.0.0");
}
