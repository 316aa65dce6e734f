//! The tools that build functions, and the contexts of building and publishing.

use std::collections::BTreeMap;

use super::{Account, AnyRegistry, AppContext};
use crate::artifact::BuildContext;
use crate::failure::Result;
use crate::identity::RunIdentity;
use crate::name::EnvironmentName;
use crate::ports::SigningKeys;
use crate::publication::{LedgerReleases, PublicationContext};
use crate::release::Catalogue;
use crate::source::Repository;
use crate::tools::cargo::RustBuilder;
use crate::tools::uv::Uv;

/// The tools that build functions, and the registries of base images.
pub(crate) struct Builders {
    rust: RustBuilder,
    uv: Uv,
    bases: AnyRegistry,
}

impl AppContext {
    /// Returns the tools that build functions; nothing is installed yet.
    pub(crate) fn builders(&self) -> Builders {
        Builders { rust: self.rust_builder(), uv: self.uv(), bases: self.bases() }
    }

    /// Returns what building functions needs.
    pub(crate) fn build_context<'a>(
        &'a self,
        repository: &'a Repository,
        builders: &'a Builders,
    ) -> BuildContext<'a> {
        BuildContext {
            project: &self.project,
            process_env: &self.process_env,
            repository,
            rust: &builders.rust,
            uv: &builders.uv,
            bases: &builders.bases,
            interrupt: &self.interrupt,
            progress: &self.progress,
        }
    }

    /// Returns what publishing releases needs; `environment` and `account` are those that the releases are for.
    pub(crate) fn publication_context<'a>(
        &'a self,
        build: BuildContext<'a>,
        catalogue: &'a Catalogue,
        (signing_keys, identity): (&'a dyn SigningKeys, &'a dyn RunIdentity),
        environment: Option<&'a EnvironmentName>,
        account: Option<&Account>,
        ledgers: LedgerReleases<'a>,
    ) -> Result<PublicationContext<'a>> {
        let judges = match environment {
            Some(environment) => vec![environment],
            None => self.project.environments_of_store(self.project.store_environment(None)),
        };
        let mut policies = BTreeMap::new();
        for judge in judges {
            let policy = self.trust(judge)?;
            if policy.required {
                policies.insert(judge.clone(), policy);
            }
        }
        Ok(PublicationContext {
            build,
            catalogue,
            ledgers,
            signing_keys,
            identity,
            policies,
            clock: &*self.clock,
            environment,
            tags: !account.is_some_and(|account| account.emulated),
            logs: self.logs(),
            prebuilt: None,
        })
    }
}
