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

module "network" {
  source = "../.."

  name         = "slipway-modules-example-all-network"
  cidr         = "10.50.0.0/16"
  zones        = ["a", "b"]
  nat_gateways = "one_per_zone"

  interface_endpoints  = ["secretsmanager"]
  s3_account_ids       = ["111111111111"]
  dynamodb_account_ids = ["111111111111"]
  tags                 = { Purpose = "example" }
}

output "nat_public_ips" {
  value = module.network.nat_public_ips
}
