variable "name" {
  description = "Full name of the flow logs, <project>-<account id>-<environment>-<flow logs>; log group, role and key's alias take it too."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "The name takes 1 to 64 letters, digits, hyphens and underscores: IAM's limit."
  }
}

variable "vpc_id" {
  description = "Id of the VPC whose traffic is recorded."
  type        = string

  validation {
    condition     = can(regex("^vpc-[0-9a-f]{8,17}$", var.vpc_id))
    error_message = "The VPC is named by its id, vpc-<hex digits>."
  }
}

variable "traffic" {
  description = "Which traffic is recorded: ALL, ACCEPT or REJECT. Each gigabyte is paid for."
  type        = string
  default     = "ALL"

  validation {
    condition     = contains(["ALL", "ACCEPT", "REJECT"], var.traffic)
    error_message = "The traffic is ALL, ACCEPT or REJECT."
  }
}

variable "aggregation_seconds" {
  description = "Seconds that one record sums up: 600, or 60 for more records and a bigger bill."
  type        = number
  default     = 600

  validation {
    condition     = contains([60, 600], var.aggregation_seconds)
    error_message = "Records sum up 60 or 600 seconds."
  }
}

variable "retention_days" {
  description = "Days that the records are kept; one of the numbers that CloudWatch Logs allows."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.retention_days)
    error_message = "CloudWatch Logs keeps events for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "make_key" {
  description = "Make a key for these logs alone. Off where `kms_key_arn` gives one. A switch of its own, because a key made in the same plan has no ARN yet."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the logs, with `make_key = false`. It must itself let logs.<region>.<the partition's domain> use it."
  type        = string
  default     = null

  validation {
    condition     = var.make_key == (var.kms_key_arn == null)
    error_message = "Either a key is made or kms_key_arn gives one, with make_key = false: the logs are never without."
  }

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>: a log group takes no alias."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role made here, whatever else is attached to it; null sets no bounds."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:policy/", var.permissions_boundary_arn))
    error_message = "A boundary is named by its policy's ARN, arn:…:iam::<account id>:policy/<name>."
  }
}

variable "tags" {
  description = "Tags of flow log, log group, role and key, besides the provider's default tags. The flow log's `Name` is the module's own."
  type        = map(string)
  default     = {}
}
