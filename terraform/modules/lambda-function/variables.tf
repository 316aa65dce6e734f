variable "name" {
  description = "Full name of the Lambda function, <project>-<account id>-<environment>-<function>; role and log group take it too."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "The name takes 1 to 64 letters, digits, hyphens and underscores: Lambda's and IAM's limit."
  }
}

variable "release" {
  description = "What the function runs: one element of the `releases` map that Slipway writes. `code.sha256` is the digest as Lambda reports it, base64 for a zip and hex for an image."
  type = object({
    version      = string
    architecture = string
    runtime      = string
    handler      = string
    code = object({
      sha256    = string
      s3        = optional(object({ bucket = string, key = string }))
      image_uri = optional(string)
    })
  })

  validation {
    condition     = (var.release.code.s3 == null) != (var.release.code.image_uri == null)
    error_message = "A release holds either code.s3 (a zip) or code.image_uri (an image): exactly one of them."
  }

  validation {
    condition     = contains(["x86_64", "arm64"], var.release.architecture)
    error_message = "The architecture is x86_64 or arm64."
  }

  validation {
    condition     = var.release.code.s3 == null || can(regex("^[A-Za-z0-9+/]{43}=$", var.release.code.sha256))
    error_message = "The code.sha256 of a zip is the base64 of its SHA-256, 44 characters, as Lambda reports it."
  }

  validation {
    condition     = var.release.code.image_uri == null || can(regex("@sha256:[0-9a-f]{64}$", var.release.code.image_uri))
    error_message = "The code.image_uri names the image by digest, repository@sha256:<64 hex digits>: a tag can move."
  }
}

variable "memory_size" {
  description = "Memory of the function, in MB."
  type        = number
  default     = 128

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240
    error_message = "The memory is 128 to 10240 MB."
  }
}

variable "timeout" {
  description = "Longest run of one call, in seconds."
  type        = number
  default     = 3

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900
    error_message = "The time limit is 1 to 900 seconds."
  }
}

variable "environment_variables" {
  description = "Environment of the function. Not the place for secrets, nor for the release's version: each would be readable by whoever may describe the function, and the version would cost a second update."
  type        = map(string)
  default     = {}
}

variable "log_retention_days" {
  description = "Days that the log group keeps its events; one of the numbers that CloudWatch Logs allows."
  type        = number
  default     = 7
}

variable "policy_statements" {
  description = "What the function may do besides writing its logs: statements of a policy of its own on the role."
  type = list(object({
    sid        = optional(string)
    effect     = optional(string, "Allow")
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))))
  }))
  default = []

  validation {
    condition     = alltrue([for statement in var.policy_statements : !contains(statement.actions, "*")])
    error_message = "A statement names the actions it allows: \"*\" is every action of every service."
  }
}

variable "reserved_concurrent_executions" {
  description = "Calls that may run at the same time; null leaves the account's shared limit."
  type        = number
  default     = null
}

variable "kms_key_arn" {
  description = "Key that encrypts the environment variables at rest; null leaves it to Lambda's own key."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of the function, its role and its log group, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
