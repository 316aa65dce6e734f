//! The emulated account of the local environment: reached through the gateway, and through nothing else.

use std::sync::Arc;

use slipway_cloud::{Credentials, ObjectStore, SessionConfig};

use super::Account;
use crate::app::AppContext;
use crate::app::ports::{AccountServices, Bucket, Lambda, explain};
use crate::app::registries::Repositories;
use crate::emulator;
use crate::failure::Result;
use crate::name::EnvironmentName;
use crate::plan::{Backend, CodePlaces};
use crate::release::Catalogue;
use crate::settings::{ProcessEnvironment, Project};

impl AppContext {
    pub(super) async fn local_account(
        &self,
        environment: &EnvironmentName,
        state: &slipway_local::State,
    ) -> Result<Account> {
        let credentials = Credentials::Static {
            access_key_id: state.access_key_id.clone(),
            secret_access_key: state.secret_access_key.clone(),
            session_token: state.session_token.clone(),
        };
        let target = SessionConfig {
            region: state.region.clone(),
            credentials,
            assume_role: None,
            // All calls go through the gateway, which implements Invoke and keeps conditional writes atomic.
            endpoint: Some(state.gateway.url.clone()),
            lambda_endpoint: None,
        };
        let session = self.session(target).await?;
        let bucket = emulator::store_bucket(&self.project, &state.account);
        let state_bucket = state_bucket(&self.project, environment, &state.account);
        let (store, own) = (session.store(&bucket, None), session.store(&state_bucket, None));
        self.make_buckets(state, &store, &own).await?;
        let mut variables = session.environment().await.map_err(explain)?;
        variables.extend(only_local(&self.process_env, &variables));
        let (project, identity) = (&self.project.settings.name, self.identity());
        let images = Repositories::new(
            &format!("{}/{project}", state.registry()),
            Arc::new(slipway_cloud::Anonymous),
            None,
            self.observer(),
        )?;
        Ok(Account {
            catalogue: Catalogue::new(Arc::new(Bucket::new(store, "")))
                .with_images(Some(Arc::new(images)))
                .of_project(&identity)
                .with_tag_prefix(&self.project.settings.tag_prefix),
            places: CodePlaces {
                bucket,
                prefix: String::new(),
                // The name that ECR would have in that account: the gateway compares repository and digest only, because its
                // port may change.
                registry: Some(format!("{}/{project}", state.image_host())),
            },
            state: Arc::new(Bucket::new(own, "")),
            unprefixed_state: None,
            functions: Arc::new(Lambda(session.functions())),
            quotas: Arc::new(AccountServices(session.clone(), self.console.clone())),
            services: Arc::new(AccountServices(session, self.console.clone())),
            gateway: Some(state.gateway.url.clone()),
            backend: Backend {
                bucket: state_bucket,
                prefix: String::new(),
                region: state.region.clone(),
                account: state.account.clone(),
                lock_table: None,
                endpoint: Some(state.gateway.url.clone()),
            },
            variables,
            caller: None,
            emulated: true,
            reads_states: true,
            project: identity,
        })
    }

    /// Creates an emulated environment's buckets, once for each start of the emulator.
    async fn make_buckets(
        &self,
        state: &slipway_local::State,
        store: &ObjectStore,
        own: &ObjectStore,
    ) -> Result<()> {
        let mark = emulator::folder(&self.project).join("buckets");
        let start = format!("{} {} {}", state.emulator.url, state.account, state.started_at);
        let made_for = format!("{start} {}", own.bucket());
        let known = std::fs::read_to_string(&mark).unwrap_or_default();
        if known.lines().any(|known| known == made_for) {
            return Ok(());
        }
        futures::try_join!(store.create_bucket(true), own.create_bucket(true)).map_err(explain)?;
        // The mark only saves time: without it the buckets are checked again.
        let of_this_start = known.lines().filter(|known| known.starts_with(&start));
        let lines: Vec<&str> = of_this_start.chain([made_for.as_str()]).collect();
        let _ = std::fs::write(&mark, lines.join("\n"));
        Ok(())
    }
}

/// Returns the bucket of an emulated environment's states and ledgers. All emulated environments are in one account, so that
/// each needs a bucket of its own: with one, a deployment to the second would replace what the first runs.
///
/// A project's only emulated environment keeps the bucket that it had before there could be two, whatever its name.
fn state_bucket(project: &Project, environment: &EnvironmentName, account: &str) -> String {
    let emulated = project.environments.values().filter(|settings| settings.is_emulated()).count();
    let name = if emulated > 1 { environment.as_str() } else { "local" };
    format!("{}-{account}-{name}-state", project.settings.name)
}

/// Returns the variables that keep a program on this machine, whatever the user's variables and files say: endpoints of
/// single services, FIPS, dual stack, profiles, a certificate bundle or a proxy would lead it elsewhere. An empty one is
/// removed from the program's environment.
fn only_local(process: &ProcessEnvironment, set: &[(String, String)]) -> Vec<(String, String)> {
    let of_user = process.variables_with_prefix("AWS_").map(|(name, _)| name);
    let removed = of_user
        .filter(|name| !set.iter().any(|(set, _)| set == name))
        .chain(["HTTP_PROXY", "http_proxy"])
        .map(|name| (name.to_owned(), String::new()));
    let files = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"];
    // Last, so that they win over the removed ones.
    removed.chain(files.map(|name| (name.to_owned(), "/dev/null".to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_environment_stays_local_whatever_the_variables_say() {
        let process = ProcessEnvironment::of(&[
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9"),
            ("AWS_USE_FIPS_ENDPOINT", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_CONFIG_FILE", "/home/ada/config"),
            ("PATH", "/bin"),
        ]);
        let set = [("AWS_REGION".to_owned(), "eu-central-1".to_owned())];
        let variables = only_local(&process, &set);
        let of =
            |name: &str| variables.iter().rfind(|(known, _)| known == name).map(|(_, value)| value.as_str());
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_USE_FIPS_ENDPOINT", "HTTP_PROXY"] {
            assert_eq!(of(name), Some(""), "{name}");
        }
        assert_eq!((of("AWS_REGION"), of("PATH"), of("AWS_CONFIG_FILE")), (None, None, Some("/dev/null")));
    }
}
