//! The tools that build functions, and the contexts of building and publishing.

use super::{Account, AnyRegistry, AppContext};
use crate::artifact::BuildContext;
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
        signing_keys: &'a dyn SigningKeys,
        environment: Option<&'a EnvironmentName>,
        account: Option<&Account>,
        ledgers: LedgerReleases<'a>,
    ) -> PublicationContext<'a> {
        PublicationContext {
            build,
            catalogue,
            ledgers,
            signing_keys,
            clock: &*self.clock,
            environment,
            tags: !account.is_some_and(|account| account.emulated),
            logs: self.logs(),
            prebuilt: None,
        }
    }
}
