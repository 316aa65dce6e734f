//! What the claims of each CI system mean: repository, ref, commit, workflow, run.
//!
//! In: a token whose signature was verified. Out: a [`VerifiedIdentity`] without the fields that are the same for all. Goes
//! wrong: a claim is missing that every token of that system has.

use super::VerifiedIdentity;
use super::token::Token;
use crate::settings::{BuilderKind, BuilderSettings};

/// The issuer of the public GitHub; another one is a GitHub Enterprise Server's, below its own address.
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Reads the claims of a builder's token.
pub(super) fn read(builder: &BuilderSettings, token: &Token) -> Result<VerifiedIdentity, String> {
    let needed = |claim: &str| {
        token.text(claim).map(str::to_owned).ok_or_else(|| format!("it has no claim `{claim}`"))
    };
    let subject = needed("sub")?;
    let identity = |builder_id: String| VerifiedIdentity {
        builder: String::new(),
        issuer: String::new(),
        audience: String::new(),
        subject: subject.clone(),
        builder_id,
        repository: None,
        git_ref: None,
        commit: None,
        workflow: None,
        run: None,
        actor: token.text("actor").map(str::to_owned),
        environment: token.text("environment").map(str::to_owned),
        key: None,
        verified_at: jiff::Timestamp::UNIX_EPOCH,
    };
    match builder.kind {
        BuilderKind::Github => {
            let server = github_server(&builder.issuer);
            let (repository, run) = (needed("repository")?, needed("run_id")?);
            let attempt = token.text("run_attempt").unwrap_or("1");
            // The file that defines the job; that of a reusable workflow, if it calls one.
            let job = token
                .text("job_workflow_ref")
                .map(str::to_owned)
                .map_or_else(|| needed("workflow_ref"), Ok)?;
            Ok(VerifiedIdentity {
                repository: Some(format!("{server}/{repository}")),
                git_ref: Some(needed("ref")?),
                commit: Some(needed("sha")?),
                workflow: Some(workflow_file(&needed("workflow_ref")?)),
                run: Some(format!("{server}/{repository}/actions/runs/{run}/attempts/{attempt}")),
                ..identity(format!("{server}/{job}"))
            })
        }
        BuilderKind::Gitlab => {
            let server = builder.issuer.trim_end_matches('/');
            let (project, config) = (needed("project_path")?, needed("ci_config_ref_uri")?);
            let pipeline =
                token.number_or_text("pipeline_id").ok_or("it has no claim `pipeline_id`".to_owned())?;
            // gitlab.example.com/acme/shop//.gitlab-ci.yml@refs/heads/main
            let file = config.split_once("//").map(|(_, file)| file.split('@').next().unwrap_or(file));
            Ok(VerifiedIdentity {
                repository: Some(format!("{server}/{project}")),
                git_ref: Some(needed("ref_path")?),
                commit: Some(needed("sha")?),
                workflow: file.map(str::to_owned),
                run: Some(format!("{server}/{project}/-/pipelines/{pipeline}")),
                actor: token.text("user_login").map(str::to_owned),
                ..identity(format!("https://{config}"))
            })
        }
        // The subject is the job's address; further claims are those of the plug-in's claim templates.
        BuilderKind::Jenkins => {
            let text = |claim: &str| token.text(claim).map(str::to_owned);
            let number = token.number_or_text("build_number");
            let branch = text("branch").map(|branch| format!("refs/heads/{branch}"));
            let address = format!("{}/", subject.trim_end_matches('/'));
            Ok(VerifiedIdentity {
                repository: text("repository"),
                git_ref: text("ref").or(branch),
                commit: text("sha").or_else(|| text("commit")),
                workflow: job_name(&subject),
                run: number.map(|number| format!("{address}{number}/")),
                ..identity(subject.clone())
            })
        }
    }
}

/// Returns the web address of a GitHub whose Actions have this issuer: `https://<host>/_services/token` for an Enterprise
/// Server.
fn github_server(issuer: &str) -> &str {
    match issuer {
        GITHUB => "https://github.com",
        other => other.trim_end_matches('/').trim_end_matches("/_services/token"),
    }
}

/// Returns the file of `owner/repository/.github/workflows/release.yml@refs/heads/main`.
fn workflow_file(workflow: &str) -> String {
    let path = workflow.split('@').next().unwrap_or(workflow);
    path.splitn(3, '/').nth(2).unwrap_or(path).to_owned()
}

/// Returns the name of the job at `https://jenkins.example/job/shop/job/main/`: `shop/main`.
fn job_name(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let mut parts = url.path_segments()?;
    let mut names = Vec::new();
    while let Some(part) = parts.next() {
        names.extend((part == "job").then(|| parts.next()).flatten());
    }
    (!names.is_empty()).then(|| names.join("/"))
}
