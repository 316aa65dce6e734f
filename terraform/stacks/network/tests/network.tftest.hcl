# What the stack makes of its values, without AWS; what the modules make of theirs is tested with them.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }

  mock_resource "aws_vpc" {
    defaults = { id = "vpc-0a1b2c3d4e5f60718" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0f000000-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-flow-logs" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/slipway-222222222222-dev-flow-logs" }
  }
}

variables {
  environment = {
    name       = "dev"
    project    = "slipway"
    account_id = "222222222222"
    region     = "eu-central-1"
  }
}

run "three_zones" {
  assert {
    condition     = output.vpc_id == "vpc-0a1b2c3d4e5f60718" && output.cidr == "10.0.0.0/16"
    error_message = "The network takes its range."
  }

  assert {
    condition = (output.availability_zones == ["eu-central-1a", "eu-central-1b", "eu-central-1c"]
      && length(distinct(output.private_subnet_ids)) == 3 && length(distinct(output.public_subnet_ids)) == 3
    && length(distinct(output.private_route_table_ids)) == 3)
    error_message = "Each of three zones has a private and a public subnet."
  }

  assert {
    condition     = length(output.nat_public_ips) == 1
    error_message = "One NAT gateway serves all zones unless more are asked for."
  }
}

run "functions_join" {
  assert {
    condition = (aws_security_group.functions.vpc_id == output.vpc_id
      && aws_security_group.functions.name == "slipway-222222222222-dev-network-functions"
    && output.function_security_group_ids == [aws_security_group.functions.id])
    error_message = "Functions that join get a group of their own."
  }

  assert {
    condition = ([aws_vpc_security_group_egress_rule.https.ip_protocol, aws_vpc_security_group_egress_rule.https.cidr_ipv4] == ["tcp", "0.0.0.0/0"]
      && [aws_vpc_security_group_egress_rule.https.from_port, aws_vpc_security_group_egress_rule.https.to_port] == [443, 443]
    && aws_vpc_security_group_egress_rule.https.security_group_id == aws_security_group.functions.id)
    error_message = "They call out by HTTPS."
  }

  assert {
    condition     = output.default_security_group_id != aws_security_group.functions.id
    error_message = "The default group, which denies all, is another one."
  }
}

run "flow_logs_with_a_key" {
  assert {
    condition     = output.flow_logs_log_group_name == "/aws/vpc-flow-logs/slipway-222222222222-dev-flow-logs" && output.flow_logs_key_arn == "arn:aws:kms:eu-central-1:222222222222:key/0f000000-0000-4000-8000-000000000000"
    error_message = "The flow logs have a group and a key of their own."
  }

  assert {
    condition = jsonencode([for statement in jsondecode(module.flow_logs_key.policy).Statement : [statement.Principal, statement.Condition] if statement.Sid != "AdministeredThroughIam"]) == jsonencode([[
      { Service = "logs.eu-central-1.amazonaws.com" },
      { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = ["arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/slipway-222222222222-dev-flow-logs"] } },
    ]])
    error_message = "CloudWatch Logs uses the key for this log group alone, and nobody else does."
  }

  assert {
    condition     = var.flow_logs_retention_days == 365 && var.flow_logs_traffic == "ALL"
    error_message = "All traffic is kept for a year unless an environment says otherwise."
  }
}

run "unbounded_unless_asked" {
  assert {
    condition     = module.flow_logs.permissions_boundary_arn == null
    error_message = "The flow logs' role has no boundary unless one is given."
  }
}

run "bounded" {
  variables {
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
  }

  assert {
    condition     = module.flow_logs.permissions_boundary_arn == "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
    error_message = "The flow logs' role is bounded by the policy given."
  }
}

run "a_gateway_in_each_zone" {
  variables {
    cidr         = "10.40.0.0/16"
    zones        = ["b", "c", "f"]
    nat_gateways = "one_per_zone"
  }

  assert {
    condition     = length(output.nat_public_ips) == 3 && output.cidr == "10.40.0.0/16" && output.availability_zones == ["eu-central-1b", "eu-central-1c", "eu-central-1f"]
    error_message = "Range, zones and gateways are as asked."
  }
}

run "no_gateway" {
  variables {
    nat_gateways = "none"
  }

  assert {
    condition     = length(output.nat_public_ips) == 0
    error_message = "Without a gateway the private subnets have no way to the internet."
  }
}

run "refuses_a_wrong_account" {
  command = plan

  variables {
    environment = { name = "dev", project = "slipway", account_id = "2222", region = "eu-central-1" }
  }

  expect_failures = [var.environment]
}
