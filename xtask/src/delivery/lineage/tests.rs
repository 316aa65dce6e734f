use super::*;
use crate::delivery::model::scene::{Scene, deploy_request};
use crate::delivery::{Intent, RollbackRequest, deliver, roll_back_stack};
use crate::failure::FailureKind;
use crate::ledger::Origin;
use crate::source::tests::Tree;

/// A scene whose project is a repository, and a release of `a` for each of some commits.
async fn served(scene: &mut Scene, commit: &str) -> Manifest {
    let releases = scene.functions.clone().into_iter().map(|function| {
        let commit = commit.to_owned();
        (function.clone(), scene.release_from(&function, &commit))
    });
    let releases: BTreeMap<FunctionName, Manifest> = releases.collect();
    let first = releases.values().next().unwrap().clone();
    deliver(&scene.stack(true), &deploy_request(releases)).await.unwrap();
    first
}

fn tree_with_two_lines() -> (Tree, String, String, String) {
    let tree = Tree::new();
    let first = tree.commit("feat: begin");
    tree.git(&["checkout", "--quiet", "-b", "hotfix"]);
    tree.write("lambda-src/hello/src/main.rs", "fn mended() {}\n");
    let fix = tree.commit("fix: the leak");
    tree.git(&["checkout", "--quiet", "main"]);
    tree.write("lambda-src/hello/src/other.rs", "fn more() {}\n");
    let main = tree.commit("feat: more");
    (tree, first, fix, main)
}

fn stack_of(scene: &mut Scene, tree: &Tree) -> EnvironmentStack {
    let stack = scene.stack(true);
    scene.copy_project_to(&tree.root());
    EnvironmentStack { root: tree.root(), ..stack }
}

fn only_a(scene: &mut Scene, commit: &str) -> DeployRequest {
    let a = scene.functions[0].clone();
    let release = scene.release_from(&a, commit);
    deploy_request(BTreeMap::from([(a, release)]))
}

#[tokio::test]
async fn release_without_the_commits_that_serve_is_refused_until_their_loss_is_accepted() {
    let (tree, first, fix, main) = tree_with_two_lines();
    let mut scene = Scene::new(false);
    served(&mut scene, &first).await;
    let request = only_a(&mut scene, &fix);
    deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();

    let mut request = only_a(&mut scene, &main);
    let (aliases, ledger) = (scene.lambda.aliases(), scene.state.objects("ledger/"));
    let failure = deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    let report = failure.report();
    assert_eq!(report.message, "`a` 1.2.0 lacks 1 commit that 1.1.0 has, and dev serves 1.1.0");
    assert!(report.details[0].value.starts_with(&fix[..7]), "{:?}", report.details);
    assert!(report.details[0].value.ends_with("fix: the leak"), "{:?}", report.details);
    assert!(report.hint.unwrap().contains(&format!("--allow-loss {}", &fix[..12])));
    assert_eq!((scene.lambda.aliases(), scene.state.objects("ledger/")), (aliases, ledger));

    request.intent.allow_loss = vec![first.clone()];
    deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
    request.intent.allow_loss = vec![fix[..7].to_owned()];
    deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();
    let origin = scene.last_ended().await.unwrap().origin.unwrap();
    assert_eq!(origin.lost, BTreeMap::from([(scene.functions[0].clone(), vec![fix])]));
}

#[tokio::test]
async fn older_commit_is_refused_and_a_rollback_and_the_way_forward_are_not() {
    let (tree, first, fix, _) = tree_with_two_lines();
    let mut scene = Scene::new(false);
    let older = served(&mut scene, &first).await;
    let forward = only_a(&mut scene, &fix);
    deliver(&stack_of(&mut scene, &tree), &forward).await.unwrap();
    let back = deploy_request(BTreeMap::from([(older.function.clone(), older)]));
    let failure = deliver(&stack_of(&mut scene, &tree), &back).await.unwrap_err();
    assert!(failure.report().hint.unwrap().contains("cargo xtask rollback a --env dev --to"));
    roll_back_stack(&stack_of(&mut scene, &tree), &RollbackRequest::default()).await.unwrap();
    let forward = DeployRequest { lift_hold: true, ..forward };
    deliver(&stack_of(&mut scene, &tree), &forward).await.unwrap();
}

#[tokio::test]
async fn commit_that_git_does_not_have_is_refused_by_name() {
    let (tree, _, _, main) = tree_with_two_lines();
    let unknown = "0123456789012345678901234567890123456789";
    let mut scene = Scene::new(false);
    served(&mut scene, unknown).await;
    let mut request = only_a(&mut scene, &main);
    let failure = deliver(&stack_of(&mut scene, &tree), &request).await.unwrap_err();
    assert!(failure.message().contains(&format!("git does not have the commit {unknown}")), "{failure}");
    assert!(failure.report().hint.unwrap().contains("git fetch --unshallow"));
    request.intent.allow_loss = vec![unknown[..12].to_owned()];
    deliver(&stack_of(&mut scene, &tree), &request).await.unwrap();
    // A release without a commit is noted, and not refused.
    let request = only_a(&mut scene, "unknown");
    let (losses, notes) = losses(
        &stack_of(&mut scene, &tree),
        &candidates(&request.releases).unwrap(),
        scene.last_ended().await.as_ref(),
    )
    .await
    .unwrap();
    assert!(losses.is_empty() && notes[0].contains("no commit on record"), "{notes:?}");
}

#[tokio::test]
async fn environment_that_is_promoted_to_takes_nothing_else_but_a_hotfix_that_descends() {
    let (tree, first, fix, main) = tree_with_two_lines();
    let mut scene = Scene::new(false);
    served(&mut scene, &first).await;
    let promoted = |scene: &mut Scene| {
        let mut stack = stack_of(scene, &tree);
        stack.environment_settings.promote_from = Some("test".parse().unwrap());
        stack
    };
    let direct = only_a(&mut scene, &fix);
    let failure = deliver(&promoted(&mut scene), &direct).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Refused);
    assert_eq!(failure.message(), "dev takes only what serves verified in test");
    assert!(failure.report().hint.unwrap().starts_with("cargo xtask promote --to dev"));
    let hotfix = DeployRequest { intent: Intent::of_arguments(true, &[]), ..direct };
    deliver(&promoted(&mut scene), &hotfix).await.unwrap();
    let ended = scene.last_ended().await.unwrap();
    assert_eq!(ended.origin, Some(Origin { hotfix: true, ..Origin::default() }));

    let other = only_a(&mut scene, &main);
    // Its loss may be accepted, but it is no hotfix then.
    let other = DeployRequest { intent: Intent::of_arguments(true, std::slice::from_ref(&fix)), ..other };
    let failure = deliver(&promoted(&mut scene), &other).await.unwrap_err();
    assert!(failure.message().starts_with("a hotfix must descend from what runs in dev"), "{failure}");
    // A later release that lacks it names it.
    let later = only_a(&mut scene, &main);
    let (losses, _) = losses(
        &stack_of(&mut scene, &tree),
        &candidates(&later.releases).unwrap(),
        scene.last_ended().await.as_ref(),
    )
    .await
    .unwrap();
    assert_eq!(losses[0].hotfix, Some(2));
}
