locals {
  name_prefix = "${var.account.project}-${var.account.id}"
}

# States, ledger and saved plans of each environment.
module "state" {
  source   = "../modules/state-backend"
  for_each = var.environments

  bucket           = each.value.state_bucket
  lock_table       = each.value.lock_table
  plan_days        = var.plan_days
  require_https    = !var.emulated
  manage_lifecycle = !var.emulated

  tags = { Environment = each.key }
}

module "artifact_store" {
  source = "../modules/artifact-store"
  count  = var.artifact_store == null ? 0 : 1

  bucket              = var.artifact_store.bucket
  reader_account_ids  = var.artifact_store.reader_account_ids
  require_https       = !var.emulated
  require_new_objects = !var.emulated
  manage_lifecycle    = !var.emulated
}

module "repositories" {
  source   = "../modules/ecr-repository"
  for_each = var.artifact_store == null ? toset([]) : var.artifact_store.repositories

  name                 = each.value
  reader_account_ids   = var.artifact_store.reader_account_ids
  function_name_prefix = "${var.account.project}-"
}

# Signs the releases. Whoever verifies them needs the public half alone, which is a file.
resource "aws_kms_key" "signing" {
  #checkov:skip=CKV_AWS_7: KMS rotates no asymmetric key; a new key is a new alias, trusted beside the old one
  count = try(var.artifact_store.signing_alias, null) == null ? 0 : 1

  description              = "Signs the releases of ${var.account.project}"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AdministeredThroughIam"
      Effect    = "Allow"
      Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${var.account.id}:root" }
      Action    = "kms:*"
      Resource  = "*"
    }]
  })

  lifecycle {
    # Without the key nobody can sign as it again, and releases that it signed are trusted for its sake.
    prevent_destroy = true
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
    state_bucket = var.environments[name].state_bucket
    lock_table   = var.environments[name].lock_table
  }) }

  github_repository    = var.github_repository
  make_github_provider = var.make_github_provider
  github_provider_arn  = var.github_provider_arn
  jenkins_issuer       = var.jenkins_issuer

  # The store's own account knows its key before project.toml does. trimspace says that the ARN is not
  # null even before it is known: which policies there are depends on that.
  artifact_store = merge(var.store, length(module.artifact_store) == 0 ? {} : {
    kms_key_arn = trimspace(module.artifact_store[0].kms_key_arn)
  })
}
