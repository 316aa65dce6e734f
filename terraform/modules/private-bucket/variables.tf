variable "name" {
  description = "Name of the bucket, and of its key's alias."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "The name takes 3 to 63 lower-case letters, digits and hyphens: S3's limit (dots would break TLS)."
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
  description = "Key that encrypts the objects; null makes one for this bucket alone. A given key must itself allow the readers to decrypt."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "reader_account_ids" {
  description = "Other accounts that may read every object, as far as their own policies let them."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.reader_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "An account id has twelve digits."
  }
}

variable "require_new_keys" {
  description = "Refuse a write that could replace an object: each must carry `If-None-Match`. For buckets whose objects never change."
  type        = bool
  default     = false
}

variable "append_only_prefixes" {
  description = "Prefixes of keys, each with a slash at its end, below which no write may replace an object, as `require_new_keys` says it of all; also where they lie below another prefix."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.append_only_prefixes : can(regex("^[a-z]+/$", prefix))])
    error_message = "A prefix is a word with a slash at its end."
  }
}

variable "never_deleted_prefixes" {
  description = "Prefixes of keys below which no object is deleted, by nobody but `break_glass_arns`; \"\" is every key."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for prefix in var.never_deleted_prefixes : can(regex("^([a-z]+/)?$", prefix))])
    error_message = "A prefix is a word with a slash at its end, or nothing."
  }
}

variable "break_glass_arns" {
  description = "Roles that may still delete: ARNs, `*` allowed behind the account. Nobody else may, the account's administrators included."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.break_glass_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/*-]*[A-Za-z0-9+=,.@_-][A-Za-z0-9+=,.@_/*-]*$", arn)) && !can(regex(":role/slipway/ci/", arn))])
    error_message = "A break-glass role is the ARN of a role in a named account, and no role of CI."
  }
}

variable "emulated" {
  description = "The account is an emulator's: leaves out what the policies of bucket and key refuse, since it ignores conditions and would refuse every call, and the lifecycle rules, which take it a minute. The output `exact_policy` has the refusals in any case. A real account refuses it."
  type        = bool
  default     = false
}

variable "noncurrent_version_days" {
  description = "Days after which replaced or deleted versions of an object go; null keeps them."
  type        = number
  default     = null
}

variable "expiring_prefixes" {
  description = "Days after which objects expire, by the prefix of their keys."
  type        = map(number)
  default     = {}
}

variable "tags" {
  description = "Tags of the bucket and its key, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
