//! Whether a role has to be assumed: a CI job comes with a session of its own.
//!
//! In: the ARN that STS gives of the credentials, and the role that an environment names. Out: whether they are its session
//! already, or one of the role beside it that plans. A role of ci-roles trusts the CI's tokens alone, not itself: assuming it
//! once more would be refused. Other sessions, an administrator's among them, go on to assume it.

/// What the roles of ci-roles end with.
const APPLIES: &str = "-ci-apply";
const PLANS: &str = "-ci-plan";

/// Says whether credentials with this ARN need no role assumed.
pub(super) fn is_held(arn: &str, role: &str) -> bool {
    let (Some(held), Some(wanted)) = (session_of(arn), named(role)) else { return false };
    let plans = wanted.1.strip_suffix(APPLIES).is_some_and(|stem| held.1.strip_suffix(PLANS) == Some(stem));
    held.0 == wanted.0 && (held.1 == wanted.1 || plans)
}

/// `arn:aws:sts::<account>:assumed-role/<role>/<session>`: account and role. The role's path is not in it.
fn session_of(arn: &str) -> Option<(&str, &str)> {
    let (account, resource) = parts(arn, "sts")?;
    Some((account, resource.strip_prefix("assumed-role/")?.split('/').next()?))
}

/// `arn:aws:iam::<account>:role/<path>/<role>`: account and role.
fn named(arn: &str) -> Option<(&str, &str)> {
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
    use super::is_held;

    const ROLE: &str = "arn:aws:iam::222222222222:role/shop-222222222222-dev-ci-apply";

    #[test]
    fn a_job_that_holds_the_role_or_the_planning_one_assumes_nothing() {
        for session in ["shop-222222222222-dev-ci-apply/GitHubActions", "shop-222222222222-dev-ci-plan/run-7"]
        {
            assert!(is_held(&format!("arn:aws:sts::222222222222:assumed-role/{session}"), ROLE), "{session}");
        }
        let within = "arn:aws:iam::222222222222:role/deployment/shop-deploy";
        assert!(is_held("arn:aws:sts::222222222222:assumed-role/shop-deploy/ada", within));
    }

    #[test]
    fn everybody_else_assumes_it() {
        for arn in [
            "arn:aws:sts::222222222222:assumed-role/shop-222222222222-prod-ci-plan/run-7",
            "arn:aws:sts::222222222222:assumed-role/shop-222222222222-prod-ci-apply/run-7",
            "arn:aws:sts::333333333333:assumed-role/shop-222222222222-dev-ci-apply/run-7",
            "arn:aws:sts::222222222222:assumed-role/administrator/shop-222222222222-dev-ci-apply",
            "arn:aws:iam::222222222222:user/shop-222222222222-dev-ci-apply",
            "arn:aws:iam::222222222222:root",
            "",
        ] {
            assert!(!is_held(arn, ROLE), "{arn}");
        }
        // The planning role is beside the applying one of ci-roles, and beside no other.
        assert!(!is_held("arn:aws:sts::2:assumed-role/shop-ci-plan/run", "arn:aws:iam::2:role/shop"));
    }
}
