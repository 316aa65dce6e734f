//! Verifies again what serves in a stack, over the addresses that users reach. Changes nothing.
//!
//! In: a stack and some of its functions. Out: a verification of each function that serves, with its address. Errors:
//! AWS or a release's manifest cannot be read; a function that does not verify is a finding.

use super::EnvironmentStack;
use crate::failure::Result;
use crate::name::FunctionName;
use crate::plan::{self, Applied, FunctionOutput};
use crate::verification::{self, Clients, Endpoint, Verification, VersionUnderTest};

/// The functions of a stack that serve.
pub(crate) struct ServingStack {
    /// What the stack's state puts out.
    pub(crate) applied: Applied,
    /// Its functions.
    pub(crate) functions: Vec<ServingFunction>,
}

/// A function that serves.
pub(crate) struct ServingFunction {
    /// Its verification.
    pub(crate) verification: Verification,
    /// The address that users reach it at, as this machine reaches it.
    pub(crate) address: Option<String>,
}

/// Verifies the named functions that serve in a stack; `None` where nothing was deployed. `address` returns how this
/// machine reaches a function.
pub(crate) async fn verify_serving(
    stack: &EnvironmentStack,
    functions: &[FunctionName],
    address: &(dyn Fn(&FunctionOutput) -> Option<String> + Sync),
) -> Result<Option<ServingStack>> {
    let (Some(last), Some(applied)) =
        (stack.ledger.head().await?.last, plan::read_outputs(stack.store.as_ref(), stack.name()).await?)
    else {
        return Ok(None);
    };
    let outputs = applied.functions()?;
    let clients =
        Clients { functions: &stack.functions, services: &stack.services, interrupt: &stack.interrupt };
    let mut serving_functions = Vec::new();
    for (function, serving) in last.serves.iter().filter(|(function, _)| functions.contains(function)) {
        let manifest = stack.recorded_manifest(function, &serving.release, serving.digest).await?;
        let output = outputs.get(function);
        let address = output.and_then(address);
        let signed_for = output.and_then(|output| output.url_signed_for.as_deref());
        let step = stack.progress.step("verify", format!("{function} {}", serving.release));
        let version = VersionUnderTest {
            manifest: &manifest,
            function_name: &serving.function_name,
            version: &serving.lambda_version,
            known_configuration: Some(serving.config_digest),
            protected: stack.environment_settings.protected,
            emulated: stack.environment_settings.is_emulated(),
            outputs: &applied.outputs,
            endpoint: match &address {
                Some(address) => Endpoint::Url { address, signed_for },
                None => Endpoint::Version,
            },
        };
        let mut verification = verification::verify(&clients, &version).await?;
        // The ledger named the version; users reach what the alias points to.
        let alias = stack.functions.alias(&serving.function_name, &serving.alias).await?;
        verification.add_alias(alias.as_ref(), stack.environment());
        if verification.passed() {
            let title = format!("{function} {}: {}", serving.release, verification.summary());
            step.done_as(title, "verified");
        } else {
            step.failed("failed");
        }
        serving_functions.push(ServingFunction { verification, address });
    }
    Ok(Some(ServingStack { applied, functions: serving_functions }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::model::scene::Scene;

    #[tokio::test]
    async fn named_functions_are_verified_and_a_bad_answer_is_a_finding() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        let one = &scene.functions[..1];
        let serving = verify_serving(&stack, one, &|_| None).await.unwrap().unwrap();
        assert_eq!(serving.functions.len(), 1);
        assert!(serving.functions[0].verification.passed());

        let (_, version) = scene.lambda.serving(&Scene::function_name(&scene.functions[1])).unwrap();
        scene.lambda.bad_code.lock().unwrap().insert(version.code_sha256);
        let serving = verify_serving(&stack, &scene.functions, &|_| None).await.unwrap().unwrap();
        let passed: Vec<bool> =
            serving.functions.iter().map(|function| function.verification.passed()).collect();
        assert_eq!(passed, [true, false]);
    }

    #[tokio::test]
    async fn version_that_the_alias_left_is_a_finding() {
        let mut scene = Scene::new(false);
        scene.deploy_new_releases().await;
        let stack = scene.stack(true);
        let name = Scene::function_name(&scene.functions[0]);
        let (_, version) = scene.lambda.serving(&name).unwrap();
        scene.lambda.publish(&name, version);
        let revision = stack.functions.alias(&name, "live").await.unwrap().unwrap().revision_id.unwrap();
        stack.functions.move_alias(&name, "live", "2", &revision).await.unwrap();
        let serving = verify_serving(&stack, &scene.functions, &|_| None).await.unwrap().unwrap();
        let verifications: Vec<Verification> =
            serving.functions.into_iter().map(|function| function.verification).collect();
        let passed: Vec<bool> = verifications.iter().map(Verification::passed).collect();
        assert_eq!(passed, [false, true]);
        let report = verification::failure("dev", &verifications).report();
        assert_eq!(report.body.unwrap(), "a alias\n  expected  1\n  got       2");
        assert!(report.hint.unwrap().contains("cargo xtask recover --env dev"));
        assert!(verifications[1].summary().contains("alias ok"));
    }

    #[tokio::test]
    async fn stack_without_a_deployment_has_nothing_to_verify() {
        let mut scene = Scene::new(false);
        let stack = scene.stack(true);
        assert!(verify_serving(&stack, &scene.functions, &|_| None).await.unwrap().is_none());
    }
}
