//! Terraform's command lines, one function a verb.

use std::path::Path;
use std::time::Duration;

use crate::exec::Program;
use crate::plan::Configuration;

fn base(program: &str, configuration: &Configuration) -> Program {
    let command = Program::new(program, &configuration.folder)
        .env("TF_DATA_DIR", configuration.context.work.join("data"))
        .env("TF_IN_AUTOMATION", "1")
        .env("CHECKPOINT_DISABLE", "1")
        // These would change the arguments.
        .without_env("TF_CLI_ARGS")
        .without_env("TF_WORKSPACE");
    configuration.context.variables.iter().fold(command, |command, (name, value)| command.env(name, value))
}

/// The least time that an apply waits for the state's lock. The deploy lock excludes every other apply, so only a plan can
/// hold it, and only briefly.
const PLAN_OF_ANOTHER: Duration = Duration::from_secs(120);

fn lock_timeout(least: Duration, configuration: &Configuration) -> String {
    format!("-lock-timeout={}s", configuration.context.lock_timeout.max(least).as_secs())
}

/// `terraform version -json`.
pub(super) fn version(program: &str) -> Program {
    Program::new(program, ".").args(["version", "-json"]).env("CHECKPOINT_DISABLE", "1")
}

/// `terraform init`, against exactly this backend.
pub(super) fn init(program: &str, configuration: &Configuration) -> Program {
    let command = base(program, configuration)
        .args(["init", "-input=false", "-no-color", "-reconfigure"])
        .arg(format!("-backend-config={}", configuration.backend_file.display()));
    if configuration.context.readonly_lock { command.arg("-lockfile=readonly") } else { command }
}

/// `terraform plan` to a file, as a stream of JSON.
pub(super) fn plan(program: &str, configuration: &Configuration, file: &Path) -> Program {
    base(program, configuration)
        .args(["plan", "-json", "-input=false", "-detailed-exitcode"])
        .arg(lock_timeout(Duration::ZERO, configuration))
        .args(configuration.var_files.iter().map(|file| format!("-var-file={}", file.display())))
        .arg(format!("-out={}", file.display()))
}

/// `terraform plan -destroy` to a file, as a stream of JSON.
pub(super) fn plan_destroy(program: &str, configuration: &Configuration, file: &Path) -> Program {
    plan(program, configuration, file).args(["-destroy"])
}

/// `terraform apply` of exactly a saved plan.
pub(super) fn apply(program: &str, configuration: &Configuration, file: &Path) -> Program {
    base(program, configuration)
        .args(["apply", "-json", "-input=false"])
        .arg(lock_timeout(PLAN_OF_ANOTHER, configuration))
        .arg(file)
}

/// `terraform show -json` of a saved plan.
pub(super) fn show(program: &str, configuration: &Configuration, file: &Path) -> Program {
    base(program, configuration).args(["show", "-json", "-no-color"]).arg(file)
}

/// `terraform output -json`.
pub(super) fn output(program: &str, configuration: &Configuration) -> Program {
    base(program, configuration).args(["output", "-json"])
}

/// `terraform force-unlock`: releases a lock whose holder is dead.
pub(crate) fn force_unlock(program: &str, configuration: &Configuration, id: &str) -> Program {
    base(program, configuration).args(["force-unlock", "-force", id])
}

/// `terraform state push`: saves a state that an apply could not save.
pub(crate) fn state_push(program: &str, configuration: &Configuration, file: &Path) -> Program {
    base(program, configuration)
        .args(["state", "push"])
        .arg(lock_timeout(PLAN_OF_ANOTHER, configuration))
        .arg(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::plan::{Backend, PlanContext, StackSources, WorkLock};

    fn configuration(readonly_lock: bool) -> Configuration {
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
                readonly_lock,
                lock_timeout: Duration::from_secs(600),
            }),
            folder: "/p/terraform/stacks/hello".into(),
            var_files: vec!["/p/hello.tfvars".into(), "/w/slipway.tfvars.json".into()],
            backend_file: "/w/backend.hcl".into(),
            inputs: Default::default(),
            lock: WorkLock::of_temporary_file(),
            sources: StackSources {
                files: Default::default(),
                variables: Default::default(),
                volatile_data: Default::default(),
                remote_modules: Default::default(),
            },
        }
    }

    #[test]
    fn command_lines_are_as_terraform_expects() {
        let plan_file = Path::new("/w/plan.tfplan");
        let line = |program: Program| program.argv().join(" ");
        let (free, strict) = (configuration(false), configuration(true));
        insta::assert_snapshot!(
            [
                line(init("terraform", &free)),
                line(init("terraform", &strict)),
                line(plan("terraform", &free, plan_file)),
                line(apply("terraform", &free, plan_file)),
                line(show("terraform", &free, plan_file)),
                line(output("terraform", &free)),
                line(force_unlock("terraform", &free, "5e1c")),
                line(state_push("terraform", &free, Path::new("errored.tfstate"))),
            ]
            .join("\n"),
            @r"
        terraform init -input=false -no-color -reconfigure -backend-config=/w/backend.hcl
        terraform init -input=false -no-color -reconfigure -backend-config=/w/backend.hcl -lockfile=readonly
        terraform plan -json -input=false -detailed-exitcode -lock-timeout=600s -var-file=/p/hello.tfvars -var-file=/w/slipway.tfvars.json -out=/w/plan.tfplan
        terraform apply -json -input=false -lock-timeout=600s /w/plan.tfplan
        terraform show -json -no-color /w/plan.tfplan
        terraform output -json
        terraform force-unlock -force 5e1c
        terraform state push -lock-timeout=600s errored.tfstate
        "
        );
    }
}
