//! Terraform's command lines, one function a verb.

use std::path::Path;
use std::time::Duration;

use crate::exec::Program;
use crate::plan::{Configuration, ProviderLock};

/// Returns the program in a configuration's folder with its environment; `removed` are the user's variables that it is not
/// given.
pub(super) fn base(program: &str, configuration: &Configuration, removed: &[&str]) -> Program {
    let command = Program::new(program, &configuration.folder);
    let command = removed.iter().fold(command, |command, name| command.without_env(name));
    let command = command
        .env("TF_DATA_DIR", configuration.context.work.join("data"))
        .env("TF_IN_AUTOMATION", "1")
        .env("CHECKPOINT_DISABLE", "1");
    let variables = &configuration.context.variables;
    variables.iter().fold(command, |command, (name, value)| match value.as_str() {
        "" => command.without_env(name),
        value => command.env(name, value),
    })
}

/// The least time that an apply waits for the state's lock. The deploy lock excludes every other apply, so only a plan can
/// hold it, and only briefly.
const PLAN_OF_ANOTHER: Duration = Duration::from_secs(120);

fn lock_timeout(least: Duration, configuration: &Configuration) -> String {
    format!("-lock-timeout={}s", configuration.context.lock_timeout.max(least).as_secs())
}

/// `terraform version -json`.
pub(super) fn version(program: &str, folder: &Path) -> Program {
    Program::new(program, folder).args(["version", "-json"]).env("CHECKPOINT_DISABLE", "1")
}

/// `terraform init`, against exactly this backend.
pub(super) fn init(base: Program, configuration: &Configuration) -> Program {
    let command = base
        .args(["init", "-input=false", "-no-color", "-reconfigure"])
        .arg(format!("-backend-config={}", configuration.backend_file.display()));
    let has_lock = configuration.sources.files.contains_key(&configuration.sources.lock_path());
    match configuration.context.provider_lock {
        ProviderLock::Kept | ProviderLock::Required if has_lock => command.arg("-lockfile=readonly"),
        _ => command,
    }
}

/// `terraform plan` to a file, as a stream of JSON.
pub(super) fn plan(base: Program, configuration: &Configuration, file: &Path) -> Program {
    let lock = if configuration.takes_lock {
        lock_timeout(Duration::ZERO, configuration)
    } else {
        // The state is one object, read whole; an apply of the plan compares its lineage and serial.
        "-lock=false".to_owned()
    };
    base.args(["plan", "-json", "-input=false", "-detailed-exitcode"])
        .arg(lock)
        .args(configuration.var_files.iter().map(|file| format!("-var-file={}", file.display())))
        .arg(format!("-out={}", file.display()))
}

/// `terraform plan -destroy` to a file, as a stream of JSON.
pub(super) fn plan_destroy(base: Program, configuration: &Configuration, file: &Path) -> Program {
    plan(base, configuration, file).args(["-destroy"])
}

/// `terraform apply` of exactly a saved plan.
pub(super) fn apply(base: Program, configuration: &Configuration, file: &Path) -> Program {
    base.args(["apply", "-json", "-input=false"]).arg(lock_timeout(PLAN_OF_ANOTHER, configuration)).arg(file)
}

/// `terraform show -json` of a saved plan.
pub(super) fn show(base: Program, file: &Path) -> Program {
    base.args(["show", "-json", "-no-color"]).arg(file)
}

/// `terraform output -json`.
pub(super) fn output(base: Program) -> Program {
    base.args(["output", "-json"])
}

/// `terraform force-unlock`: releases a lock whose holder is dead.
pub(crate) fn force_unlock(base: Program, id: &str) -> Program {
    base.args(["force-unlock", "-force", "--", id])
}

/// `terraform import`: puts a resource that exists into the state.
pub(crate) fn import(base: Program, configuration: &Configuration, address: &str, id: &str) -> Program {
    base.args(["import", "-input=false", "-no-color"])
        .arg(lock_timeout(PLAN_OF_ANOTHER, configuration))
        .args(configuration.var_files.iter().map(|file| format!("-var-file={}", file.display())))
        .args([address, id])
}

