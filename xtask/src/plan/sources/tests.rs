//! Which files belong to a stack, and which are refused.

mod copies;
mod project_folder;

use std::os::unix::fs::PermissionsExt as _;

use self::project_folder::{ProjectFolder, names};
use super::*;
use crate::failure::FailureKind;
use crate::plan::working_copy;

#[test]
fn sources_are_the_files_of_the_stack_its_local_modules_and_its_values() {
    let project = ProjectFolder::new(&[
        (
            "terraform/stacks/s/modules.tf",
            "module \"a\" {\n  source = \"../../modules/a\"\n}\ndata \"aws_region\" \"r\" {}\n",
        ),
        (
            "terraform/modules/a/main.tf",
            "module \"b\" {\n  source = \"./b\"\n}\ndata \"aws_ami\" \"x\" {}\nvariable \"inner\" {}\n",
        ),
        ("terraform/modules/a/b/main.tf", "module \"c\" {\n  source = \"registry/c/aws\"\n}\n"),
        ("terraform/modules/a/policy.json", "{}"),
        ("terraform/modules/a/README.md", ""),
        ("terraform/modules/a/tests/x.tftest.hcl", ""),
        ("terraform/modules/other/main.tf", ""),
        ("terraform/stacks/s/.terraform-version", "1.11.4"),
        ("terraform/stacks/s/.hidden", ""),
        ("terraform/stacks/s/terraform.tfstate", ""),
        ("terraform/stacks/s/terraform.tfstate.backup", ""),
        ("terraform/environments/local/s.tfvars", "x = 1\n"),
        ("terraform/environments/local/other.tfvars", "x = 1\n"),
    ]);
    let sources = project.read();
    assert_eq!(
        names(&sources),
        [
            "terraform/environments/local/s.tfvars",
            "terraform/modules/a/b/main.tf",
            "terraform/modules/a/main.tf",
            "terraform/modules/a/policy.json",
            "terraform/stacks/s/.terraform-version",
            "terraform/stacks/s/main.tf",
            "terraform/stacks/s/modules.tf",
        ]
    );
    assert_eq!(sources.variables.keys().collect::<Vec<_>>(), ["releases", "timeout"]);
    assert_eq!(sources.volatile, BTreeSet::from(["aws_ami".to_owned()]));
    assert_eq!(sources.remote_modules, BTreeSet::from(["registry/c/aws".to_owned()]));
    let before = sources.digest();
    project.write("terraform/modules/a/policy.json", "{ }");
    assert_ne!(project.read().digest(), before);
}

#[test]
fn module_that_leaves_the_project_or_does_not_exist_is_named() {
    let module = |source: &str| format!("module \"m\" {{\n  source = \"{source}\"\n}}\n");
    let project = ProjectFolder::new(&[("terraform/stacks/s/m.tf", &module("../../../../x"))]);
    assert!(project.refusal().contains("the module source \"../../../../x\" leaves the project"));
    project.write("terraform/stacks/s/m.tf", &module("../../modules/m"));
    assert!(project.refusal().contains("has no file that git lists in terraform/modules/m"));
    project.write("terraform/modules/m/main.tf", "");
    project.write(".gitignore", "terraform/modules/m/\n");
    assert!(project.refusal().contains("git status --ignored terraform/modules/m"));
}

#[test]
fn ignored_files_are_never_packed_and_those_that_terraform_would_read_are_named() {
    let project = ProjectFolder::new(&[
        (".gitignore", "*.tfvars\n*.tfvars.json\noverride.tf\n*_override.tf\ncrash.log\nextra.tf.json\n"),
        ("terraform/environments/local/s.tfvars", "timeout = 29\n"),
        ("terraform/stacks/s/override.tf", "not { valid"),
        ("terraform/stacks/s/a_override.tf", ""),
        ("terraform/stacks/s/extra.tf.json", "{}"),
        ("terraform/stacks/s/x.auto.tfvars", ""),
        ("terraform/stacks/s/terraform.tfvars.json", "{}"),
        ("terraform/stacks/s/crash.log", "db_password = \"hush\""),
    ]);
    let sources = project.read();
    assert_eq!(names(&sources), ["terraform/stacks/s/main.tf"]);
    let ignored = [
        "terraform/environments/local/s.tfvars",
        "terraform/stacks/s/a_override.tf",
        "terraform/stacks/s/extra.tf.json",
        "terraform/stacks/s/override.tf",
        "terraform/stacks/s/terraform.tfvars.json",
        "terraform/stacks/s/x.auto.tfvars",
    ];
    let mut found = sources.ignored.clone();
    found.sort();
    assert_eq!(found, ignored);
    assert!(sources.values.is_empty());
    project.git(&["add", "--force", "terraform/environments/local/s.tfvars"]);
    assert_eq!(project.read().values, ["terraform/environments/local/s.tfvars"]);
}

