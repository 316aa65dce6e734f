variable "vpc_id" {
  type = string
}

variable "private_subnet_ids" {
  type = list(string)
}

data "aws_region" "current" {}

data "aws_vpc" "this" {
  id = var.vpc_id
}

data "aws_nat_gateways" "this" {
  vpc_id = var.vpc_id

  filter {
    name   = "state"
    values = ["available"]
  }
}

data "aws_route_table" "private" {
  count = 3

  subnet_id = var.private_subnet_ids[count.index]
}

data "aws_vpc_endpoint" "s3" {
  vpc_id       = var.vpc_id
  service_name = "com.amazonaws.${data.aws_region.current.id}.s3"
}

data "aws_security_group" "default" {
  vpc_id = var.vpc_id
  name   = "default"
}

data "aws_vpc_security_group_rules" "default" {
  filter {
    name   = "group-id"
    values = [data.aws_security_group.default.id]
  }
}

output "vpc" {
  value = data.aws_vpc.this
}

output "nat_gateway_ids" {
  value = data.aws_nat_gateways.this.ids
}

output "ways_out" {
  description = "The NAT gateway that each private subnet's traffic leaves by, in the subnets' order."
  value       = [for table in data.aws_route_table.private : one([for route in table.routes : route.nat_gateway_id if route.cidr_block == "0.0.0.0/0"])]
}

output "endpoint" {
  value = data.aws_vpc_endpoint.s3
}

output "default_group_id" {
  value = data.aws_security_group.default.id
}

output "default_group_rule_ids" {
  # Null where there are none.
  value = data.aws_vpc_security_group_rules.default.ids == null ? [] : data.aws_vpc_security_group_rules.default.ids
}
