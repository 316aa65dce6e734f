//! What docs/releasing.md tells somebody to type is typed in a test.
//!
//! Each row of the page's table of states has its test here, whose body types the row's commands. Each other command of the page
//! is of the same form as one of these, or has a test of its own. A form is a command with its options, without values.

use std::collections::{BTreeMap, BTreeSet};

use super::support::machine::repository;

/// The rows of the table, each with the test that types it: its file and its name.
const STATES: &[(&str, &str, &str)] = &[
    (
        "a program, a service or a file failed",
        "partial_apply",
        "failed_apply_keeps_its_resources_and_the_next_run_creates_only_the_rest",
    ),
    (
        "a version did not verify",
        "contract",
        "first_deployment_that_does_not_verify_is_recorded_as_it_serves",
    ),
    ("a held release", "release_lifecycle", "second_release_is_a_minor_version_and_can_be_rolled_back"),
    ("a gate before traffic failed", "before_traffic", "gate_that_fails_leaves_the_alias_and_is_recorded"),
    (
        "an environment takes only what is promoted",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "a member of the set changed",
        "promotion",
        "set_of_which_a_member_changed_since_it_was_verified_is_refused",
    ),
    (
        "commits that serve would be lost",
        "promotion",
        "hotfix_passes_and_what_would_lose_it_is_refused_by_the_name_of_its_commit",
    ),
    ("a deployment was cut off", "held_locks", "lock_of_a_terraform_that_outlived_its_slipway_is_left_alone"),
    ("a deployment runs elsewhere", "concurrency", "second_deployment_waits_with_a_lock_timeout"),
    (
        "a dead one counts as running: another machine, a lease from the future",
        "held_locks",
        "lease_is_judged_by_the_clock_of_the_store",
    ),
    (
        "the state is locked by a run that lives",
        "held_locks",
        "both_of_two_releases_at_once_succeed_with_a_lock_timeout",
    ),
    (
        "the state is locked by a run that died here",
        "held_locks",
        "lock_that_nobody_holds_is_removed_and_one_without_proof_by_its_id",
    ),
    (
        "the state is locked by a run of another machine, which is dead",
        "held_locks",
        "lock_that_nobody_holds_is_removed_and_one_without_proof_by_its_id",
    ),
    (
        "Terraform was killed alone",
        "unsaved_states",
        "terraform_that_is_killed_alone_takes_its_children_with_it",
    ),
    (
        "`errored.tfstate`",
        "unsaved_states",
        "state_that_could_not_be_saved_stops_every_command_until_it_is_recovered",
    ),
    (
        "something exists that no state knows",
        "unknown_resources",
        "first_apply_that_was_cut_off_is_imported_by_recover",
    ),
    (
        "a function is being created for minutes",
        "unknown_resources",
        "function_whose_creation_was_not_heard_of_is_imported_by_recover",
    ),
    (
        "the state is gone, another one, or older",
        "unknown_resources",
        "state_that_is_lost_is_imported_by_recover_where_that_is_accepted",
    ),
    (
        "an answer was lost",
        "lost_answers",
        "rollback_whose_end_nobody_heard_goes_no_further_back_when_it_is_typed_again",
    ),
    (
        "the end of a rollback was not heard",
        "lost_answers",
        "rollback_whose_end_nobody_heard_goes_no_further_back_when_it_is_typed_again",
    ),
    (
        "`terraform pending`",
        "rollback",
        "rollback_moves_traffic_even_if_terraform_would_change_other_resources",
    ),
    ("an alias was moved by hand", "typed_states", "alias_that_was_moved_by_hand_goes_back_by_recover"),
    (
        "an entry of the ledger was replaced or deleted",
        "replaced_objects",
        "entry_that_was_replaced_by_an_earlier_one_is_refused",
    ),
    (
        "the manifest of a deployed version is gone or was edited",
        "typed_states",
        "release_whose_manifest_is_gone_is_followed_by_a_version_that_was_never_used",
    ),
    (
        "the bytes of a release were replaced",
        "typed_states",
        "bytes_that_were_replaced_are_refused_until_they_are_restored",
    ),
    (
        "a saved plan is not what it was, expired, or was used",
        "saved_plans",
        "plan_is_made_anew_where_only_the_serial_moved_and_refused_where_anything_else_did",
    ),
    (
        "a plan destroys what is protected or holds data",
        "saved_plans",
        "reviewers_see_paths_and_no_values_and_what_is_destroyed_is_named_by_who_applies",
    ),
    ("something changed outside the ledger", "drift", "alias_that_was_moved_by_hand_is_drift"),
    (
        "somebody deployed after the plan",
        "held_locks",
        "both_of_two_releases_at_once_succeed_with_a_lock_timeout",
    ),
    (
        "weaker trust settings than before",
        "stacks",
        "stacks_are_destroyed_in_reverse_order_and_can_be_released_again",
    ),
    ("interrupted", "signals", "second_signal_interrupts_the_apply_once"),
];

