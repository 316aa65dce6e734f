# A budget of what has two tags, told to a topic that others may subscribe to. Region and credentials come from the environment.
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
  description = "Leave out the budget, which an emulator lacks: the topic alone is made."
  type        = bool
  default     = false
}

variable "name" {
  description = "Beginning of the names."
  type        = string
  default     = "example-complete"
}

# A topic with a key of its own, to which budgets may publish.
module "alerts" {
  source = "../../../monitoring"

  name               = var.name
  email_addresses    = ["ops@example.com"]
  publisher_services = ["budgets.amazonaws.com"]
}

module "budget" {
  source = "../.."

  name              = "${var.name}-cost"
  enabled           = !var.emulated
  limit             = 200
  currency          = "USD"
  period            = "QUARTERLY"
  cost_tags         = { Project = "shop", Environment = "prod" }
  actual_percents   = [50, 80, 100]
  forecast_percents = [100]
  topic_arns        = [module.alerts.topic_arn]
  email_addresses   = ["finance@example.com"]

  tags = { Team = "shop" }
}

output "name" {
  description = "The budget; null where there is none."
  value       = module.budget.name
}
