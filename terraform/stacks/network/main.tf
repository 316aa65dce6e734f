locals {
  name_prefix    = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
  name           = "${local.name_prefix}-network"
  flow_logs_name = "${local.name_prefix}-flow-logs"
  flow_log_arn   = "arn:${data.aws_partition.current.partition}:logs:${var.environment.region}:${var.environment.account_id}:log-group:/aws/vpc-flow-logs/${local.flow_logs_name}"
}

data "aws_partition" "current" {}

module "network" {
  source = "../../modules/network"

  name           = local.name
  cidr           = var.cidr
  zones          = var.zones
  nat_gateways   = var.nat_gateways
  check_quotas   = var.check_quotas
  s3_account_ids = var.s3_account_ids
}

module "flow_logs_key" {
  source = "../../modules/kms-key"

  name        = local.flow_logs_name
  description = "Encrypts the flow logs of ${local.name}"

  # The log group's name is known before it is made, and the key before the group needs it.
  service_principals = [{
    service    = "logs.${var.environment.region}.${data.aws_partition.current.dns_suffix}"
    actions    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
    conditions = { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = [local.flow_log_arn] } }
  }]
  deletion_window_days = var.key_deletion_window_days
}

module "flow_logs" {
  source = "../../modules/flow-logs"

  name                     = local.flow_logs_name
  vpc_id                   = module.network.vpc_id
  traffic                  = var.flow_logs_traffic
  aggregation_seconds      = var.flow_logs_aggregation_seconds
  retention_days           = var.flow_logs_retention_days
  make_key                 = false
  kms_key_arn              = module.flow_logs_key.arn
  permissions_boundary_arn = var.permissions_boundary_arn
}

# Whom functions of other stacks are in the network. Nobody calls a function through its interface, so nothing comes in;
# AWS and everybody else is called by HTTPS, and the network's own resolver needs no rule.
resource "aws_security_group" "functions" {
  #checkov:skip=CKV2_AWS_5: the functions of other stacks take it, from this stack's output
  name        = "${local.name}-functions"
  description = "Functions: nothing in, HTTPS out"
  vpc_id      = module.network.vpc_id
  tags        = { Name = "${local.name}-functions" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.functions.id
  description       = "HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = { Name = "${local.name}-functions-https" }
}
