# The real provider's schema, no AWS: what is computed takes the values given here, or is made up.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_resource "aws_vpc" {
    defaults = { ipv6_cidr_block = "2a05:d014:abc:de00::/56" }
  }
}

variables {
  name = "shop-222222222222-dev-network"
}

run "three_zones" {
  assert {
    condition = (aws_vpc.this.cidr_block == "10.0.0.0/16"
      && aws_vpc.this.enable_dns_support && aws_vpc.this.enable_dns_hostnames
    && aws_vpc.this.tags == tomap({ Name = "shop-222222222222-dev-network" }))
    error_message = "The network takes the range and the name given, and answers names."
  }

  assert {
    condition = { for letter, subnet in aws_subnet.private : letter => [subnet.availability_zone, subnet.cidr_block] } == {
      a = ["eu-central-1a", "10.0.16.0/20"]
      b = ["eu-central-1b", "10.0.32.0/20"]
      c = ["eu-central-1c", "10.0.48.0/20"]
    }
    error_message = "Each zone has a private subnet of a sixteenth of the range."
  }

  assert {
    condition = { for letter, subnet in aws_subnet.public : letter => [subnet.availability_zone, subnet.cidr_block] } == {
      a = ["eu-central-1a", "10.0.0.0/24"]
      b = ["eu-central-1b", "10.0.1.0/24"]
      c = ["eu-central-1c", "10.0.2.0/24"]
    }
    error_message = "Each zone has a public subnet, clear of the private ones."
  }

  assert {
    condition     = !anytrue([for subnet in concat(values(aws_subnet.public), values(aws_subnet.private)) : subnet.map_public_ip_on_launch])
    error_message = "No subnet gives public addresses by itself."
  }

  assert {
    condition     = aws_default_security_group.this.vpc_id == aws_vpc.this.id && aws_default_security_group.this.tags["Name"] == "shop-222222222222-dev-network-default-denies-all"
    error_message = "The default security group is taken over."
  }

  assert {
    condition = (output.private_subnet_ids == [for letter in ["a", "b", "c"] : aws_subnet.private[letter].id]
      && output.public_subnet_ids == [for letter in ["a", "b", "c"] : aws_subnet.public[letter].id]
    && output.availability_zones == ["eu-central-1a", "eu-central-1b", "eu-central-1c"])
    error_message = "The outputs follow the order of the zones."
  }
}

run "routes" {
  assert {
    condition = (aws_route.public_internet.gateway_id == aws_internet_gateway.this.id
      && aws_route.public_internet.destination_cidr_block == "0.0.0.0/0"
    && alltrue([for letter, link in aws_route_table_association.public : link.route_table_id == aws_route_table.public.id && link.subnet_id == aws_subnet.public[letter].id]))
    error_message = "Public subnets go out through the internet gateway."
  }

  assert {
    condition     = length(aws_route_table_association.private) == 3 && alltrue([for letter, link in aws_route_table_association.private : link.route_table_id == aws_route_table.private[letter].id && link.subnet_id == aws_subnet.private[letter].id])
    error_message = "Each private subnet has a table of its own."
  }
}

run "one_nat_gateway" {
  assert {
    condition     = keys(aws_nat_gateway.this) == ["a"] && keys(aws_eip.nat) == ["a"] && aws_nat_gateway.this["a"].subnet_id == aws_subnet.public["a"].id && aws_nat_gateway.this["a"].allocation_id == aws_eip.nat["a"].id
    error_message = "One gateway, in the public subnet of the first zone."
  }

  assert {
    condition = (keys(aws_route.private_nat) == ["a", "b", "c"]
      && alltrue([for letter, route in aws_route.private_nat : route.nat_gateway_id == aws_nat_gateway.this["a"].id && route.route_table_id == aws_route_table.private[letter].id && route.destination_cidr_block == "0.0.0.0/0"])
    && output.nat_public_ips == [aws_eip.nat["a"].public_ip])
    error_message = "All zones go out through it."
  }
}

