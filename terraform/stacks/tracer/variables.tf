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
    condition     = contains(keys(var.releases), "tracer")
    error_message = "The stack runs the function `tracer`: `releases` must name its release."
  }
}

variable "function_role_arn" {
  description = "Role that the function runs as, made elsewhere (once for an account, by bootstrap), so that whoever applies this stack needs no right to make roles. Null makes one for this function alone."
  type        = string
  default     = null
}

variable "traces_table_name" {
  description = "Name of the traces' table instead of <project>-<account id>-<environment>-traces. A table that exists already is imported first: module.traces.aws_dynamodb_table.this."
  type        = string
  default     = null
}

variable "spans_table_name" {
  description = "Name of the spans' table instead of <project>-<account id>-<environment>-spans. A table that exists already is imported first: module.spans.aws_dynamodb_table.this."
  type        = string
  default     = null
}

variable "enable_pitr" {
  description = "Keep every state of both tables of the last 35 days restorable. Paid by the size of the tables."
  type        = bool
  default     = false
}

# Sensitive and not ephemeral: what is applied is a saved plan, and an ephemeral value would have to
# be given to the apply once more. It goes into a write-only argument and so not into the state; the
# saved plan holds it, as it holds all variables, and is a secret itself.
variable "api_keys" {
  description = "Keys that let callers in, to be written to the secret. Null writes nothing: whoever owns the keys puts them there, as a JSON array of strings."
  type        = list(string)
  default     = null
  sensitive   = true

  validation {
    condition     = var.api_keys == null || try(length(var.api_keys) > 0 && alltrue([for key in var.api_keys : length(key) >= 8 && trimspace(key) == key]), false)
    error_message = "There is at least one key, and each has 8 characters or more and no blank at its ends."
  }
}

variable "api_keys_version" {
  description = "Number of the keys: Terraform can't see whether `api_keys` changed, so it writes them whenever this number does."
  type        = number
  default     = 1
}

variable "secret_recovery_days" {
  description = "Days for which the deleted secret can be brought back, and for which its name stays taken; 0 deletes it at once."
  type        = number
  default     = 7
}

variable "cors_allow_origins" {
  description = "Origins whose pages may call the API from a browser, such as https://shop.example; [\"*\"] is every page, [] none."
  type        = set(string)
  default     = []

  validation {
    condition     = var.cors_allow_origins == toset(["*"]) || alltrue([for origin in var.cors_allow_origins : can(regex("^https?://[^/?#* ,]+$", origin))])
    error_message = "An origin is scheme and host, with its port where it has one and without a slash at its end; or \"*\" alone."
  }
}

variable "enable_cost_alerts" {
  description = "Tell when the stack's cost of a month nears or passes `monthly_budget`."
  type        = bool
  default     = true
}

variable "enable_error_alerts" {
  description = "Alarm on the function's errors, durations, throttles and concurrency, and on requests it could not answer."
  type        = bool
  default     = true
}

variable "enable_dynamodb_alerts" {
  description = "Alarm on reads and writes that a table or an index turned away."
  type        = bool
  default     = true
}

variable "enable_dashboard" {
  description = "Make a dashboard of function and tables."
  type        = bool
  default     = false
}

variable "monthly_budget" {
  description = "What the stack may cost in a month, in USD."
  type        = number
  default     = 20
}

variable "make_alerts_topic" {
  description = "Make the SNS topic that alarms and budget notify, with a key of its own, where one of the three kinds of alerts is on. Off: alarms show their state and tell nobody, the budget tells `alert_email_addresses`."
  type        = bool
  default     = true
}

variable "alert_email_addresses" {
  description = "Who is told by e-mail; each address has to confirm its subscription to the topic once."
  type        = set(string)
  default     = []
}

variable "reserved_concurrent_executions" {
  description = "Calls that may run at the same time: for a public URL, the only limit on what it may cost. Null leaves the account's shared limit."
  type        = number
  default     = null
}

variable "memory_size" {
  description = "Memory of the function, in MB."
  type        = number
  default     = 128
}

variable "timeout" {
  description = "Longest run of one call, in seconds. The function gives AWS 4 of them for one call of its own, and mostly needs one."
  type        = number
  default     = 10
}

variable "log_level" {
  description = "Lowest level that the function logs: TRACE, DEBUG, INFO, WARN or ERROR. It reaches the function in the variable RUST_LOG; null leaves it to the function, which then logs from INFO."
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

variable "opentelemetry" {
  description = "Traces of OpenTelemetry: a layer with a collector, and the share of calls that is traced where the caller has not decided. The function must be built with its feature `opentelemetry` (lambda-src/tracer/README.md). Null traces nothing."
  type = object({
    layer_arn     = string
    sampled_share = optional(number, 1)
  })
  default = null
}

variable "log_retention_days" {
  description = "Days that the log group keeps its events."
  type        = number
  default     = 7
}

variable "check_quotas" {
  description = "Warn in each plan where the account may not run enough at once for `reserved_concurrent_executions`. The role that plans needs servicequotas:GetServiceQuota; an emulator may not have it."
  type        = bool
  default     = false
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the roles that this stack makes; null makes them without one."
  type        = string
  default     = null
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the second permission of the function's URL. A real account refuses it."
  type        = bool
  default     = false
}