#[test]
fn files_are_committed_only_if_all_of_them_are_as_in_the_commit() {
    let project = ProjectFolder::new(&[
        ("terraform/stacks/s/template.json", "{}"),
        ("terraform/stacks/s/README.md", ""),
        ("terraform/stacks/other/main.tf", ""),
        ("terraform/shared/variables.tf", ""),
        ("terraform/environments/local/s.tfvars", ""),
    ]);
    project.link("terraform/stacks/s/variables.tf", "../../shared/variables.tf");
    project.commit();
    assert_eq!(project.read().uncommitted, None);
    project.write("terraform/stacks/s/README.md", "changed");
    project.write("terraform/stacks/other/main.tf", "# changed");
    assert_eq!(project.read().uncommitted, None);
    for (path, text) in [
        ("terraform/stacks/s/new.tf", ""),
        ("terraform/shared/variables.tf", "# changed"),
        ("terraform/environments/local/s.tfvars", "# changed"),
    ] {
        project.write(path, text);
        assert_eq!(project.read().uncommitted.as_deref(), Some(path));
        project.commit();
    }
    std::fs::remove_file(project.path().join("terraform/stacks/s/template.json")).unwrap();
    assert_eq!(project.read().uncommitted.as_deref(), Some("terraform/stacks/s/template.json"));
    project.commit();
    let script = project.path().join("terraform/stacks/s/new.tf");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(project.read().uncommitted.as_deref(), Some("terraform/stacks/s/new.tf"));
}

#[test]
fn links_are_followed_inside_the_project_and_refused_outside() {
    let project = ProjectFolder::new(&[
        ("terraform/shared/providers.tf", "# one"),
        ("terraform/shared/policies/a.json", "{}"),
    ]);
    project.link("terraform/stacks/s/providers.tf", "../../shared/providers.tf");
    project.link("terraform/stacks/s/policies", "../../shared/policies");
    let sources = project.read();
    assert_eq!(
        names(&sources),
        [
            "terraform/stacks/s/main.tf",
            "terraform/stacks/s/policies/a.json",
            "terraform/stacks/s/providers.tf"
        ]
    );
    assert_eq!(sources.files["terraform/stacks/s/providers.tf"].content, b"# one");
    let before = sources.digest();
    project.write("terraform/shared/providers.tf", "# two");
    assert_ne!(project.read().digest(), before);
    project.commit();
    std::fs::remove_file(project.path().join("terraform/shared/policies/a.json")).unwrap();
    assert_eq!(project.read().uncommitted.as_deref(), Some("terraform/shared/policies/a.json"));
    project.git(&["checkout", "--quiet", "terraform/shared/policies/a.json"]);
    // Its target is not what any other clone has.
    project.write(".gitignore", "terraform/shared/providers.tf\n");
    project.git(&["rm", "--quiet", "--cached", "terraform/shared/providers.tf"]);
    project.commit();
    assert_eq!(project.read().ignored, ["terraform/stacks/s/providers.tf"]);

    let outside = tempfile::tempdir().unwrap();
    project.link("terraform/stacks/s/out", outside.path().to_str().unwrap());
    assert!(project.refusal().starts_with("terraform/stacks/s/out is a link that leaves the project"));
    std::fs::remove_file(project.path().join("terraform/stacks/s/out")).unwrap();
    project.link("terraform/stacks/s/broken.tf", "nothing");
    assert!(project.refusal().starts_with("terraform/stacks/s/broken.tf is a broken link"));
    std::fs::remove_file(project.path().join("terraform/stacks/s/broken.tf")).unwrap();
    project.link("terraform/stacks/s/loop", "..");
    assert!(project.refusal().contains("is a link to a folder that contains it"));
}

