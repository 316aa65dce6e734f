//! Whether an environment's account has room for what its stacks ask: read before anything is made.
//!
//! In: what the files of the stacks ask for, and the account's quotas. Out: a requirement each. What is too little is missing;
//! what may not be read says so. Nothing is changed.

use super::{Availability, Requirement};
use crate::failure::{Failure, Result};
use crate::format;
use crate::name::EnvironmentName;
use crate::plan::Demands;
use crate::ports::{Quotas, side_by_side};

/// What AWS leaves to functions that reserve nothing: <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>.
const KEPT_UNRESERVED: i64 = 100;

/// The share of the code storage from which on it is time to remove versions, in percent.
const NEARLY_FULL: i64 = 90;

/// An environment, and who deploys to it.
pub(crate) struct AccountOf<'a> {
    /// The project's name.
    pub(crate) project: &'a str,
    /// The environment's.
    pub(crate) environment: &'a EnvironmentName,
    /// The ARN of the role that deploys to it.
    pub(crate) role: Option<&'a str>,
}

/// Looks at an account.
pub(crate) async fn account(of: &AccountOf<'_>, demands: &Demands, quotas: &dyn Quotas) -> Vec<Requirement> {
    let environment = of.environment;
    let mut found = Vec::new();
    let mut add = |what: &str, needed_for: &str, looked: Result<Looked>| {
        let (if_missing, looked) = match looked {
            Ok(Looked::Room(text)) => (Availability::Later, Ok(text)),
            Ok(Looked::Full(failure)) => (Availability::Missing, Err(failure)),
            Ok(Looked::NearlyFull(failure)) => (Availability::Later, Err(failure)),
            // What may not be read is no proof of anything.
            Err(failure) => (Availability::Later, Err(failure)),
        };
        found.push(Requirement::new(format!("{what} in {environment}"), needed_for, if_missing, looked));
    };
    match quotas.lambda().await {
        Err(failure) => add("free concurrency", "functions that run at once", Err(failure)),
        Ok(limits) => {
            let concurrency = concurrency(of, demands, quotas, (limits.concurrent, limits.unreserved)).await;
            add("free concurrency", "functions that run at once", concurrency);
            let code = code_storage(environment, limits.code_bytes_used, limits.code_bytes);
            add("free code storage", "every version of a function", Ok(code));
        }
    }
    if demands.elastic_ips > 0 {
        add("free Elastic IP addresses", "NAT gateways", addresses(of, demands, quotas).await);
    }
    if let Some(role) = of.role.and_then(|arn| arn.rsplit('/').next()) {
        let attached = quotas.attached_policies(role).await;
        let looked = attached.map(|attached| {
            let text = format!("{} of {} managed policies are attached to {role}", attached.used, attached.limit);
            if attached.used < attached.limit {
                return Looked::Room(text);
            }
            Looked::NearlyFull(Failure::failed(text).hint(
                "no further policy can be attached to it: ask for more (Service Quotas, IAM), or put statements into extra_statements of terraform/bootstrap",
            ))
        });
        add("managed policies", "the role that deploys", looked);
    }
    if !demands.unknown.is_empty() {
        let text = format!("{}: only a plan shows what they ask for", format::list(&demands.unknown));
        add("other demands", "reserved concurrency, addresses", Ok(Looked::Room(text)));
    }
    found
}

/// What a look at a quota found.
enum Looked {
    /// There is room; says how much.
    Room(String),
    /// There is room, and not for long.
    NearlyFull(Failure),
    /// There is not enough.
    Full(Failure),
}

