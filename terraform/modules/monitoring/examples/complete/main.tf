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

  name      = "slipway-modules-example-all-watch"
  functions = { orders = { function_name = "slipway-modules-example-orders", timeout_seconds = 10, concurrency_limit = 50 } }
  tables    = { orders-table = { table_name = "slipway-modules-example-orders", index_names = ["by-status"] } }
  streams   = { clicks = { stream_name = "slipway-modules-example-clicks", iterator_age_seconds = 300 } }
  queues = {
    failed = { queue_name = "slipway-modules-example-failed", maximum_messages = 0 }
    work   = { queue_name = "slipway-modules-example-work", maximum_age_seconds = 600 }
  }
  event_source_mappings = { clicks = { function_name = "slipway-modules-example-orders", iterator_age_seconds = 300 } }
  nat_gateways          = { a = { nat_gateway_id = "nat-0123456789abcdef0" } }

  make_topic       = false
  enable_dashboard = true
  tags             = { Purpose = "example" }
}

output "alarm_names" {
  value = module.monitoring.alarm_names
}