run "one_nat_gateway_per_zone" {
  variables {
    nat_gateways = "one_per_zone"
  }

  assert {
    condition = (keys(aws_nat_gateway.this) == ["a", "b", "c"]
      && alltrue([for letter, gateway in aws_nat_gateway.this : gateway.subnet_id == aws_subnet.public[letter].id])
      && alltrue([for letter, route in aws_route.private_nat : route.nat_gateway_id == aws_nat_gateway.this[letter].id])
      && length(distinct([for gateway in aws_nat_gateway.this : gateway.id])) == 3
    && length(output.nat_public_ips) == 3)
    error_message = "Each zone goes out through a gateway of its own."
  }
}

run "no_nat_gateway" {
  variables {
    nat_gateways = "none"
  }

  assert {
    condition     = length(aws_nat_gateway.this) + length(aws_eip.nat) + length(aws_route.private_nat) == 0 && length(output.nat_public_ips) == 0
    error_message = "Nothing that is paid for, and no way out."
  }

  assert {
    condition     = length(aws_vpc_endpoint.s3.route_table_ids) == 3
    error_message = "S3 stays within reach."
  }
}

run "one_zone" {
  variables {
    zones        = ["b"]
    nat_gateways = "one_per_zone"
  }

  assert {
    condition     = keys(aws_subnet.private) == ["b"] && keys(aws_nat_gateway.this) == ["b"] && aws_subnet.private["b"].cidr_block == "10.0.16.0/20" && length(output.private_subnet_ids) == 1
    error_message = "One zone has one pair of subnets and one gateway."
  }
}

run "six_zones" {
  variables {
    zones = ["a", "b", "c", "d", "e", "f"]
  }

  assert {
    condition = (aws_subnet.private["a"].cidr_block == "10.0.16.0/20" && aws_subnet.private["f"].cidr_block == "10.0.96.0/20" && aws_subnet.public["f"].cidr_block == "10.0.5.0/24"
    && keys(aws_nat_gateway.this) == ["a"] && length(aws_route.private_nat) == 6)
    error_message = "More zones leave the first ones where they were, and all go out through one gateway."
  }
}

run "without_ipv6_and_interface_endpoints" {
  assert {
    condition = (!aws_vpc.this.assign_generated_ipv6_cidr_block && length(aws_egress_only_internet_gateway.this) + length(aws_route.private_ipv6) + length(aws_route.public_internet_ipv6) == 0
    && !aws_subnet.private["a"].assign_ipv6_address_on_creation && output.ipv6_cidr == null)
    error_message = "IPv4 alone unless asked."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) + length(aws_security_group.endpoints) == 0 && output.interface_endpoint_ids == {}
    error_message = "No endpoint that is paid for unless asked."
  }
}

run "ipv6" {
  variables {
    ipv6 = true
  }

  assert {
    condition = (aws_vpc.this.assign_generated_ipv6_cidr_block
      && aws_subnet.public["a"].ipv6_cidr_block == "2a05:d014:abc:de00::/64" && aws_subnet.public["c"].ipv6_cidr_block == "2a05:d014:abc:de02::/64"
    && aws_subnet.private["a"].ipv6_cidr_block == "2a05:d014:abc:de10::/64" && aws_subnet.private["c"].ipv6_cidr_block == "2a05:d014:abc:de12::/64")
    error_message = "Each subnet has a /64 of the network's range."
  }

  assert {
    condition = (aws_subnet.private["a"].assign_ipv6_address_on_creation && aws_subnet.public["a"].assign_ipv6_address_on_creation != true
      && keys(aws_route.private_ipv6) == ["a", "b", "c"]
    && alltrue([for route in aws_route.private_ipv6 : route.egress_only_gateway_id == aws_egress_only_internet_gateway.this[0].id && route.destination_ipv6_cidr_block == "::/0"]))
    error_message = "Private subnets call out by IPv6, through a gateway that lets nobody in."
  }

  assert {
    condition     = aws_route.public_internet_ipv6[0].gateway_id == aws_internet_gateway.this.id && output.ipv6_cidr == "2a05:d014:abc:de00::/56"
    error_message = "Public subnets have both ways."
  }
}