/// Compares what the stacks reserve with what is not reserved: what their functions hold already is theirs.
async fn concurrency(
    of: &AccountOf<'_>,
    demands: &Demands,
    quotas: &dyn Quotas,
    (limit, unreserved): (i64, i64),
) -> Result<Looked> {
    let wanted: i64 = demands.reserved.iter().map(|reserved| reserved.concurrency).sum();
    let named = demands.reserved.iter().filter_map(|reserved| reserved.function.as_deref());
    let held: i64 =
        side_by_side(named.map(|function| quotas.reserved_concurrency(function))).await?.into_iter().sum();
    let left = unreserved + held - wanted;
    let text = format!("{limit} at once, {unreserved} of them unreserved; the stacks reserve {wanted}");
    let text = if held > 0 { format!("{text}, {held} already") } else { text };
    if wanted == 0 || left >= KEPT_UNRESERVED {
        return Ok(Looked::Room(text));
    }
    let missing = KEPT_UNRESERVED - left;
    Ok(Looked::Full(Failure::failed(format!(
        "{text}, and AWS keeps {KEPT_UNRESERVED} unreserved: {missing} too few"
    ))
    .hint(format!(
        "ask for more concurrent executions (Service Quotas, AWS Lambda, L-B99A9384), or reserve less: reserved_concurrent_executions in terraform/environments/{}",
        of.environment
    ))))
}

fn code_storage(environment: &EnvironmentName, used: i64, limit: i64) -> Looked {
    let gigabytes = |bytes: i64| bytes as f64 / f64::from(1 << 30);
    let text = format!("{:.1} of {:.0} GB", gigabytes(used), gigabytes(limit));
    let hint = format!("remove what nothing needs: cargo xtask prune --env {environment} --keep 5");
    let failure = || Failure::failed(text.clone()).hint(hint);
    match used.saturating_mul(100) {
        _ if used >= limit => Looked::Full(failure()),
        share if share >= limit.saturating_mul(NEARLY_FULL) => Looked::NearlyFull(failure()),
        _ => Looked::Room(text),
    }
}

