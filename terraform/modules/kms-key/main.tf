data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_arn  = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root"
  via_services = [for service in var.services : "${service}.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"]

  use_actions = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  key_policy = {
    Version = "2012-10-17"
    Statement = concat(
      [{
        # The account's IAM policies say who administers the key. None of these actions encrypts or
        # decrypts: an administrator of all keys still reads nothing with this one.
        # https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html
        Sid       = "AdministeredThroughIam"
        Effect    = "Allow"
        Principal = { AWS = local.account_arn }
        Action = [
          "kms:CancelKeyDeletion",
          "kms:DescribeKey",
          "kms:DisableKey",
          "kms:DisableKeyRotation",
          "kms:EnableKey",
          "kms:EnableKeyRotation",
          "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus",
          "kms:ListAliases",
          "kms:ListGrants",
          "kms:ListKeyPolicies",
          "kms:ListKeyRotations",
          "kms:ListResourceTags",
          "kms:CreateAlias",
          "kms:DeleteAlias",
          "kms:UpdateAlias",
          "kms:PutKeyPolicy",
          "kms:RevokeGrant",
          "kms:RotateKeyOnDemand",
          "kms:ScheduleKeyDeletion",
          "kms:TagResource",
          "kms:UntagResource",
          "kms:UpdateKeyDescription",
        ]
        Resource = "*"
      }],
      [for statement in [
        {
          # https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html#conditions-kms-via-service
          Sid       = "UsedThroughServices"
          Effect    = "Allow"
          Principal = { AWS = local.account_arn }
          Action    = local.use_actions
          Resource  = "*"
          Condition = { StringEquals = { "kms:ViaService" = local.via_services } }
        },
        {
          # DynamoDB, Lambda and ECR work with grants, which outlive the call that made them.
          Sid       = "GrantedToServices"
          Effect    = "Allow"
          Principal = { AWS = local.account_arn }
          Action    = "kms:CreateGrant"
          Resource  = "*"
          Condition = {
            StringEquals = { "kms:ViaService" = local.via_services }
            Bool         = { "kms:GrantIsForAWSResource" = "true" }
          }
        },
      ] : statement if length(var.services) > 0],
      [for index, principal in var.service_principals : {
        Sid       = "UsedByService${index + 1}"
        Effect    = "Allow"
        Principal = { Service = principal.service }
        Action    = principal.actions
        Resource  = "*"
        Condition = principal.conditions
      }],
      length(var.user_arns) == 0 ? [] : [{
        Sid       = "UsedDirectly"
        Effect    = "Allow"
        Principal = { AWS = var.user_arns }
        Action    = local.use_actions
        Resource  = "*"
      }],
    )
  }
}

resource "aws_kms_key" "this" {
  description             = var.description
  enable_key_rotation     = true
  rotation_period_in_days = var.rotation_period_days
  deletion_window_in_days = var.deletion_window_days
  policy                  = jsonencode(local.key_policy)
  tags                    = var.tags
}

resource "aws_kms_alias" "this" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this.key_id
}
