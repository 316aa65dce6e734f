variable "bucket" {
  description = "Name of the store's bucket, <project>-<account id>-artifacts."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the artifacts; null makes one for the store alone. A given key must itself allow the readers to decrypt."
  type        = string
  default     = null
}

variable "reader_account_ids" {
  description = "Accounts of the environments: each may read the store, none may write it."
  type        = set(string)
  default     = []
}

variable "require_https" {
  description = "Refuse calls without TLS. Off only on an emulator that ignores the condition and would refuse every call."
  type        = bool
  default     = true
}

variable "require_new_objects" {
  description = "Refuse writes that could replace an artifact or a manifest. Off only on an emulator that ignores the condition."
  type        = bool
  default     = true
}

variable "break_glass_arns" {
  description = "Roles that may delete objects; nobody else may, the account's administrators included."
  type        = set(string)
  default     = []
}

variable "enforce" {
  description = "Refuse what the policies of bucket and key refuse. Off only on an emulator that ignores conditions."
  type        = bool
  default     = true
}

variable "manage_lifecycle" {
  description = "Expire unfinished uploads and deleted versions. Off on an emulator, where setting the rules takes a minute."
  type        = bool
  default     = true
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
