variable "bucket" {
  description = "Name of the store's bucket, <project>-<account id>-artifacts."
  type        = string
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
  description = "Key that encrypts the artifacts; null makes one for the store alone. A given key must itself allow the readers to decrypt."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "reader_account_ids" {
  description = "Accounts of the environments: each may read the store, none may write it."
  type        = set(string)
  default     = []
}

variable "break_glass_arns" {
  description = "Roles that may delete objects; nobody else may, the account's administrators included."
  type        = set(string)
  default     = []
}

variable "emulated" {
  description = "The account is an emulator's: leaves out what it can't do, as private-bucket says. A real account refuses it."
  type        = bool
  default     = false
}

variable "noncurrent_version_days" {
  description = "Days for which a pruned object can still be brought back."
  type        = number
  default     = 90
}

variable "tags" {
  description = "Tags of the bucket and its key, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
