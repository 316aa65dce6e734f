# Whether the account has addresses left for the NAT gateways: asked where `check_quotas` says so. `cargo xtask doctor --env` asks
# the same before a plan.
data "aws_servicequotas_service_quota" "addresses" {
  count = var.check_quotas ? 1 : 0

  service_code = "ec2"
  quota_code   = "L-0263D0A3"
}

data "aws_eips" "all" {
  count = var.check_quotas ? 1 : 0
}

data "aws_eips" "own" {
  count = var.check_quotas ? 1 : 0

  filter {
    name   = "tag:Name"
    values = ["${var.name}-nat-*"]
  }
}

check "addresses_are_left" {
  assert {
    condition = !var.check_quotas ? true : (
      length(data.aws_eips.all[0].allocation_ids) - length(data.aws_eips.own[0].allocation_ids) + length(local.nat_zones) <= data.aws_servicequotas_service_quota.addresses[0].value
    )
    error_message = "The account has too few Elastic IP addresses left for the NAT gateways (Service Quotas, Amazon EC2, L-0263D0A3): the apply would stop at one of them."
  }
}
