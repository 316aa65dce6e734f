variable "environment" {
  description = "Where the stack runs. Written by Slipway from environment.toml and project.toml."
  type = object({
    name       = string
    project    = string
    account_id = string
    region     = string
    # Attempts for one AWS call; null is the provider's 25. The provider reads it from no
    # environment variable, and an emulator answers 500 for what it lacks, again and again.
    max_retries = optional(number)
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.environment.account_id))
    error_message = "The account id has twelve digits."
  }
}

variable "releases" {
  description = "What each function of the stack runs, by the function's name. Written by Slipway from the release manifests."
  type = map(object({
    version      = string
    architecture = string
    runtime      = string
    handler      = string
    code = object({
      sha256    = string
      s3        = optional(object({ bucket = string, key = string }))
      image_uri = optional(string)
    })
  }))

  validation {
    condition     = contains(keys(var.releases), "invoice")
    error_message = "The stack runs the function `invoice`: `releases` must name its release."
  }
}

variable "memory_size" {
  description = "Memory of the function, in MB."
  type        = number
  default     = 128
}

variable "timeout" {
  description = "Longest run of one call, in seconds."
  type        = number
  default     = 3
}

variable "log_level" {
  description = "Lowest level that the function logs: TRACE, DEBUG, INFO, WARN or ERROR. It reaches the function in the variable LOG_LEVEL; null leaves it to the function, which then logs from INFO."
  type        = string
  default     = null

  validation {
    condition     = var.log_level == null ? true : contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR"], var.log_level)
    error_message = "The log_level is TRACE, DEBUG, INFO, WARN or ERROR."
  }
}

variable "log_format" {
  description = "\"JSON\": Lambda writes its own lines as JSON too, sets AWS_LAMBDA_LOG_LEVEL and drops lines below `log_level`. Null leaves Lambda's default, plain text. The emulator keeps no format."
  type        = string
  default     = null

  validation {
    condition     = var.log_format == null ? true : contains(["JSON", "Text"], var.log_format)
    error_message = "The log_format is JSON or Text."
  }
}

variable "log_retention_days" {
  description = "Days that the log group keeps its events."
  type        = number
  default     = 7
}

variable "function_role_arn" {
  description = "Role that the function runs as, made elsewhere (once for an account, by bootstrap), so that the role that applies this stack needs no right to make roles. Null makes one for this function alone."
  type        = string
  default     = null
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the roles that this stack makes; null makes them without one."
  type        = string
  default     = null
}
