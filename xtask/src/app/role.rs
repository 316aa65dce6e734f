//! Whether a role is assumed already, as in a CI job.
//!
//! In: the caller's ARN from STS, and the role that an environment names. Out: whether the caller is a session of that role,
//! or of the planning or reading role that belongs to it. A role of ci-roles trusts only the CI's tokens, not itself, so it
//! cannot be assumed again. Other callers, such as administrators, assume it.

/// The suffixes of the roles of ci-roles.
const APPLIES: &str = "-ci-apply";
const PLANS: &str = "-ci-plan";
const READS: &str = "-ci-read";

/// Returns whether a caller with this ARN has assumed the role, or its planning or reading role, already.
pub(super) fn is_assumed(arn: &str, role: &str) -> bool {
    let (Some(caller), Some(wanted)) = (role_of_session(arn), role_of(role)) else { return false };
    let belongs = wanted
        .1
        .strip_suffix(APPLIES)
        .is_some_and(|stem| [PLANS, READS].iter().any(|suffix| caller.1.strip_suffix(suffix) == Some(stem)));
    caller.0 == wanted.0 && (caller.1 == wanted.1 || belongs)
}

/// Returns whether a caller with this ARN is a session of exactly this role.
pub(super) fn is_session_of(arn: &str, role: &str) -> bool {
    role_of_session(arn).is_some_and(|caller| role_of(role) == Some(caller))
}

/// Returns account and role of `arn:aws:sts::<account>:assumed-role/<role>/<session>`, which does not have the role's path.
fn role_of_session(arn: &str) -> Option<(&str, &str)> {
    let (account, resource) = parts(arn, "sts")?;
    Some((account, resource.strip_prefix("assumed-role/")?.split('/').next()?))
}

/// Returns account and role of `arn:aws:iam::<account>:role/<path>/<role>`.
fn role_of(arn: &str) -> Option<(&str, &str)> {
    let (account, resource) = parts(arn, "iam")?;
    Some((account, resource.strip_prefix("role/")?.rsplit('/').next()?))
}

fn parts<'a>(arn: &'a str, service: &str) -> Option<(&'a str, &'a str)> {
    let mut parts = arn.splitn(6, ':');
    let is_its = parts.nth(2)? == service;
    let account = parts.nth(1)?;
    is_its.then_some((account, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::is_assumed;

    const ROLE: &str = "arn:aws:iam::222222222222:role/shop-222222222222-dev-ci-apply";

    #[test]
    fn session_of_the_role_or_one_that_belongs_to_it_assumes_nothing() {
        for session in [
            "shop-222222222222-dev-ci-apply/GitHubActions",
            "shop-222222222222-dev-ci-plan/run-7",
            "shop-222222222222-dev-ci-read/slipway-staging",
        ] {
            assert!(
                is_assumed(&format!("arn:aws:sts::222222222222:assumed-role/{session}"), ROLE),
                "{session}"
            );
        }
        let within = "arn:aws:iam::222222222222:role/deployment/shop-deploy";
        assert!(is_assumed("arn:aws:sts::222222222222:assumed-role/shop-deploy/ada", within));
    }

    #[test]
    fn other_callers_assume_the_role() {
        for arn in [
            "arn:aws:sts::222222222222:assumed-role/shop-222222222222-prod-ci-plan/run-7",
            "arn:aws:sts::222222222222:assumed-role/shop-222222222222-prod-ci-read/run-7",
            "arn:aws:sts::222222222222:assumed-role/shop-222222222222-prod-ci-apply/run-7",
            "arn:aws:sts::333333333333:assumed-role/shop-222222222222-dev-ci-apply/run-7",
            "arn:aws:sts::222222222222:assumed-role/administrator/shop-222222222222-dev-ci-apply",
            "arn:aws:iam::222222222222:user/shop-222222222222-dev-ci-apply",
            "arn:aws:iam::222222222222:root",
            "",
        ] {
            assert!(!is_assumed(arn, ROLE), "{arn}");
        }
        // Only the applying roles of ci-roles have a planning role.
        assert!(!is_assumed("arn:aws:sts::2:assumed-role/shop-ci-plan/run", "arn:aws:iam::2:role/shop"));
    }
}
