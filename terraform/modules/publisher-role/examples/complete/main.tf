# The role publishes to a part of a shared store, pushes images and signs with a key that nobody else uses. The account has
# GitHub's provider already. Region and credentials come from the environment. An administrator applies it.
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

variable "emulated" {
  description = "Leave out what an emulator lacks. A real account refuses it."
  type        = bool
  default     = false
}

variable "project" {
  description = "Name of the project: the first part of every name."
  type        = string
  default     = "example"
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  role_arn   = "arn:${local.partition}:iam::${local.account_id}:role/slipway/ci/${var.project}-${local.account_id}-publisher"
}

module "store" {
  source = "../../../artifact-store"

  bucket   = "${var.project}-${local.account_id}-artifacts"
  emulated = var.emulated
}

# Stands in for the provider that another project made.
resource "aws_iam_openid_connect_provider" "github" {
  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_kms_key" "signing" {
  #checkov:skip=CKV_AWS_7: KMS rotates no asymmetric key
  description              = "Signs the releases of ${var.project}"
  key_usage                = "SIGN_VERIFY"
  customer_master_key_spec = "ECC_NIST_P256"
  deletion_window_in_days  = 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AdministeredThroughIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = ["kms:DescribeKey", "kms:DisableKey", "kms:EnableKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:GetPublicKey", "kms:ListResourceTags", "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource"]
        Resource  = "*"
      },
      {
        Sid       = "SignedByThePublisher"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:Sign"
        Resource  = "*"
        Condition = { ArnEquals = { "aws:PrincipalArn" = local.role_arn } }
      },
    ]
  })
}

module "publisher" {
  source = "../.."

  project         = var.project
  bucket          = module.store.bucket
  prefix          = "shop/"
  kms_key_arn     = module.store.kms_key_arn
  signing_key_arn = aws_kms_key.signing.arn
  repository_arns = ["arn:${local.partition}:ecr:${data.aws_region.current.id}:${local.account_id}:repository/${var.project}/*"]

  github_repository    = "acme/shop"
  github_repository_id = "123456789"
  github_environment   = "release"
  github_branch        = "release"
  make_github_provider = false
  github_provider_arn  = aws_iam_openid_connect_provider.github.arn
  session_seconds      = 7200

  tags = { Team = "shop" }
}

output "role_arn" {
  description = "What the job that publishes assumes."
  value       = module.publisher.role_arn
}

output "policy" {
  description = "What the role may do, as JSON."
  value       = module.publisher.policy
}
