# Makes a network on an emulated AWS, gives each zone its own way out and looks at it. Endpoint, region
# and credentials come from the environment.
provider "aws" {
  max_retries = 2
}

variables {
  name = "slipway-modules-network"
  cidr = "10.98.0.0/16"
  tags = { Purpose = "emulator" }
}

run "one_way_out" {
  assert {
    condition     = length(output.nat_public_ips) == 1 && length(distinct(output.private_subnet_ids)) == 3 && length(distinct(output.public_subnet_ids)) == 3
    error_message = "EC2 made three pairs of subnets, and gave one gateway its address."
  }

  assert {
    condition     = length(distinct([for route in aws_route.private_nat : route.nat_gateway_id])) == 1 && length(aws_route.private_nat) == 3
    error_message = "All private subnets leave by the one gateway."
  }
}

run "a_way_out_for_each_zone" {
  variables {
    nat_gateways = "one_per_zone"
  }

  assert {
    condition     = output.vpc_id == run.one_way_out.vpc_id && output.private_subnet_ids == run.one_way_out.private_subnet_ids && output.private_route_table_ids == run.one_way_out.private_route_table_ids
    error_message = "Two more gateways change routes, and replace neither subnets nor tables."
  }

  assert {
    condition     = length(distinct(output.nat_public_ips)) == 3 && output.nat_public_ips[0] == run.one_way_out.nat_public_ips[0]
    error_message = "Two addresses come to the one that partners already let in."
  }
}

run "with_an_endpoint_that_is_paid_for" {
  variables {
    nat_gateways        = "one_per_zone"
    interface_endpoints = ["secretsmanager"]
  }

  assert {
    condition     = output.vpc_id == run.one_way_out.vpc_id && keys(output.interface_endpoint_ids) == ["secretsmanager"] && startswith(output.dynamodb_endpoint_id, "vpce-")
    error_message = "The endpoint that was asked for is made beside the free ones."
  }
}

run "as_ec2_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    vpc_id             = run.a_way_out_for_each_zone.vpc_id
    private_subnet_ids = run.a_way_out_for_each_zone.private_subnet_ids
  }

  assert {
    condition     = output.vpc.cidr_block == "10.98.0.0/16" && output.vpc.enable_dns_hostnames && output.vpc.tags["Name"] == "slipway-modules-network"
    error_message = "The VPC has its range and its name."
  }

  assert {
    condition     = length(output.nat_gateway_ids) == 3 && toset(output.ways_out) == toset(output.nat_gateway_ids)
    error_message = "Each private subnet leaves by a gateway of its own."
  }

  assert {
    condition     = output.endpoint.id == run.a_way_out_for_each_zone.s3_endpoint_id && toset(output.endpoint.route_table_ids) == toset(run.a_way_out_for_each_zone.private_route_table_ids)
    error_message = "S3 is reached past the gateways, from every private subnet."
  }

  assert {
    condition     = output.default_group_id == run.a_way_out_for_each_zone.default_security_group_id && length(output.default_group_rule_ids) == 0
    error_message = "The default group has no rule: it denies all."
  }
}
