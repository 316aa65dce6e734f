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

module "monitoring" {
  source = "../.."

  name            = "slipway-modules-example-watch"
  functions       = { orders = { function_name = "slipway-modules-example-orders", timeout_seconds = 10 } }
  email_addresses = ["ops@example.com"]
}

output "alarm_names" {
  value = module.monitoring.alarm_names
}