run "interface_endpoints" {
  variables {
    interface_endpoints = ["secretsmanager", "kms"]
  }

  assert {
    condition = ({ for service, endpoint in aws_vpc_endpoint.interface : service => endpoint.service_name } == {
      kms            = "com.amazonaws.eu-central-1.kms"
      secretsmanager = "com.amazonaws.eu-central-1.secretsmanager"
      }
      && alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled && endpoint.vpc_endpoint_type == "Interface" && endpoint.security_group_ids == toset([aws_security_group.endpoints[0].id])])
    && toset(aws_vpc_endpoint.interface["kms"].subnet_ids) == toset([for subnet in aws_subnet.private : subnet.id]))
    error_message = "Each service has an address in every private subnet, under its own name."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints[0].cidr_ipv4 == "10.0.0.0/16" && aws_vpc_security_group_ingress_rule.endpoints[0].from_port == 443 && aws_vpc_security_group_ingress_rule.endpoints[0].to_port == 443
    error_message = "The network alone reaches them, by HTTPS."
  }
}

run "refuses_a_paid_endpoint_for_what_is_free" {
  command = plan

  variables {
    interface_endpoints = ["s3"]
  }

  expect_failures = [var.interface_endpoints]
}

run "refuses_an_endpoints_full_name" {
  command = plan

  variables {
    interface_endpoints = ["com.amazonaws.eu-central-1.kms"]
  }

  expect_failures = [var.interface_endpoints]
}

run "dynamodb_endpoint" {
  variables {
    dynamodb_account_ids = ["333333333333"]
  }

  assert {
    condition = (aws_vpc_endpoint.dynamodb.vpc_endpoint_type == "Gateway"
      && aws_vpc_endpoint.dynamodb.service_name == "com.amazonaws.eu-central-1.dynamodb"
    && toset(aws_vpc_endpoint.dynamodb.route_table_ids) == toset([for table in aws_route_table.private : table.id]))
    error_message = "Every private subnet reaches DynamoDB without NAT."
  }

  assert {
    condition = jsonencode(jsondecode(aws_vpc_endpoint.dynamodb.policy).Statement) == jsonencode([{
      Sid       = "TablesOfTheseAccounts"
      Effect    = "Allow"
      Principal = "*"
      Action    = "dynamodb:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = ["222222222222", "333333333333"] } }
    }])
    error_message = "Only the tables of this account and of the accounts named can be reached."
  }
}

run "s3_endpoint" {
  variables {
    s3_account_ids = ["111111111111"]
  }

  assert {
    condition = (aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
      && aws_vpc_endpoint.s3.service_name == "com.amazonaws.eu-central-1.s3"
    && toset(aws_vpc_endpoint.s3.route_table_ids) == toset([for table in aws_route_table.private : table.id]))
    error_message = "Every private subnet reaches S3 without NAT."
  }

  assert {
    condition = jsonencode(jsondecode(aws_vpc_endpoint.s3.policy).Statement) == jsonencode([{
      Sid       = "BucketsOfTheseAccounts"
      Effect    = "Allow"
      Principal = "*"
      Action    = "s3:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = ["111111111111", "222222222222"] } }
    }])
    error_message = "Only the buckets of this account and of the accounts named can be reached."
  }
}

