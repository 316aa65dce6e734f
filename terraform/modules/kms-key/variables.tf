variable "name" {
  description = "Name of the key, <project>-<account id>-<environment>-<resource>; its alias is alias/<name>."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9/_-]{1,250}$", var.name)) && !startswith(var.name, "aws/")
    error_message = "The name takes 1 to 250 letters, digits, hyphens, underscores and slashes, and does not begin with aws/: KMS's limit for an alias."
  }
}

variable "description" {
  description = "What the key encrypts, for those who list the account's keys."
  type        = string
}

variable "services" {
  description = "Services that may use the key for the principals of this account, as far as these principals' own policies let them: \"s3\", \"dynamodb\", … Nobody uses the key past them."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.services : can(regex("^[a-z0-9-]+$", service))])
    error_message = "A service is named as in its host name, without region and domain: \"secretsmanager\", not \"secretsmanager.eu-central-1.amazonaws.com\"."
  }
}

variable "service_principals" {
  description = "Services that use the key in their own name, such as logs.eu-central-1.amazonaws.com or cloudwatch.amazonaws.com, each with the conditions that say for whom."
  type = list(object({
    service    = string
    actions    = optional(list(string), ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"])
    conditions = map(map(list(string)))
  }))
  default = []

  validation {
    condition     = alltrue([for principal in var.service_principals : can(regex("^[a-z0-9.-]+$", principal.service)) && anytrue([for suffix in ["amazonaws.com", data.aws_partition.current.dns_suffix] : endswith(principal.service, ".${suffix}")])])
    error_message = "A service principal ends in .amazonaws.com, or in the domain of the partition."
  }

  validation {
    condition     = alltrue([for principal in var.service_principals : length(principal.conditions) > 0])
    error_message = "A service principal needs a condition (aws:SourceAccount, aws:SourceArn or the encryption context): without one it serves any account that asks it."
  }

  validation {
    condition     = alltrue(flatten([for principal in var.service_principals : [for action in principal.actions : startswith(action, "kms:") && action != "kms:*"]]))
    error_message = "The actions of a service principal are kms: actions by name; kms:* would let the service administer the key."
  }
}

variable "user_arns" {
  description = "Roles and users that call KMS with the key themselves, through no service. Each gets the use of the key from this policy."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.user_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "A user of the key is the ARN of one role or one user: neither an account nor a pattern."
  }
}

variable "rotation_period_days" {
  description = "Days after which KMS makes new key material; what was encrypted before stays readable. Null leaves KMS's own period, 365 days."
  type        = number
  default     = null

  validation {
    condition     = var.rotation_period_days == null ? true : var.rotation_period_days >= 90 && var.rotation_period_days <= 2560
    error_message = "The rotation period is 90 to 2560 days: KMS's limit."
  }
}

variable "deletion_window_days" {
  description = "Days for which a deleted key can be brought back. After them everything it encrypted is lost."
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "The deletion window is 7 to 30 days: KMS's limit."
  }
}

variable "tags" {
  description = "Tags of the key, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