#[test]
fn linked_stack_keeps_the_layout_that_its_modules_need() {
    let project = ProjectFolder::new(&[
        ("infra/envs/dev/main.tf", "module \"x\" {\n  source = \"../../modules/x\"\n}\n"),
        ("infra/envs/dev/stack.toml", ""),
        ("infra/modules/x/main.tf", ""),
    ]);
    std::fs::remove_dir_all(project.path().join("terraform/stacks/s")).unwrap();
    project.link("terraform/stacks/s", "../../infra/envs/dev");
    let sources = project.read();
    assert_eq!(
        names(&sources),
        [LINKS, "infra/envs/dev/main.tf", "infra/envs/dev/stack.toml", "infra/modules/x/main.tf"]
    );
    assert_eq!(sources.folder, "infra/envs/dev");
    project.commit();
    assert_eq!(project.read().uncommitted, None);
    project.write("infra/modules/x/main.tf", "# changed");
    assert_eq!(project.read().uncommitted.as_deref(), Some("infra/modules/x/main.tf"));
    let sources = project.read();
    let copy = project.copy_of(&sources);
    assert!(copy.join("terraform/stacks/s/../../modules/x/main.tf").is_file());
    let again = StackSources::of_copy(&copy, &"s".parse().unwrap(), &"local".parse().unwrap()).unwrap();
    assert_eq!((again.digest(), again.folder.as_str()), (sources.digest(), "infra/envs/dev"));
    project.copy_of(&sources);
    assert!(copy.join("terraform/stacks/s/stack.toml").is_file());
}

