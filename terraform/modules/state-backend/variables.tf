variable "bucket" {
  description = "Name of the bucket, and of its key's alias: <project>-<account id>-<environment>-state."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "The name takes 3 to 63 lower-case letters, digits and hyphens: S3's limit (dots would break TLS)."
  }
}

variable "prefix" {
  description = "What each key begins with where projects share the bucket: nothing, or a name with a slash at its end."
  type        = string
  default     = ""
}

variable "break_glass_arns" {
  description = "Roles that may delete what is kept for good; nobody else may, the account's administrators included."
  type        = set(string)
  default     = []
}

variable "emulated" {
  description = "The account is an emulator's: leaves out what it can't do, as private-bucket says. A real account refuses it."
  type        = bool
  default     = false
}

variable "lock_table" {
  description = "Name of a DynamoDB table that locks the states beside the lock file, <project>-<account id>-<environment>-locks; null makes none."
  type        = string
  default     = null

  validation {
    condition     = var.lock_table == null || can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.lock_table))
    error_message = "The table's name takes 3 to 255 letters, digits, hyphens, underscores and dots: DynamoDB's limit."
  }
}

variable "make_key" {
  description = "Make a key; null makes one where `kms_key_arn` is null. false is for a key of the same plan, whose ARN is not known yet."
  type        = bool
  default     = null

  validation {
    condition     = var.make_key == null ? true : var.make_key == (var.kms_key_arn == null)
    error_message = "Either a key is made or kms_key_arn gives one: make_key contradicts it."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts bucket and table; null makes one for them alone."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "noncurrent_version_days" {
  description = "Days for which a replaced state can be brought back."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days >= 1
    error_message = "A replaced state stays for a day at least."
  }
}

variable "plan_days" {
  description = "Days after which saved plans are deleted."
  type        = number
  default     = 14

  validation {
    condition     = var.plan_days >= 1
    error_message = "A saved plan stays for a day at least."
  }
}

variable "tags" {
  description = "Tags of bucket, key and table, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
