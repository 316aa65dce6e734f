data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.name}"

  # Roles of CI, in every account: ci-roles and publisher-role make them below this path, and nothing else is there.
  ci_role_arns = "arn:${data.aws_partition.current.partition}:iam::*:role/slipway/ci/*"
  make_key     = var.make_key == null ? var.kms_key_arn == null : var.make_key
  kms_key_arn  = local.make_key ? one(aws_kms_key.this[*].arn) : var.kms_key_arn

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  key_policy = {
    Version = "2012-10-17"
    Statement = concat(
      [{
        # None of these actions encrypts or decrypts.
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
      }],
      [
        {
          # For objects of the bucket, and for the lock table that state-backend encrypts with it: never by a call of KMS itself.
          Sid       = "UsedThroughServices"
          Effect    = "Allow"
          Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
          Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
          Resource  = "*"
          Condition = { StringEquals = { "kms:ViaService" = [for service in ["s3", "dynamodb"] : "${service}.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"] } }
        },
        {
          # DynamoDB works with grants, which it makes for itself.
          Sid       = "GrantedToServices"
          Effect    = "Allow"
          Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
          Action    = ["kms:CreateGrant"]
          Resource  = "*"
          Condition = {
            StringEquals = { "kms:ViaService" = ["dynamodb.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}"] }
            Bool         = { "kms:GrantIsForAWSResource" = "true" }
          }
        },
      ],
      # Whatever an identity policy lets a role of CI do: it reads and writes objects with this key, and never has it.
      [{
        Sid       = "KeptFromCi"
        Effect    = "Deny"
        Principal = "*"
        Action = [
          "kms:CreateAlias", "kms:CreateGrant", "kms:DeleteAlias", "kms:DisableKey*", "kms:EnableKey*", "kms:PutKeyPolicy", "kms:RetireGrant",
          "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:Update*",
        ]
        Resource  = "*"
        Condition = { ArnLike = { "aws:PrincipalArn" = local.ci_role_arns } }
      }],
      length(var.reader_account_ids) == 0 ? [] : [{
        Sid       = "DecryptedByReaders"
        Effect    = "Allow"
        Principal = { AWS = local.reader_arns }
        Action    = ["kms:Decrypt", "kms:DescribeKey"]
        Resource  = "*"
        # Only through S3 of this region: the key opens this bucket's objects and nothing else.
        Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}" } }
      }],
    )
  }

  made_key_policy = merge(local.key_policy, { Statement = [for statement in local.key_policy.Statement : statement if !var.emulated || statement.Effect == "Allow"] })

  reader_arns = [for id in var.reader_account_ids : "arn:${data.aws_partition.current.partition}:iam::${id}:root"]

  # Statements have a condition or none, and both halves of a concat need one type: hence the texts.
  except_break_glass = length(var.break_glass_arns) == 0 ? {} : { ArnNotLike = { "aws:PrincipalArn" = sort(var.break_glass_arns) } }
  new_keys           = var.require_new_keys ? ["*"] : flatten([for prefix in sort(var.append_only_prefixes) : ["${prefix}*", "*/${prefix}*"]])
  kept_keys          = flatten([for prefix in sort(var.never_deleted_prefixes) : prefix == "" ? ["*"] : ["${prefix}*", "*/${prefix}*"]])

  # What the bucket has on AWS.
  all_statements = concat(
    [{
      Sid       = "HttpsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }],
    length(local.new_keys) > 0 ? [{
      Sid       = "NeverOverwritten"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource  = [for key in local.new_keys : "${local.bucket_arn}/${key}"]
      # A write that makes an object must carry If-None-Match; the parts of a multipart upload make none.
      # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
      Condition = {
        Null = { "s3:if-none-match" = "true" }
        Bool = { "s3:ObjectCreationOperation" = "true" }
      }
    }] : [],
    # A delete marker would let the next write pass as a new object.
    [for statement in [{
      Sid       = "NeverDeleted"
      Effect    = "Deny"
      Principal = "*"
      Action    = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource  = [for key in local.kept_keys : "${local.bucket_arn}/${key}"]
      Condition = local.except_break_glass
    }] : { for key, value in statement : key => value if key != "Condition" || length(local.except_break_glass) > 0 } if length(local.kept_keys) > 0],
    length(local.kept_keys) == 0 ? [] : [{
      Sid       = "KeptFromCi"
      Effect    = "Deny"
      Principal = "*"
      Action = [
        "s3:BypassGovernanceRetention", "s3:DeleteBucket*", "s3:DeleteObjectVersion", "s3:PutBucket*", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
        "s3:PutObjectAcl", "s3:PutObjectLegalHold", "s3:PutObjectRetention", "s3:PutReplicationConfiguration",
      ]
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { ArnLike = { "aws:PrincipalArn" = local.ci_role_arns } }
    }],
    length(var.reader_account_ids) == 0 ? [] : [
      {
        Sid       = "ReadByOtherAccounts"
        Effect    = "Allow"
        Principal = { AWS = local.reader_arns }
        Action    = ["s3:GetObject", "s3:GetObjectVersion"]
        Resource  = "${local.bucket_arn}/*"
      },
      {
        Sid       = "ListedByOtherAccounts"
        Effect    = "Allow"
        Principal = { AWS = local.reader_arns }
        Action    = ["s3:ListBucket"]
        Resource  = local.bucket_arn
      },
    ],
  )
}

locals {
  # An emulator ignores conditions: a Deny would deny everything.
  bucket_statements = [for statement in local.all_statements : statement if !var.emulated || statement.Effect == "Allow"]
}

resource "aws_kms_key" "this" {
  count = local.make_key ? 1 : 0

  description             = "Encrypts the objects of the bucket ${var.name}"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = jsonencode(local.made_key_policy)
  tags                    = var.tags

  lifecycle {
    # Without the key every object of the bucket is lost.
    prevent_destroy = true
  }
}

resource "aws_kms_alias" "this" {
  count = local.make_key ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this[0].key_id
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18: access logs need a bucket that admits S3's log delivery, which an account sets up once; CloudTrail's data events say who read what
  #checkov:skip=CKV_AWS_144: a copy in a second region doubles the cost; versions guard against deletion, and an environment lives in one region
  #checkov:skip=CKV2_AWS_62: notifications belong to whoever wants to hear them
  bucket        = var.name
  force_destroy = false
  tags          = var.tags

  lifecycle {
    prevent_destroy = true

    precondition {
      condition     = local.may_be_emulated
      error_message = "`emulated` is for an emulator, and S3 says that this is an account of AWS: leave it out. It would open the bucket to calls without TLS, and let what is kept be replaced and deleted."
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  bucket = aws_s3_bucket.this.id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # One data key for many objects: fewer calls to KMS.
    bucket_key_enabled = true

    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = local.kms_key_arn
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket = aws_s3_bucket.this.id

  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    # No access control lists: the policy alone decides, and this account owns what others write.
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  count = length(local.bucket_statements) == 0 ? 0 : 1

  bucket = aws_s3_bucket.this.id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.bucket_statements })

  # S3 refuses two changes of a bucket's access at the same time.
  depends_on = [aws_s3_bucket_public_access_block.this]
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  #checkov:skip=CKV_AWS_300: the first rule does it, for every key; beside a dynamic rule the check does not see it
  count = var.emulated ? 0 : 1

  bucket = aws_s3_bucket.this.id

  rule {
    id     = "unfinished-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  dynamic "rule" {
    for_each = var.noncurrent_version_days == null ? [] : [var.noncurrent_version_days]

    content {
      id     = "old-versions"
      status = "Enabled"

      filter {}

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }

      # A lock file leaves a marker behind at every run.
      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.expiring_prefixes

    content {
      id     = "expire-${replace(rule.key, "/", "-")}"
      status = "Enabled"

      filter {
        prefix = rule.key
      }

      expiration {
        days = rule.value
      }
    }
  }

  depends_on = [aws_s3_bucket_versioning.this]
}
