terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

# Region and credentials come from the environment: AWS_REGION, AWS_PROFILE and the like.
provider "aws" {
  max_retries = 2
}

module "orders" {
  source = "../.."

  name       = "slipway-modules-example-orders"
  hash_key   = "id"
  attributes = { id = "S" }
}

output "arn" {
  value = module.orders.arn
}
