variable "name" {
  description = "Name of the bucket, <project>-<account id>-<environment>-<resource>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "The name takes 3 to 63 lower-case letters, digits and hyphens: S3's limit (dots would break TLS)."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects; null takes S3's own key of the account, aws/s3, which no other account can use."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "versioning" {
  description = "Keep what is replaced or deleted as older versions."
  type        = bool
  default     = true
}

variable "allowed_principal_arns" {
  description = "Roles and users that may read and write objects and list them: for all others the bucket is shut, whatever their own policies say. The administrators are among them. Empty leaves it to the principals' own policies."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.allowed_principal_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "An allowed principal is the ARN of one role or one user: neither an account nor a pattern."
  }
}

variable "administrator_arns" {
  description = "Roles and users that may change the bucket, its policy and its settings, with the one that applies this module among them. Empty leaves it to the principals' own policies, and is refused where allowed_principal_arns shuts the bucket: the role that applies could not look at it again."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.administrator_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "An administrator is the ARN of one role or one user: neither an account nor a pattern."
  }

  validation {
    condition     = var.emulated || length(var.allowed_principal_arns) == 0 || length(var.administrator_arns) > 0
    error_message = "allowed_principal_arns shuts the bucket to all others: name the role that applies this in administrator_arns, or its next plan ends with 403."
  }
}

variable "reader_arns" {
  description = "Roles that see the bucket and the names of its objects without using them: those that plan. They are needed where allowed_principal_arns shuts the bucket."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.reader_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:(role|user)/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "A reader is the ARN of one role or one user: neither an account nor a pattern."
  }
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the bucket's policy, whose conditions it ignores, so that it would refuse every call, and the lifecycle rules, which take it a minute. A real account refuses it."
  type        = bool
  default     = false
}

variable "noncurrent_version_days" {
  description = "Days after which replaced or deleted versions of an object go; null keeps them."
  type        = number
  default     = 90

  validation {
    condition     = var.noncurrent_version_days == null || try(var.noncurrent_version_days >= 1, false)
    error_message = "Old versions stay for a day at least; null keeps them for ever."
  }
}

variable "expiring_prefixes" {
  description = "Days after which objects expire, by the prefix of their keys; the prefix \"\" is every object."
  type        = map(number)
  default     = {}

  validation {
    condition     = alltrue([for days in var.expiring_prefixes : days >= 1])
    error_message = "An object stays for a day at least."
  }
}

variable "force_destroy" {
  description = "Let a destroy of the bucket delete the objects in it. For environments that may lose them."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the bucket, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