#[test]
fn json_syntax_and_json_values_are_read_as_terraform_reads_them() {
    let project = ProjectFolder::new(&[
        (
            "terraform/stacks/s/extra.tf.json",
            r#"{"module": {"note": {"source": "../../modules/note"}}, "variable": {"memory": {}}}"#,
        ),
        ("terraform/modules/note/main.tf", "# one"),
        ("terraform/environments/local/s.tfvars.json", r#"{"timeout": 9}"#),
    ]);
    let sources = project.read();
    assert!(sources.files.contains_key("terraform/modules/note/main.tf"));
    assert!(sources.variables.contains_key("memory"));
    assert_eq!(sources.values, ["terraform/environments/local/s.tfvars.json"]);
    assert_eq!(sources.given_values().unwrap(), BTreeSet::from(["timeout".to_owned()]));
    let before = sources.digest();
    project.write("terraform/modules/note/main.tf", "# two");
    assert_ne!(project.read().digest(), before);
}

#[test]
fn file_that_is_read_and_not_packed_is_refused_with_the_line_to_write() {
    let read = |expression: &str| format!("locals {{\n  note = {expression}\n}}\n");
    let project = ProjectFolder::new(&[
        ("terraform/policies/note.txt", "one"),
        ("lambdas/a/x.py", ""),
        ("api.yml", ""),
        ("terraform/stacks/s/notes.md", ""),
    ]);
    for (expression, line) in [
        (r#"file("${path.module}/../../policies/note.txt")"#, "files = [\"../../policies/**\"]"),
        (r#"filemd5("../../../api.yml")"#, "files = [\"../../../api.yml\"]"),
        (r#"file("notes.md")"#, "files = [\"notes.md\"]"),
        (r#"fileset("${path.module}/../../../lambdas", "**/*.py")"#, "files = [\"../../../lambdas/a/**\"]"),
        (r#"fileset("${path.module}/../../..", "lambdas/**")"#, "files = [\"../../../lambdas/a/**\"]"),
        (r#""${path.module}/../../policies""#, "files = [\"../../policies/**\"]"),
        (
            r#"[for n in ["a"] : file("${path.root}/../../policies/${n}.txt")]"#,
            "files = [\"../../policies/**\"]",
        ),
    ] {
        project.write("terraform/stacks/s/reads.tf", &read(expression));
        let refusal = project.refusal();
        assert!(refusal.ends_with(line), "{expression}: {refusal}");
    }
    for (expression, words) in [
        (r#"file("/etc/hostname")"#, "reads /etc/hostname, which is outside the project"),
        (r#"file("${path.module}/../../../../x")"#, "outside the project"),
        (r#"fileset(var.folder, "**")"#, "a path that is known only to the plan"),
        (r#"try(file(var.folder), "")"#, "a path that is known only to the plan"),
        // The folder holds notes.md, which is not packed.
        (r#"fileset("${path.module}/${var.folder}", "**")"#, "a path that is known only to the plan"),
    ] {
        project.write("terraform/stacks/s/reads.tf", &read(expression));
        let refusal = project.refusal();
        assert!(refusal.contains(words), "{expression}: {refusal}");
    }
    for fine in [
        r#"file("${path.module}/main.tf")"#,
        r#"fileset(path.module, "*.tf")"#,
        r#"fileset("${path.module}/sql/${var.folder}", "**")"#,
        r#"file("${path.module}/../../policies/absent.txt")"#,
        r#""${path.module}/build/out.zip""#,
    ] {
        project.write("terraform/stacks/s/reads.tf", &read(fine));
        assert_eq!(project.read().volatile, BTreeSet::new());
    }
    // What a path that only the plan knows leads to is in no digest.
    project.write("terraform/stacks/s/reads.tf", &read("file(var.folder)"));
    assert_eq!(project.read().volatile, BTreeSet::from(["file".to_owned()]));

    project.write(".gitignore", "dist/\n");
    project.write("terraform/stacks/s/dist/a.html", "");
    project.write("terraform/stacks/s/reads.tf", &read(r#"fileset("${path.module}/dist", "**")"#));
    assert!(project.refusal().contains("git check-ignore -v terraform/stacks/s/dist/a.html"));
}

#[test]
fn declared_files_are_packed_in_the_projects_layout() {
    let project = ProjectFolder::new(&[
        (
            "terraform/stacks/s/reads.tf",
            "locals {\n  note = file(\"${path.module}/../../policies/note.txt\")\n}\n",
        ),
        ("terraform/policies/note.txt", "one"),
        ("terraform/policies/deep/other.json", "{}"),
        ("terraform/policies/secret.txt", "hush"),
        (".gitignore", "secret.txt\n"),
    ]);
    let declared = ["../../policies/**".to_owned()];
    let sources = project.read_with(Some(&declared)).unwrap();
    assert!(sources.files.contains_key("terraform/policies/deep/other.json"));
    assert!(!sources.files.contains_key("terraform/policies/secret.txt"));
    let before = sources.digest();
    project.write("terraform/policies/note.txt", "two");
    assert_ne!(project.read_with(Some(&declared)).unwrap().digest(), before);
    project.commit();
    project.write("terraform/policies/note.txt", "three");
    let sources = project.read_with(Some(&declared)).unwrap();
    assert_eq!(sources.uncommitted.as_deref(), Some("terraform/policies/note.txt"));
    project.commit();
    std::fs::remove_file(project.path().join("terraform/policies/deep/other.json")).unwrap();
    let sources = project.read_with(Some(&declared)).unwrap();
    assert_eq!(sources.uncommitted.as_deref(), Some("terraform/policies/deep/other.json"));

    for (pattern, words) in [
        ("../../../../x/**", "leaves the project"),
        ("/etc/*", "leaves the project"),
        ("../../nothing/**", "matches no file that git lists"),
        ("../../policies/secret.txt", "matches no file that git lists"),
    ] {
        let failure = project.read_with(Some(&[pattern.to_owned()])).unwrap_err();
        assert_eq!(failure.kind(), FailureKind::Usage);
        assert!(failure.message().contains(words), "{failure}");
    }
}

#[test]
fn stacks_of_this_repository_keep_the_contract_and_read_only_what_is_packed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut count = 0;
    for entry in root.join("terraform/stacks").read_dir().unwrap() {
        let stack: StackName = entry.unwrap().file_name().to_str().unwrap().parse().unwrap();
        for environment in ["local", "dev", "staging", "prod"] {
            let sources = StackSources::read(root, &stack, &environment.parse().unwrap(), None).unwrap();
            let runs_functions = stack.as_str() != "network";
            crate::plan::check_files_contract(&sources, &stack, runs_functions).unwrap();
            count += 1;
        }
    }
    assert!(count >= 24, "{count}");
}
