variable "name" {
  description = "Name of the repository, <project>/<function>."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$", var.name)) && length(var.name) >= 2 && length(var.name) <= 256
    error_message = "The name takes 2 to 256 lower-case letters and digits, parted by single hyphens, dots, underscores and slashes: ECR's limit."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the images; null takes ECR's own key of the account, aws/ecr. It can't change later: the repository would be replaced."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "untagged_days" {
  description = "Days after which an image without a tag goes; null keeps all. An image with a tag is a release and never expires."
  type        = number
  default     = 14

  validation {
    condition     = var.untagged_days == null || try(var.untagged_days >= 1, false)
    error_message = "An untagged image stays for a day at least; null keeps all."
  }
}

variable "reader_account_ids" {
  description = "Other accounts, those of the environments: their principals may pull, as far as their own policies let them, and their functions run the images."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.reader_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "An account id has twelve digits."
  }
}

variable "function_name_prefix" {
  description = "What the names of the functions begin with that may run the images, in this account and the readers'; \"\" is any function of theirs."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{0,64}$", var.function_name_prefix))
    error_message = "The prefix takes letters, digits, hyphens and underscores, as a function's name does."
  }
}

variable "force_delete" {
  description = "Let a destroy of the repository delete the images in it. For environments that may lose them."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the repository, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
