# What a network refuses, minute by minute, under a key that several log groups share. Region and credentials come from the environment.
terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {}

variable "name" {
  description = "Beginning of the names."
  type        = string
  default     = "example-complete"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  log_groups = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:log-group:/aws/vpc-flow-logs/*"
}

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-logs"
  description          = "Encrypts the flow logs of ${var.name}"
  deletion_window_days = 7

  service_principals = [{
    service    = "logs.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"
    conditions = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = [local.log_groups] } }
  }]
}

module "network" {
  source = "../../../network"

  name         = var.name
  zones        = ["a"]
  nat_gateways = "none"
}

# The role that writes the records can never do more than this.
resource "aws_iam_policy" "boundary" {
  name = "${var.name}-boundary"
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"], Resource = local.log_groups },
      { Effect = "Allow", Action = "logs:DescribeLogGroups", Resource = "*" },
    ]
  })
}

module "flow_logs" {
  source = "../.."

  name                     = "${var.name}-flow-logs"
  vpc_id                   = module.network.vpc_id
  traffic                  = "REJECT"
  aggregation_seconds      = 60
  retention_days           = 400
  make_key                 = false
  kms_key_arn              = module.key.arn
  permissions_boundary_arn = aws_iam_policy.boundary.arn

  tags = { Team = "shop" }
}

output "log_group_name" {
  description = "Where the records are."
  value       = module.flow_logs.log_group_name
}
