locals {
  # An environment's keys carry its name. What no environment owns carries a name that none can have.
  no_environment = { Environment = "_store" }

  name_prefix = "${var.account.project}-${var.account.id}"
}

# States, ledger and saved plans of each environment.
module "state" {
  source   = "../modules/state-backend"
  for_each = var.environments

  bucket           = each.value.state_bucket
  lock_table       = each.value.lock_table
  prefix           = each.value.state_prefix
  plan_days        = var.plan_days
  break_glass_arns = var.break_glass_role_arns
  emulated         = var.emulated

  tags = { Environment = each.key }
}

module "artifact_store" {
  source = "../modules/artifact-store"
  count  = var.artifact_store == null ? 0 : 1

  bucket             = var.artifact_store.bucket
  reader_account_ids = var.artifact_store.reader_account_ids
  break_glass_arns   = var.break_glass_role_arns
  emulated           = var.emulated
  tags               = local.no_environment
}

module "repositories" {
  source   = "../modules/ecr-repository"
  for_each = var.artifact_store == null ? toset([]) : var.artifact_store.repositories

  name                 = each.value
  reader_account_ids   = var.artifact_store.reader_account_ids
  function_name_prefix = "${var.account.project}-"
}

locals {
  account_arn   = "arn:${data.aws_partition.current.partition}:iam::${var.account.id}"
  publisher_arn = "${local.account_arn}:role/slipway/ci/${local.name_prefix}-publisher"

  # Who may do what with the key that signs releases. The publisher is known by its ARN and not as a principal: so the policy
  # can be written before the role is made, and holds for one that is made again. Without a publisher nobody signs.
  signing_policy = {
    Version = "2012-10-17"
    Statement = concat(
      [{
        # None of these actions signs, and there is no kms:CreateGrant, which could give signing away.
        Sid       = "AdministeredThroughIam"
        Effect    = "Allow"
        Principal = { AWS = "${local.account_arn}:root" }
        Action = [
          "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DescribeKey", "kms:DisableKey", "kms:EnableKey", "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus", "kms:GetPublicKey", "kms:ListGrants", "kms:ListKeyPolicies", "kms:ListResourceTags", "kms:PutKeyPolicy",
          "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription", "kms:Verify",
        ]
        Resource = "*"
      }],
      [for publisher in var.publisher[*] : {
        Sid       = "SignedByPublisher"
        Effect    = "Allow"
        Principal = { AWS = "${local.account_arn}:root" }
        Action    = "kms:Sign"
        Resource  = "*"
        Condition = {
          ArnEquals    = { "aws:PrincipalArn" = local.publisher_arn }
          StringEquals = { "kms:SigningAlgorithm" = "ECDSA_SHA_256", "kms:MessageType" = ["DIGEST", "RAW"] }
        }
      }],
      [
        {
          Sid       = "NobodyElseSigns"
          Effect    = "Deny"
          Principal = "*"
          Action    = "kms:Sign"
          Resource  = "*"
          Condition = { ArnNotEquals = { "aws:PrincipalArn" = local.publisher_arn } }
        },
        {
          Sid       = "NeverGranted"
          Effect    = "Deny"
          Principal = "*"
          Action    = ["kms:CreateGrant", "kms:ReplicateKey"]
          Resource  = "*"
        },
        {
          # Whatever an identity policy lets a role of CI do, the publisher included.
          Sid       = "KeptFromCi"
          Effect    = "Deny"
          Principal = "*"
          Action = [
            "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DisableKey", "kms:EnableKey", "kms:PutKeyPolicy", "kms:RetireGrant",
            "kms:RevokeGrant", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
          ]
          Resource  = "*"
          Condition = { ArnLike = { "aws:PrincipalArn" = "arn:${data.aws_partition.current.partition}:iam::*:role/slipway/ci/*" } }
        },
      ],
    )
  }
}

# Signs the releases. Whoever verifies them needs the public half alone, which is a file.
resource "aws_kms_key" "signing" {
  #checkov:skip=CKV_AWS_7: KMS rotates no asymmetric key; a new key is a new alias, trusted beside the old one
  count = try(var.artifact_store.signing_alias, null) == null ? 0 : 1

  description              = "Signs the releases of ${var.account.project}"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 30
  policy                   = jsonencode(merge(local.signing_policy, { Statement = [for statement in local.signing_policy.Statement : statement if !var.emulated || statement.Effect == "Allow"] }))
  tags                     = local.no_environment

  lifecycle {
    # Without the key nobody can sign as it again, and releases that it signed are trusted for its sake.
    prevent_destroy = true

    precondition {
      condition     = local.may_be_emulated
      error_message = "`emulated` is for an emulator, and S3 says that this is an account of AWS: leave it out. It would let others than the publisher sign."
    }
  }
}

resource "aws_kms_alias" "signing" {
  count = length(aws_kms_key.signing)

  name          = var.artifact_store.signing_alias
  target_key_id = aws_kms_key.signing[0].key_id
}

data "aws_kms_public_key" "signing" {
  count = length(aws_kms_key.signing)

  key_id = aws_kms_key.signing[0].arn
}

data "aws_partition" "current" {}

module "ci_roles" {
  source = "../modules/ci-roles"
  count  = length(var.ci) == 0 ? 0 : 1

  project = var.account.project
  environments = { for name, ci in var.ci : name => merge(ci, {
    state_bucket   = var.environments[name].state_bucket
    state_prefix   = var.environments[name].state_prefix
    lock_table     = var.environments[name].lock_table
    protected      = var.environments[name].protected
    reads          = var.environments[name].reads
    read_by        = var.environments[name].read_by
    function_roles = lookup(var.function_roles, name, [])
  }) }

  github_repository    = var.github_repository
  github_repository_id = var.github_repository_id
  make_github_provider = var.make_github_provider
  github_provider_arn  = var.github_provider_arn
  jenkins_issuer       = var.jenkins_issuer

  # The store's own account knows its key before project.toml does. trimspace says that the ARN is not
  # null even before it is known: which policies there are depends on that.
  artifact_store = merge(var.store, length(module.artifact_store) == 0 ? {} : {
    kms_key_arn = trimspace(module.artifact_store[0].kms_key_arn)
  })
}

# The one that publishes and signs, where the store is.
module "publisher" {
  source = "../modules/publisher-role"
  count  = var.publisher == null ? 0 : 1

  project         = var.account.project
  bucket          = var.artifact_store.bucket
  prefix          = var.artifact_store.prefix
  kms_key_arn     = module.artifact_store[0].kms_key_arn
  repository_arns = try(var.store.repository_arns, [])
  signing_key_arn = length(aws_kms_key.signing) > 0 ? trimspace(aws_kms_key.signing[0].arn) : var.artifact_store.signing_key_arn

  github_repository    = var.github_repository
  github_repository_id = var.github_repository_id
  github_environment   = var.publisher.github_environment
  github_branch        = var.publisher.github_branch
  jenkins              = one([for subject in var.publisher.jenkins_subject[*] : merge(var.jenkins_issuer, { subject = subject })])

  # An account has one provider, which ci-roles makes where there are environments.
  make_github_provider = var.make_github_provider && length(var.ci) == 0
  github_provider_arn  = length(var.ci) == 0 ? var.github_provider_arn : module.ci_roles[0].github_provider_arn

  tags = local.no_environment
}
