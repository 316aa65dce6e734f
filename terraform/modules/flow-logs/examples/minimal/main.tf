# What goes through a network, recorded for a year. Region and credentials come from the environment.
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
  description = "Name of the network and of its flow logs."
  type        = string
  default     = "example-minimal"
}

module "network" {
  source = "../../../network"

  name         = var.name
  zones        = ["a"]
  nat_gateways = "none"
}

module "flow_logs" {
  source = "../.."

  name   = "${var.name}-flow-logs"
  vpc_id = module.network.vpc_id
}

output "log_group_name" {
  description = "Where the records are."
  value       = module.flow_logs.log_group_name
}
