data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  log_group_name = "/aws/vpc-flow-logs/${var.name}"
  of_account     = "${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}"
  log_group_arn  = "arn:${data.aws_partition.current.partition}:logs:${local.of_account}:log-group:${local.log_group_name}"
  kms_key_arn    = var.make_key ? one(aws_kms_key.this[*].arn) : var.kms_key_arn

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  key_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        # None of these actions encrypts or decrypts: an administrator of all keys reads no log with this one.
        Sid       = "AdministeredThroughIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action = [
          "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey",
          "kms:EnableKeyRotation", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListAliases", "kms:ListGrants", "kms:ListKeyPolicies",
          "kms:ListKeyRotations", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:RevokeGrant", "kms:RotateKeyOnDemand", "kms:ScheduleKeyDeletion",
          "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
        ]
        Resource = "*"
      },
      {
        Sid       = "UsedByLogs"
        Effect    = "Allow"
        Principal = { Service = "logs.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
        Resource  = "*"
        # For this log group alone.
        # https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
        Condition = { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = local.log_group_arn } }
      },
    ]
  }

  trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "FlowLogsOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      # The service may assume the role only on behalf of a flow log of this account and region.
      # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
      Condition = {
        StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${data.aws_partition.current.partition}:ec2:${local.of_account}:vpc-flow-log/*" }
      }
    }]
  }

  write_policy = {
    Version = "2012-10-17"
    Statement = [
      {
        # AWS asks for logs:CreateLogGroup too. The group stands already, and without the permission
        # nothing can bring it back unencrypted and without an end once somebody has deleted it.
        Sid      = "WriteOwnLogs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [local.log_group_arn, "${local.log_group_arn}:*"]
      },
      {
        # AWS lists no resource for it.
        Sid      = "FindOwnLogGroup"
        Effect   = "Allow"
        Action   = "logs:DescribeLogGroups"
        Resource = "*"
      },
    ]
  }
}

resource "aws_kms_key" "this" {
  count = var.make_key ? 1 : 0

  description             = "Encrypts the log group ${local.log_group_name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode(local.key_policy)
  tags                    = var.tags
}

resource "aws_kms_alias" "this" {
  count = var.make_key ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

resource "aws_cloudwatch_log_group" "this" {
  name              = local.log_group_name
  retention_in_days = var.retention_days
  kms_key_id        = local.kms_key_arn
  tags              = var.tags
}

resource "aws_iam_role" "this" {
  name                 = var.name
  description          = "What the flow logs of ${var.name} may do"
  assume_role_policy   = jsonencode(local.trust_policy)
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

resource "aws_iam_role_policy" "write" {
  name   = "write"
  role   = aws_iam_role.this.name
  policy = jsonencode(local.write_policy)
}

resource "aws_flow_log" "this" {
  vpc_id                   = var.vpc_id
  traffic_type             = var.traffic
  log_destination_type     = "cloud-watch-logs"
  log_destination          = aws_cloudwatch_log_group.this.arn
  iam_role_arn             = aws_iam_role.this.arn
  max_aggregation_interval = var.aggregation_seconds
  tags                     = merge(var.tags, { Name = var.name })

  # What comes before the role may write is lost.
  depends_on = [aws_iam_role_policy.write]
}