/// Compares the addresses that NAT gateways need with those that are free; what the environment has already is its own.
async fn addresses(of: &AccountOf<'_>, demands: &Demands, quotas: &dyn Quotas) -> Result<Looked> {
    let addresses = quotas.elastic_ips().await?;
    let tags = [("Project", of.project), ("Environment", of.environment.as_str())];
    let own = quotas.elastic_ips_tagged(&tags).await?;
    let new = demands.elastic_ips.saturating_sub(own);
    let free = addresses.limit.saturating_sub(addresses.used);
    let text = format!(
        "{} of {} allocated; the stacks need {}{}",
        addresses.used,
        addresses.limit,
        demands.elastic_ips,
        if own > 0 { format!(", {own} of them allocated already") } else { String::new() }
    );
    Ok(if new <= free {
        Looked::Room(text)
    } else {
        Looked::Full(Failure::failed(format!("{text}: {} too few", new - free)).hint(format!(
            "ask for more addresses (Service Quotas, Amazon EC2, L-0263D0A3), or take fewer NAT gateways: nat_gateways in terraform/environments/{}/network.tfvars",
            of.environment
        )))
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::plan::Reserved;
    use crate::ports::{LambdaLimits, Quota};

    /// An account's numbers.
    #[derive(Clone)]
    struct Numbers {
        limits: LambdaLimits,
        held: i64,
        addresses: Quota,
        own_addresses: usize,
        policies: Quota,
        denied: bool,
    }

    fn numbers() -> Numbers {
        let limits = LambdaLimits {
            concurrent: 1_000,
            unreserved: 1_000,
            code_bytes: 75 << 30,
            code_bytes_used: 1 << 30,
        };
        Numbers {
            limits,
            held: 0,
            addresses: Quota { used: 1, limit: 5 },
            own_addresses: 0,
            policies: Quota { used: 8, limit: 10 },
            denied: false,
        }
    }

    #[async_trait]
    impl Quotas for Numbers {
        async fn lambda(&self) -> Result<LambdaLimits> {
            if self.denied { Err(Failure::failed("AccessDenied")) } else { Ok(self.limits) }
        }

        async fn reserved_concurrency(&self, function: &str) -> Result<i64> {
            assert_eq!(function, "tracer");
            Ok(self.held)
        }

        async fn elastic_ips(&self) -> Result<Quota> {
            Ok(self.addresses)
        }

        async fn elastic_ips_tagged(&self, tags: &[(&str, &str)]) -> Result<usize> {
            assert_eq!(tags, [("Project", "shop"), ("Environment", "prod")]);
            Ok(self.own_addresses)
        }

        async fn attached_policies(&self, role: &str) -> Result<Quota> {
            assert_eq!(role, "ci-apply");
            Ok(self.policies)
        }
    }

    /// Looks at an account for 50 reserved and three addresses; returns sign, subject and text of each line.
    async fn look(numbers: &Numbers) -> Vec<(Availability, String, String)> {
        let reserved = vec![Reserved { function: Some("tracer".into()), concurrency: 50 }];
        let demands = Demands { reserved, elastic_ips: 3, unknown: Vec::new() };
        let environment: EnvironmentName = "prod".parse().unwrap();
        let role = "arn:aws:iam::444444444444:role/slipway/ci/ci-apply";
        let of = AccountOf { project: "shop", environment: &environment, role: Some(role) };
        let found = account(&of, &demands, numbers).await;
        found.into_iter().map(|found| (found.verdict, found.what, found.found)).collect()
    }

    #[tokio::test]
    async fn account_with_room_says_how_much() {
        let found = look(&numbers()).await;
        assert!(found.iter().all(|(verdict, ..)| *verdict == Availability::Available), "{found:?}");
        let texts: Vec<String> = found.iter().map(|(_, what, found)| format!("{what}: {found}")).collect();
        assert_eq!(
            texts,
            [
                "free concurrency in prod: 1000 at once, 1000 of them unreserved; the stacks reserve 50",
                "free code storage in prod: 1.0 of 75 GB",
                "free Elastic IP addresses in prod: 1 of 5 allocated; the stacks need 3",
                "managed policies in prod: 8 of 10 managed policies are attached to ci-apply",
            ]
        );
    }

    #[tokio::test]
    async fn new_account_has_too_little_concurrency_and_what_functions_hold_counts_as_theirs() {
        let with = |concurrent, unreserved, held| {
            let limits = LambdaLimits { concurrent, unreserved, ..numbers().limits };
            Numbers { limits, held, ..numbers() }
        };
        let found = look(&with(10, 10, 0)).await;
        let text = "10 at once, 10 of them unreserved; the stacks reserve 50, and AWS keeps 100 unreserved: 140 too few";
        assert_eq!((found[0].0, found[0].2.as_str()), (Availability::Missing, text));
        assert_eq!(look(&with(1_000, 149, 0)).await[0].0, Availability::Missing);
        assert_eq!(look(&with(1_000, 150, 0)).await[0].0, Availability::Available);
        assert_eq!(look(&with(1_000, 100, 50)).await[0].0, Availability::Available);
    }

    #[tokio::test]
    async fn addresses_code_and_policies_run_out() {
        let of =
            |used, own_addresses| Numbers { addresses: Quota { used, limit: 5 }, own_addresses, ..numbers() };
        assert_eq!(look(&of(2, 0)).await[2].0, Availability::Available);
        let found = look(&of(3, 0)).await;
        assert_eq!(
            (found[2].0, found[2].2.as_str()),
            (Availability::Missing, "3 of 5 allocated; the stacks need 3: 1 too few")
        );
        assert_eq!(look(&of(5, 3)).await[2].0, Availability::Available, "they are its own");
        let code = |code_bytes_used| Numbers {
            limits: LambdaLimits { code_bytes_used, ..numbers().limits },
            ..numbers()
        };
        assert_eq!(look(&code(75 << 30)).await[1].0, Availability::Missing);
        assert_eq!(look(&code(70 << 30)).await[1].0, Availability::Later);
        let full = Numbers { policies: Quota { used: 10, limit: 10 }, ..numbers() };
        assert_eq!(look(&full).await[3].0, Availability::Later);
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_named_and_fails_nothing() {
        let found = look(&Numbers { denied: true, ..numbers() }).await;
        assert_eq!((found[0].0, found[0].2.as_str()), (Availability::Later, "AccessDenied"));
        assert_eq!(found.len(), 3, "the rest is looked at");
    }
}