/// The forms of other commands of the page, each with the test that types it.
const OTHERS: &[(&str, &str, &str)] = &[
    ("check", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    (
        "deploy --env --version",
        "typed_states",
        "bytes_that_were_replaced_are_refused_until_they_are_restored",
    ),
    ("history --env", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    (
        "notes --env",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "notes --env --markdown",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "promote --dry-run --to",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "promote --from --to",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "promote --to --version",
        "promotion",
        "promotion_brings_the_release_that_serves_verified_and_says_what_differs_before_it_begins",
    ),
    (
        "release --env --hotfix",
        "promotion",
        "hotfix_passes_and_what_would_lose_it_is_refused_by_the_name_of_its_commit",
    ),
    ("plan --env --version", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    ("release --bump --env", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    (
        "release --env --force",
        "typed_states",
        "commands_that_only_look_or_choose_are_as_the_page_writes_them",
    ),
    ("prune --env --keep", "prune", "only_what_nothing_needs_is_removed_and_only_if_asked"),
    ("prune --apply --env --keep", "prune", "only_what_nothing_needs_is_removed_and_only_if_asked"),
    ("releases", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    ("rollback", "lost_answers", "write_whose_answer_was_lost_counts_where_it_can_be_seen"),
    ("rollback --env --to", "lost_answers", "write_whose_answer_was_lost_counts_where_it_can_be_seen"),
    (
        "rollback --env --to-deployment",
        "typed_states",
        "commands_that_only_look_or_choose_are_as_the_page_writes_them",
    ),
    ("status", "typed_states", "commands_that_only_look_or_choose_are_as_the_page_writes_them"),
    (
        "tags --push",
        "origins",
        "repair_of_an_earlier_release_is_published_on_its_own_line_and_the_later_line_names_it",
    ),
];

fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Returns the forms of the commands in a text.
fn forms(text: &str) -> BTreeSet<String> {
    let commands = text.lines().flat_map(|line| line.split("cargo xtask ").skip(1));
    let form = |command: &str| {
        let command = command.split(['`', '(', ')', ';', ',', ':', '│']).next().unwrap_or_default();
        let mut words = command.split_whitespace();
        let verb = words.next().filter(|verb| verb.chars().all(|letter| letter.is_ascii_lowercase()))?;
        let options: BTreeSet<&str> = words.filter(|word| word.starts_with("--")).collect();
        Some(std::iter::once(verb).chain(options).collect::<Vec<_>>().join(" "))
    };
    commands.filter_map(form).collect()
}

/// Returns a test's body with the constants that it names, as they are written.
fn body(file: &str, test: &str) -> String {
    let source = text(&format!("xtask/tests/it/{file}.rs"));
    let start = source.find(&format!("fn {test}(")).unwrap_or_else(|| panic!("{file}.rs has no test {test}"));
    let rest = &source[start..];
    let mut body = rest[..rest.find("\n}\n").expect("the end of a function")].to_owned();
    let commands = text("xtask/tests/it/support/commands.rs");
    for constant in [&source, &commands].into_iter().flat_map(|source| source.split("const ").skip(1)) {
        let name = constant.split(':').next().unwrap_or_default();
        if body.contains(name) {
            body.push_str(constant.split(";\n").next().unwrap_or_default());
        }
    }
    body
}

/// Asserts that a test types a command of this form.
fn assert_typed(form: &str, file: &str, test: &str) {
    let body = body(file, test);
    for word in form.split(' ') {
        assert!(
            body.contains(&format!("{word:?}")),
            "{file}::{test} does not type {word:?} of `cargo xtask {form}`"
        );
    }
}

#[test]
fn what_the_page_says_to_type_is_typed_in_a_test() {
    let page = text("docs/releasing.md");
    let (_, table) = page.split_once("\n### What to type, state by state\n").expect("the table of states");
    let table = table.split("\n### ").next().unwrap_or_default();
    let rows: BTreeMap<&str, &str> = table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| State |"))
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 3, "{line}");
            (cells[0], cells[2])
        })
        .collect();
    let tested: BTreeSet<&str> = STATES.iter().map(|(state, ..)| *state).collect();
    assert_eq!(
        rows.keys().copied().collect::<BTreeSet<_>>(),
        tested,
        "the states of the page, and those with a test"
    );
    let mut typed = BTreeSet::new();
    for (state, file, test) in STATES {
        let forms = forms(rows[state]);
        assert!(!forms.is_empty(), "{state}: nothing to type");
        forms.iter().for_each(|form| assert_typed(form, file, test));
        typed.extend(forms);
    }
    for (form, file, test) in OTHERS {
        assert_typed(form, file, test);
        typed.insert((*form).to_owned());
    }
    let all = forms(&page);
    let missing: Vec<&String> = all.difference(&typed).collect();
    assert!(missing.is_empty(), "no test types these commands of the page: {missing:?}");
    let gone: Vec<&&str> =
        OTHERS.iter().map(|(form, ..)| form).filter(|form| !all.contains(**form)).collect();
    assert!(gone.is_empty(), "the page has no such commands: {gone:?}");
}

#[test]
fn forms_of_commands_are_read_from_sentences_and_listings() {
    let page = "Type `cargo xtask recover --env dev --close hello/7`, or:\n\ncargo xtask release hello --bump minor --env dev\nundo: cargo xtask rollback --env local (back to hello)\neach `cargo xtask …`";
    let found: Vec<String> = forms(page).into_iter().collect();
    assert_eq!(found, ["recover --close --env", "release --bump --env", "rollback --env"]);
}
