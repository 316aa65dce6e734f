variable "name" {
  description = "Name of the secret, <project>-<account id>-<environment>-<resource>."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9/_+=.@-]{1,512}$", var.name)) && !can(regex("-[a-zA-Z0-9]{6}$", var.name))
    error_message = "The name takes 1 to 512 letters, digits and /_+=.@-, and does not end in a hyphen and six letters or digits, which is how Secrets Manager ends an ARN."
  }
}

variable "description" {
  description = "What the secret opens, for those who list the account's secrets. Not the secret itself."
  type        = string
}

variable "value" {
  description = "What the secret holds, written to Secrets Manager and to no plan and no state. Null: its owner puts it there."
  type        = string
  default     = null
  ephemeral   = true
  sensitive   = true
}

variable "value_version" {
  description = "Number of the value: Terraform can't see whether `value` changed, so it writes it whenever this number does. Null: Terraform writes no value."
  type        = number
  default     = null

  validation {
    condition     = var.value_version == null || try(var.value_version >= 1 && floor(var.value_version) == var.value_version, false)
    error_message = "The values are counted from 1."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the secret; null takes Secrets Manager's own key of the account, aws/secretsmanager."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "recovery_window_days" {
  description = "Days for which a deleted secret can be brought back, and for which its name stays taken; 0 deletes it at once."
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_window_days == 0 || (var.recovery_window_days >= 7 && var.recovery_window_days <= 30)
    error_message = "The recovery window is 7 to 30 days, or 0 for none: Secrets Manager's limit."
  }
}

variable "tags" {
  description = "Tags of the secret, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
