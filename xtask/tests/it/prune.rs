//! Prune: what serves and what a rollback wants stays, and nothing is removed without `--apply`.

use super::support::EchoProject;
use crate::require;

#[test]
fn only_what_nothing_needs_is_removed_and_only_if_asked() {
    let project = require!(EchoProject::released_twice());
    let prune = ["prune", "--env", "local", "--keep"];
    let one = [&prune[..], &["1"]].concat();
    let nothing = project.run(&one).exits(0).says("Nothing to remove.");
    nothing
        .says("a rollback to deployment 1 may want it")
        .says("keep     the applied files under configurations/");
    let before = project.account.objects();
    let none = [&prune[..], &["0"]].concat();
    let listed =
        project.run(&none).exits(0).says("2 things would be removed").says("artifact       echo 0.1.0");
    assert!(project.account.objects() == before, "a dry run removed something: {listed}");
    let apply = [&none[..], &["--apply"]].concat();
    project.run(&apply).exits(6).says("Nothing was removed.");
    assert!(project.account.objects() == before);
    let removed = project.run(&[&apply[..], &["--yes"]].concat()).exits(0).says("2 things of local removed.");
    project.run(&none).exits(0).says("Nothing to remove.");
    assert_eq!(project.account.alias("echo"), "2", "{removed}");
    assert!(project.run(&["local", "invoke"]).exits(0).stdout.contains("\"two\""));
    // The manifest stays: the version is never cut again.
    project.run(&["releases"]).exits(0).says("0.1.0");
}
