data "aws_partition" "current" {}

locals {
  bucket_arn = "arn:${data.aws_partition.current.partition}:s3:::${var.name}"

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  bucket_statements = concat(
    [for statement in [{
      Sid       = "HttpsOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }] : statement if !var.emulated],
    [for statement in [{
      # Reading the bucket's settings stays out of it: a role that only plans must see them.
      Sid       = "ObjectsForAllowedPrincipals"
      Effect    = "Deny"
      Principal = "*"
      Action = [
        "s3:AbortMultipartUpload",
        "s3:BypassGovernanceRetention",
        "s3:DeleteObject*",
        "s3:GetObject*",
        "s3:ListBucketMultipartUploads",
        "s3:ListBucketVersions",
        "s3:ListMultipartUploadParts",
        "s3:PutObject*",
        "s3:RestoreObject",
      ]
      Resource = [local.bucket_arn, "${local.bucket_arn}/*"]
      Condition = {
        # A role's sessions carry the role's ARN here.
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-principalarn
        ArnNotEquals = { "aws:PrincipalArn" = concat(var.allowed_principal_arns, var.administrator_arns) }
        # S3's own work on the bucket has no principal to compare.
        Bool = { "aws:PrincipalIsAWSService" = "false" }
      }
    }] : statement if !var.emulated && length(var.allowed_principal_arns) > 0],
    [for statement in [{
      # HeadBucket, with which the provider looks whether a bucket exists, asks for this action: a role that plans without it
      # ends with 403 from the second plan on. It sees the objects' names then, and none of them.
      Sid       = "NamesForReaders"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:ListBucket"
      Resource  = local.bucket_arn
      Condition = {
        ArnNotEquals = { "aws:PrincipalArn" = concat(var.allowed_principal_arns, var.administrator_arns, var.reader_arns) }
        Bool         = { "aws:PrincipalIsAWSService" = "false" }
      }
    }] : statement if !var.emulated && length(var.allowed_principal_arns) > 0],
    [for statement in [{
      Sid       = "SettingsForAdministrators"
      Effect    = "Deny"
      Principal = "*"
      Action = [
        "s3:DeleteBucket*",
        "s3:PutAccelerateConfiguration",
        "s3:PutBucket*",
        "s3:PutEncryptionConfiguration",
        "s3:PutInventoryConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutReplicationConfiguration",
      ]
      Resource = local.bucket_arn
      Condition = {
        ArnNotEquals = { "aws:PrincipalArn" = var.administrator_arns }
        Bool         = { "aws:PrincipalIsAWSService" = "false" }
      }
    }] : statement if !var.emulated && length(var.administrator_arns) > 0],
  )
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18: access logs need a bucket that admits S3's log delivery, which an account sets up once; CloudTrail's data events say who read what
  #checkov:skip=CKV_AWS_144: a copy in a second region doubles the cost; versions guard against deletion, and an environment lives in one region
  #checkov:skip=CKV2_AWS_62: notifications belong to whoever wants to hear them
  bucket        = var.name
  force_destroy = var.force_destroy
  tags          = var.tags

  lifecycle {
    precondition {
      condition     = local.may_be_emulated
      error_message = "`emulated` is for an emulator, and S3 says that this is an account of AWS: leave it out. It would open the bucket to calls without TLS and to everybody whose own policy admits them."
    }
  }
}

resource "aws_s3_bucket_versioning" "this" {
  count = var.versioning ? 1 : 0

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
      kms_master_key_id = var.kms_key_arn
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
    # No access control lists: the policies alone decide, and this account owns what others write.
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
    for_each = var.versioning && var.noncurrent_version_days != null ? [var.noncurrent_version_days] : []

    content {
      id     = "old-versions"
      status = "Enabled"

      filter {}

      noncurrent_version_expiration {
        noncurrent_days = rule.value
      }

      # What a deletion leaves behind once its versions are gone.
      expiration {
        expired_object_delete_marker = true
      }
    }
  }

  dynamic "rule" {
    for_each = var.expiring_prefixes

    content {
      id     = rule.key == "" ? "expire" : "expire-${replace(rule.key, "/", "-")}"
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
