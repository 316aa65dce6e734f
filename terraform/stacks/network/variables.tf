variable "environment" {
  description = "Where the stack runs. Written by Slipway from environment.toml and project.toml."
  type = object({
    name       = string
    project    = string
    account_id = string
    region     = string
    # Attempts for one AWS call; null is the provider's 25. The provider reads it from no
    # environment variable, and an emulator answers 500 for what it lacks, again and again.
    max_retries = optional(number)
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.environment.account_id))
    error_message = "The account id has twelve digits."
  }
}

variable "cidr" {
  description = "IPv4 range of the network. Networks that may be joined one day must not overlap."
  type        = string
  default     = "10.0.0.0/16"
}

variable "zones" {
  description = "Letters of the three availability zones, after the region's name. With one NAT gateway the first holds it."
  type        = list(string)
  default     = ["a", "b", "c"]
}

variable "nat_gateways" {
  description = "How the private subnets reach the internet: `one` gateway for all zones, `one_per_zone`, or `none`."
  type        = string
  default     = "one"
}

variable "check_quotas" {
  description = "Warn in each plan where the account has too few Elastic IP addresses left for the NAT gateways. The role that plans needs servicequotas:GetServiceQuota; an emulator may not have it."
  type        = bool
  default     = false
}

variable "s3_account_ids" {
  description = "Other accounts whose buckets may be reached from the private subnets. This account's always may."
  type        = set(string)
  default     = []
}

variable "flow_logs_traffic" {
  description = "Which traffic is recorded: ALL, ACCEPT or REJECT."
  type        = string
  default     = "ALL"
}

variable "flow_logs_aggregation_seconds" {
  description = "Seconds that one record of the flow logs sums up: 600 or 60."
  type        = number
  default     = 600
}

variable "flow_logs_retention_days" {
  description = "Days that the flow logs are kept."
  type        = number
  default     = 365
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role made here, whatever else is attached to it; null sets no bounds. The roles of terraform/modules/ci-roles may make no role without it."
  type        = string
  default     = null
}

variable "key_deletion_window_days" {
  description = "Days for which the deleted key of the flow logs can be brought back."
  type        = number
  default     = 30
}
