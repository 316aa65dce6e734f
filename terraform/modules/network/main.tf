data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  # Letter of the zone -> its place. The letters come from the caller: reading the region's zones
  # would be a data source that can answer otherwise tomorrow.
  zones = { for place, letter in var.zones : letter => place }

  nat_zones = {
    none         = []
    one          = [var.zones[0]]
    one_per_zone = var.zones
  }[var.nat_gateways]

  # A zone goes out through its own gateway where it has one, else through the only one.
  nat_of = { for letter in var.zones : letter => contains(local.nat_zones, letter) ? letter : var.zones[0] if length(local.nat_zones) > 0 }

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  s3_policy = {
    Version = "2012-10-17"
    Statement = [{
      # What runs here reaches the buckets of these accounts and no other's, whatever credentials it
      # holds: S3 is no way to carry data out.
      Sid       = "BucketsOfTheseAccounts"
      Effect    = "Allow"
      Principal = "*"
      Action    = "s3:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = sort(setunion([data.aws_caller_identity.current.account_id], var.s3_account_ids)) } }
    }]
  }

  dynamodb_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TablesOfTheseAccounts"
      Effect    = "Allow"
      Principal = "*"
      Action    = "dynamodb:*"
      Resource  = "*"
      Condition = { StringEquals = { "aws:ResourceAccount" = sort(setunion([data.aws_caller_identity.current.account_id], var.dynamodb_account_ids)) } }
    }]
  }
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11: flow logs are a module of their own, flow-logs, which takes this VPC's id
  cidr_block                       = var.cidr
  assign_generated_ipv6_cidr_block = var.ipv6
  enable_dns_support               = true
  enable_dns_hostnames             = true
  tags                             = merge(var.tags, { Name = var.name })
}

# The group that AWS gives a VPC admits its members to each other and lets everything out. Without
# rules it denies all: what runs here must bring a group that says what it needs. Said, not left out:
# a rule that somebody adds by hand is then a change in the next plan.
resource "aws_default_security_group" "this" {
  vpc_id  = aws_vpc.this.id
  ingress = []
  egress  = []
  tags    = merge(var.tags, { Name = "${var.name}-default-denies-all" })
}

# A sixteenth of the range for each private subnet, a 256th for each public one, which holds a
# gateway and little else.
resource "aws_subnet" "public" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this.id
  availability_zone       = "${data.aws_region.current.id}${each.key}"
  cidr_block              = cidrsubnet(var.cidr, 8, each.value)
  ipv6_cidr_block         = var.ipv6 ? cidrsubnet(aws_vpc.this.ipv6_cidr_block, 8, each.value) : null
  map_public_ip_on_launch = false
  tags                    = merge(var.tags, { Name = "${var.name}-public-${each.key}" })
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id                  = aws_vpc.this.id
  availability_zone       = "${data.aws_region.current.id}${each.key}"
  cidr_block              = cidrsubnet(var.cidr, 4, each.value + 1)
  map_public_ip_on_launch = false

  # AWS gives the network a /56, and each subnet takes a /64 of it: the public ones the first sixteen. Whatever starts in a
  # private subnet gets an address and still nobody reaches it: the way out below is one for answers alone.
  ipv6_cidr_block                 = var.ipv6 ? cidrsubnet(aws_vpc.this.ipv6_cidr_block, 8, each.value + 16) : null
  assign_ipv6_address_on_creation = var.ipv6

  tags = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "public_internet" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route" "public_internet_ipv6" {
  count = var.ipv6 ? 1 : 0

  route_table_id              = aws_route_table.public.id
  destination_ipv6_cidr_block = "::/0"
  gateway_id                  = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  for_each = local.zones

  subnet_id      = aws_subnet.public[each.key].id
  route_table_id = aws_route_table.public.id
}

resource "aws_eip" "nat" {
  #checkov:skip=CKV2_AWS_19: each address belongs to the NAT gateway below, not to an instance
  for_each = toset(local.nat_zones)

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  for_each = toset(local.nat_zones)

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id
  tags          = merge(var.tags, { Name = "${var.name}-${each.key}" })

  depends_on = [aws_internet_gateway.this]
}

# A table for each zone, however many gateways there are: going from one to three changes a route
# and takes no subnet off its table.
resource "aws_route_table" "private" {
  for_each = local.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-private-${each.key}" })
}

resource "aws_route" "private_nat" {
  for_each = local.nat_of

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[each.value].id
}

# IPv6 needs no NAT gateway, and this one is free: what is in the private subnets calls out, and nobody calls in.
resource "aws_egress_only_internet_gateway" "this" {
  count = var.ipv6 ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_route" "private_ipv6" {
  for_each = var.ipv6 ? local.zones : {}

  route_table_id              = aws_route_table.private[each.key].id
  destination_ipv6_cidr_block = "::/0"
  egress_only_gateway_id      = aws_egress_only_internet_gateway.this[0].id
}

resource "aws_route_table_association" "private" {
  for_each = local.zones

  subnet_id      = aws_subnet.private[each.key].id
  route_table_id = aws_route_table.private[each.key].id
}

# Free, and what goes through it pays no NAT gateway.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${data.aws_region.current.id}.s3"
  route_table_ids   = [for letter in var.zones : aws_route_table.private[letter].id]
  policy            = jsonencode(local.s3_policy)
  tags              = merge(var.tags, { Name = "${var.name}-s3" })
}

# Free as well. What runs here reaches the tables of this account, whatever credentials it holds.
resource "aws_vpc_endpoint" "dynamodb" {
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "com.amazonaws.${data.aws_region.current.id}.dynamodb"
  route_table_ids   = [for letter in var.zones : aws_route_table.private[letter].id]
  policy            = jsonencode(local.dynamodb_policy)
  tags              = merge(var.tags, { Name = "${var.name}-dynamodb" })
}
