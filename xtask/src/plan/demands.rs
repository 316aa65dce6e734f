//! What the stacks of an environment ask of its account, as far as their files say it: reserved concurrency of functions, and
//! Elastic IP addresses of NAT gateways.
//!
//! In: the root modules of an environment's stacks. Out: [`Demands`], with what is not known beforehand. Calls of modules named
//! `lambda-function` and `network` and the resources `aws_lambda_function` and `aws_eip` are read.

use hcl::Value;

use super::root_module::{Attribute, Call, RootModule};
use crate::failure::Result;
use crate::name::EnvironmentName;
use crate::settings::Project;

/// What the stacks of an environment ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Demands {
    /// The functions that reserve concurrency, with how much: the name where it is known.
    pub(crate) reserved: Vec<Reserved>,
    /// How many Elastic IP addresses.
    pub(crate) elastic_ips: usize,
    /// The blocks of which it is not known before a plan, such as `network: module.network`.
    pub(crate) unknown: Vec<String>,
}

/// A function that reserves concurrency.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Its name in Lambda; `None` where that is not known.
    pub(crate) function: Option<String>,
    /// How many invocations.
    pub(crate) concurrency: i64,
}

/// Lists what the stacks of an environment ask for.
pub(crate) fn demands(project: &Project, environment: &EnvironmentName) -> Result<Demands> {
    let mut demands = Demands::default();
    for module in RootModule::of_environment(project, environment)? {
        for call in module.calls() {
            let known = match call.kind().as_deref() {
                Some("lambda-function") => reserved(&call, "name", &mut demands),
                Some("aws_lambda_function") => reserved(&call, "function_name", &mut demands),
                Some("network") => gateways(&call, &mut demands),
                Some("aws_eip") => match call.instances_known() {
                    Some(count) => {
                        demands.elastic_ips += count;
                        true
                    }
                    None => false,
                },
                _ => true,
            };
            if !known {
                demands.unknown.push(format!("{}: {}", module.stack(), call.address()));
            }
        }
    }
    Ok(demands)
}

/// Adds what a function reserves; returns whether that is known.
fn reserved(call: &Call<'_>, name: &str, demands: &mut Demands) -> bool {
    let Attribute::Known(values) = call.values("reserved_concurrent_executions") else { return false };
    let names = match call.values(name) {
        Attribute::Known(names) => names,
        Attribute::Unknown => Vec::new(),
    };
    for (index, value) in values.iter().enumerate() {
        // None, and -1, reserve nothing.
        if let Some(concurrency) = value.as_i64().filter(|concurrency| *concurrency > 0) {
            let function = names.get(index).and_then(Value::as_str).map(str::to_owned);
            demands.reserved.push(Reserved { function, concurrency });
        }
    }
    true
}

/// Adds the addresses of a network's NAT gateways; returns whether they are known.
fn gateways(call: &Call<'_>, demands: &mut Demands) -> bool {
    let (Attribute::Known(gateways), Attribute::Known(zones)) =
        (call.values("nat_gateways"), call.values("zones"))
    else {
        return false;
    };
    let Some(instances) = call.instances_known() else { return false };
    for index in 0..instances {
        // The module's own defaults: one gateway, three zones.
        demands.elastic_ips += match gateways.get(index).map_or(Some("one"), Value::as_str) {
            Some("none") => 0,
            Some("one") => 1,
            Some("one_per_zone") => zones.get(index).and_then(Value::as_array).map_or(3, Vec::len),
            _ => return false,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repositorys_prod_reserves_for_the_tracer_and_needs_three_addresses_with_its_network() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let project = Project::load(root).unwrap();
        let prod = demands(&project, &"prod".parse().unwrap()).unwrap();
        let function = Some("slipway-444444444444-prod-tracer".to_owned());
        assert_eq!(prod.reserved, [Reserved { function, concurrency: 50 }]);
        assert_eq!((prod.elastic_ips, prod.unknown), (0, Vec::new()), "prod runs no network");
        let staging = demands(&project, &"staging".parse().unwrap()).unwrap();
        assert_eq!((staging.reserved, staging.elastic_ips), (Vec::new(), 1));
    }

    #[test]
    fn what_files_say_is_added_and_the_rest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("pipelines/project.toml", "schema = 1\nname = \"shop\"\n");
        write("terraform/environments/here/environment.toml", "emulated = true\n");
        write("terraform/environments/here/web.tfvars", "zones = [\"a\", \"b\"]\nreserved = 7\n");
        write("terraform/stacks/web/stack.toml", "");
        write(
            "terraform/stacks/web/main.tf",
            r#"
variable "zones" { default = ["a"] }
variable "reserved" { default = null }
variable "more" {}
module "net" {
  source       = "../../modules/network"
  nat_gateways = "one_per_zone"
  zones        = var.zones
}
module "defaults" { source = "../../modules/network" }
module "off" {
  source       = "../../modules/network"
  nat_gateways = "none"
}
resource "aws_eip" "own" { count = 2 }
module "f" {
  source                         = "../../modules/lambda-function"
  for_each                       = { one = 1, two = 2 }
  name                           = "f-${each.key}"
  reserved_concurrent_executions = var.reserved
}
module "g" {
  source                         = "../../modules/lambda-function"
  name                           = "g"
  reserved_concurrent_executions = -1
}
module "h" {
  source                         = "../../modules/lambda-function"
  name                           = "h"
  reserved_concurrent_executions = var.more
}
"#,
        );
        let project = Project::load(folder.path()).unwrap();
        let found = demands(&project, &"here".parse().unwrap()).unwrap();
        let f = |name: &str| Reserved { function: Some(name.to_owned()), concurrency: 7 };
        assert_eq!(found.reserved, [f("f-one"), f("f-two")]);
        assert_eq!(found.elastic_ips, 2 + 1 + 2);
        assert_eq!(found.unknown, ["web: module.h"]);
    }
}
