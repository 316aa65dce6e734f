//! Whose a function's releases and tags are, over a store in memory and a real repository.

use super::{Releases, details, exactly};
use crate::failure::FailureKind;
use crate::ownership::ProjectIdentity;
use crate::release::tags::write_tag;
use crate::release::{Catalogue, VersionRequest, sample_manifest};
use crate::source::tests::{Tree, hello};

const MARKER: &str = "releases/hello/project.shop.json";

/// The same store, opened by a project without any commit.
fn opened_by(releases: &Releases, project: &str, repository: Option<&str>) -> Releases {
    opened_as(releases, &ProjectIdentity::new(project, repository.map(str::to_owned), |_| false))
}

fn opened_as(releases: &Releases, identity: &ProjectIdentity) -> Releases {
    Releases {
        catalogue: Catalogue::new(releases.store.clone()).of_project(identity),
        faults: releases.faults.clone(),
        store: releases.store.clone(),
        folder: tempfile::tempdir().unwrap(),
    }
}

#[tokio::test]
async fn first_release_marks_the_function_and_another_project_is_refused() {
    let (releases, tree) = (Releases::new(), Tree::new());
    let shop = opened_by(&releases, "shop", None);
    assert_eq!(shop.chosen(&tree, VersionRequest::default()).await, "0.1.0: first release");
    assert!(releases.store.objects("").is_empty(), "choosing writes nothing");
    shop.publish("0.1.0", "zip", false).await.unwrap();
    assert!(releases.store.objects("").contains_key(MARKER));
    let shop = opened_by(&releases, "shop", None);
    assert_eq!(shop.catalogue.versions(&hello()).await.unwrap().len(), 1, "the marker is not a version");

    let version = "0.1.0".parse().unwrap();
    for failure in [
        opened_by(&releases, "mini", None).catalogue.versions(&hello()).await.unwrap_err(),
        opened_by(&releases, "mini", None).catalogue.manifest(&hello(), &version).await.unwrap_err(),
        opened_by(&releases, "mini", None).choose(&tree, exactly("0.2.0")).await.unwrap_err(),
        opened_by(&releases, "mini", None).publish("0.2.0", "other", true).await.unwrap_err(),
    ] {
        assert_eq!(failure.kind(), FailureKind::Refused);
        let text = details(&failure);
        assert!(text.contains("belong to the project shop, and this is mini"), "{text}");
        assert!(text.contains("prefix = \"mini/\" under [store] in pipelines/project.toml"), "{text}");
    }
    assert_eq!(releases.store.objects("releases/").len(), 2, "nothing was written for mini");
}

#[tokio::test]
async fn releases_from_before_there_were_markers_are_used_where_they_show_whose_they_are() {
    let (releases, tree) = (Releases::new(), Tree::new());
    releases.publish("0.1.0", "zip", true).await.unwrap();
    let commit = sample_manifest("hello", "0.1.0").source.commit;
    assert!(!releases.store.objects("").contains_key(MARKER));

    let failure =
        opened_by(&releases, "shop", None).choose(&tree, VersionRequest::default()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert!(details(&failure).contains("cargo xtask claim --function hello"), "{failure}");
    let stranger = opened_by(&releases, "shop", Some("https://example.com/acme/elsewhere.git"));
    stranger.publish("0.2.0", "two", true).await.unwrap_err();

    let own = opened_as(&releases, &ProjectIdentity::new("shop", None, move |known| known == commit));
    assert_eq!(own.catalogue.newest(&hello()).await.unwrap().unwrap().version.to_string(), "0.1.0");
    own.publish("0.2.0", "two", true).await.unwrap();
    assert!(releases.store.objects("").contains_key(MARKER), "the next release marks it");
    opened_by(&releases, "shop", None).catalogue.newest(&hello()).await.unwrap();
}

#[tokio::test]
async fn claim_marks_what_shows_nothing_and_takes_over_only_from_the_project_that_is_named() {
    let releases = Releases::new();
    releases.publish("0.1.0", "zip", true).await.unwrap();
    let shop = || opened_by(&releases, "shop", None).catalogue;
    assert!(shop().claim(&hello(), None).await.unwrap());
    assert!(!shop().claim(&hello(), None).await.unwrap(), "it is known");
    shop().newest(&hello()).await.unwrap();

    let market = || opened_by(&releases, "market", None).catalogue;
    for from in [None, Some("other")] {
        let failure = market().claim(&hello(), from).await.unwrap_err();
        assert!(details(&failure).contains("cargo xtask claim --function hello --from shop"), "{failure}");
    }
    assert!(market().claim(&hello(), Some("shop")).await.unwrap());
    assert!(!market().claim(&hello(), Some("shop")).await.unwrap());
    market().newest(&hello()).await.unwrap();
    shop().newest(&hello()).await.unwrap_err();
}

#[tokio::test]
async fn two_projects_that_began_at_the_same_moment_are_both_refused_until_one_replaces_the_other() {
    let releases = Releases::new();
    opened_by(&releases, "shop", None).publish("0.1.0", "one", false).await.unwrap();
    let marker = ProjectIdentity::new("mini", None, |_| false).marker(None);
    releases.store.set("releases/hello/project.mini.json", marker.bytes().unwrap());
    for (name, other) in [("shop", "mini"), ("mini", "shop")] {
        let failure = opened_by(&releases, name, None).catalogue.newest(&hello()).await.unwrap_err();
        assert!(failure.message().contains(&format!("the project {other}, and this is {name}")), "{failure}");
    }
    assert!(opened_by(&releases, "mini", None).catalogue.claim(&hello(), Some("shop")).await.unwrap());
    opened_by(&releases, "mini", None).catalogue.newest(&hello()).await.unwrap();
    opened_by(&releases, "shop", None).catalogue.newest(&hello()).await.unwrap_err();
}

#[tokio::test]
async fn tags_of_another_project_in_the_repository_are_neither_read_nor_taken() {
    let (releases, tree) = (Releases::new(), Tree::new());
    let (shop, mini) = (opened_by(&releases, "shop", None), opened_by(&releases, "mini", None));
    let repository = tree.repository();
    let mut manifest = sample_manifest("hello", "3.0.0");
    manifest.source.commit = tree.git(&["rev-parse", "HEAD"]);
    let (name, written) = write_tag(&shop.catalogue, &repository, &manifest);
    assert_eq!((name.as_str(), written.unwrap()), ("hello-v3.0.0", true));
    assert!(!write_tag(&shop.catalogue, &repository, &manifest).1.unwrap(), "it is there");
    let failure = write_tag(&mini.catalogue, &repository, &manifest).1.unwrap_err();
    assert!(details(&failure).contains("tag_prefix = \"mini/\" in pipelines/project.toml"), "{failure}");
    assert_eq!(shop.chosen(&tree, VersionRequest::default()).await, "3.0.0: as tagged hello-v3.0.0");
    assert_eq!(mini.chosen(&tree, VersionRequest::default()).await, "0.1.0: first release");

    let prefixed = mini.catalogue.clone().with_tag_prefix("mini/");
    let (name, written) = write_tag(&prefixed, &repository, &manifest);
    assert_eq!((name.as_str(), written.unwrap()), ("mini/hello-v3.0.0", true));
    // Tags of earlier versions, and those that people wrote, name no project.
    tree.git(&["tag", "hello-v4.0.0"]);
    assert_eq!(mini.chosen(&tree, VersionRequest::default()).await, "4.0.0: as tagged hello-v4.0.0");
}