run "as_asked" {
  variables {
    cidr  = "10.32.16.0/20"
    zones = ["f", "b", "d"]
    tags  = { Owner = "platform" }
  }

  assert {
    condition = ([for letter in var.zones : [aws_subnet.public[letter].cidr_block, aws_subnet.private[letter].cidr_block, aws_subnet.private[letter].availability_zone]] == [
      ["10.32.16.0/28", "10.32.17.0/24", "eu-central-1f"],
      ["10.32.16.16/28", "10.32.18.0/24", "eu-central-1b"],
      ["10.32.16.32/28", "10.32.19.0/24", "eu-central-1d"],
    ])
    error_message = "The smallest range still holds six subnets, in the order of the zones."
  }

  assert {
    condition     = keys(aws_nat_gateway.this) == ["f"] && output.private_subnet_ids[0] == aws_subnet.private["f"].id
    error_message = "The first zone named holds the gateway."
  }

  assert {
    condition = alltrue([for tags in concat(
      [aws_vpc.this.tags, aws_default_security_group.this.tags, aws_internet_gateway.this.tags, aws_route_table.public.tags, aws_vpc_endpoint.s3.tags],
      [for thing in concat(values(aws_subnet.public), values(aws_subnet.private)) : thing.tags],
      [for thing in aws_route_table.private : thing.tags],
      [for thing in aws_eip.nat : thing.tags],
      [for thing in aws_nat_gateway.this : thing.tags],
    ) : tags["Owner"] == "platform" && startswith(tags["Name"], var.name)])
    error_message = "Everything carries the tags given and a name after the network's."
  }
}

run "default_group_denies_all" {
  command = plan

  assert {
    condition     = length(aws_default_security_group.this.ingress) == 0 && length(aws_default_security_group.this.egress) == 0
    error_message = "The default security group has no rules: it denies all."
  }
}

run "refuses_a_name_with_a_slash" {
  command = plan

  variables {
    name = "shop/network"
  }

  expect_failures = [var.name]
}

run "refuses_too_small_a_range" {
  command = plan

  variables {
    cidr = "10.0.0.0/21"
  }

  expect_failures = [var.cidr]
}

run "refuses_a_range_that_begins_elsewhere" {
  command = plan

  variables {
    cidr = "10.0.1.0/16"
  }

  expect_failures = [var.cidr]
}

run "refuses_no_zone" {
  command = plan

  variables {
    zones = []
  }

  expect_failures = [var.zones]
}

run "refuses_more_zones_than_a_region_has" {
  command = plan

  variables {
    zones = ["a", "b", "c", "d", "e", "f", "g"]
  }

  expect_failures = [var.zones]
}

run "refuses_a_zone_twice" {
  command = plan

  variables {
    zones = ["a", "b", "b"]
  }

  expect_failures = [var.zones]
}

run "refuses_the_full_name_of_a_zone" {
  command = plan

  variables {
    zones = ["a", "b", "eu-central-1c"]
  }

  expect_failures = [var.zones]
}

run "refuses_two_nat_gateways" {
  command = plan

  variables {
    nat_gateways = "two"
  }

  expect_failures = [var.nat_gateways]
}

run "refuses_a_short_account_id" {
  command = plan

  variables {
    s3_account_ids = ["111"]
  }

  expect_failures = [var.s3_account_ids]
}

run "refuses_a_short_account_id_of_tables" {
  command = plan

  variables {
    dynamodb_account_ids = ["222"]
  }

  expect_failures = [var.dynamodb_account_ids]
}

run "too_few_addresses" {
  command = plan

  variables {
    nat_gateways = "one_per_zone"
    check_quotas = true
  }

  override_data {
    target = data.aws_servicequotas_service_quota.addresses[0]
    values = { value = 5 }
  }
  override_data {
    target = data.aws_eips.all[0]
    values = { allocation_ids = ["eipalloc-1", "eipalloc-2", "eipalloc-3"] }
  }
  override_data {
    target = data.aws_eips.own[0]
    values = { allocation_ids = [] }
  }

  expect_failures = [check.addresses_are_left]
}

run "its_own_addresses_are_no_others" {
  command = plan

  variables {
    nat_gateways = "one_per_zone"
    check_quotas = true
  }

  override_data {
    target = data.aws_servicequotas_service_quota.addresses[0]
    values = { value = 5 }
  }
  override_data {
    target = data.aws_eips.all[0]
    values = { allocation_ids = ["eipalloc-1", "eipalloc-2", "eipalloc-3"] }
  }
  override_data {
    target = data.aws_eips.own[0]
    values = { allocation_ids = ["eipalloc-1"] }
  }
}