/// `terraform state push`: saves a state that an apply could not save.
pub(crate) fn state_push(base: Program, configuration: &Configuration, file: &Path) -> Program {
    base.args(["state", "push"]).arg(lock_timeout(PLAN_OF_ANOTHER, configuration)).arg(file)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::plan::{Backend, PlanContext, StackSources, WorkLock};

    pub(in crate::tools::terraform) fn configuration(provider_lock: ProviderLock) -> Configuration {
        Configuration {
            context: Arc::new(PlanContext {
                stack: "hello".parse().unwrap(),
                environment: "dev".parse().unwrap(),
                project: "shop".into(),
                work: "/w".into(),
                backend: Backend {
                    bucket: "b".into(),
                    prefix: String::new(),
                    region: "eu-central-1".into(),
                    account: "333333333333".into(),
                    lock_table: None,
                    endpoint: None,
                },
                variables: vec![("AWS_REGION".into(), "eu-central-1".into())],
                provider_lock,
                lock_timeout: Duration::from_secs(600),
            }),
            folder: "/p/terraform/stacks/hello".into(),
            var_files: vec!["/p/hello.tfvars".into(), "/w/slipway.tfvars.json".into()],
            backend_file: "/w/backend.hcl".into(),
            inputs: Default::default(),
            lock: WorkLock::of_temporary_file(),
            takes_lock: true,
            project: None,
            sources: StackSources::sample("terraform/stacks/hello"),
        }
    }

    #[test]
    fn command_lines_are_as_terraform_expects() {
        let plan_file = Path::new("/w/plan.tfplan");
        let line = |program: Program| program.argv().join(" ");
        let (free, strict) = (configuration(ProviderLock::Completed), configuration(ProviderLock::Kept));
        let shown = Configuration { takes_lock: false, ..configuration(ProviderLock::Kept) };
        insta::assert_snapshot!(
            [
                line(init(base("terraform", &free, &[]), &free)),
                line(init(base("terraform", &strict, &[]), &strict)),
                line(plan(base("terraform", &free, &[]), &free, plan_file)),
                line(plan(base("terraform", &shown, &[]), &shown, plan_file)),
                line(apply(base("terraform", &free, &[]), &free, plan_file)),
                line(show(base("terraform", &free, &[]), plan_file)),
                line(output(base("terraform", &free, &[]))),
                line(force_unlock(base("terraform", &free, &[]), "5e1c")),
                line(import(base("terraform", &free, &[]), &free, "aws_iam_role.this[0]", "shop")),
                line(state_push(base("terraform", &free, &[]), &free, Path::new("errored.tfstate"))),
            ]
            .join("\n"),
            @r"
        terraform init -input=false -no-color -reconfigure -backend-config=/w/backend.hcl
        terraform init -input=false -no-color -reconfigure -backend-config=/w/backend.hcl -lockfile=readonly
        terraform plan -json -input=false -detailed-exitcode -lock-timeout=600s -var-file=/p/hello.tfvars -var-file=/w/slipway.tfvars.json -out=/w/plan.tfplan
        terraform plan -json -input=false -detailed-exitcode -lock=false -var-file=/p/hello.tfvars -var-file=/w/slipway.tfvars.json -out=/w/plan.tfplan
        terraform apply -json -input=false -lock-timeout=600s /w/plan.tfplan
        terraform show -json -no-color /w/plan.tfplan
        terraform output -json
        terraform force-unlock -force -- 5e1c
        terraform import -input=false -no-color -lock-timeout=600s -var-file=/p/hello.tfvars -var-file=/w/slipway.tfvars.json aws_iam_role.this[0] shop
        terraform state push -lock-timeout=600s errored.tfstate
        "
        );
    }
}
