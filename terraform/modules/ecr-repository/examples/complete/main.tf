# A repository with a customer key, from which two other accounts run functions. Region and credentials come from the environment.
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

module "key" {
  source = "../../../kms-key"

  name                 = "${var.name}-images"
  description          = "Encrypts the images of ${var.name}"
  services             = ["ecr"]
  deletion_window_days = 7
}

module "images" {
  source = "../.."

  name                 = "${var.name}/orders"
  kms_key_arn          = module.key.arn
  untagged_days        = 7
  reader_account_ids   = ["111111111111", "222222222222"]
  function_name_prefix = "${var.name}-"
  force_delete         = true

  tags = { Team = "shop" }
}

output "url" {
  description = "Where images are pushed."
  value       = module.images.url
}

output "policy" {
  description = "Who may pull, as JSON."
  value       = module.images.policy
}
