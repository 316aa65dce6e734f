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
    condition     = length(setsubtract(keys(var.releases), ["bucket-api-zip", "bucket-api-image"])) == 0
    error_message = "The stack runs the functions `bucket-api-zip` and `bucket-api-image`: `releases` names one of them or both."
  }
}

variable "serves" {
  description = "Which function the API calls: \"zip\" or \"image\"."
  type        = string
  default     = "zip"

  validation {
    condition     = contains(["zip", "image"], var.serves)
    error_message = "The API calls the function that is a zip or the one that is an image: \"zip\" or \"image\"."
  }

  validation {
    condition     = contains(keys(var.releases), "bucket-api-${var.serves}")
    error_message = "The API would call `bucket-api-${var.serves}`, of which `releases` names no release: select it under [stacks.bucket-api] functions in environment.toml, or set `serves` to the other."
  }
}

variable "invoker_role_names" {
  description = "Roles of this account, by name, that get the policy which lets them call the API. Whoever applies must be allowed to attach it; other roles take the output `invoke_policy_arn` themselves."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for name in var.invoker_role_names : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", name))])
    error_message = "A role that may call is given by its name, not its ARN: the policy is attached to roles of this account."
  }
}

variable "deployment_role_arns" {
  description = "Roles that apply this stack. With the functions' roles and `object_role_arns` they alone may use the objects, and they alone may change the bucket. The role that applies must be among them: its next plan would end with 403."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.deployment_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "A role is named by its ARN: neither a session, nor an account, nor a pattern."
  }

  validation {
    condition     = var.emulated || length(var.deployment_role_arns) > 0
    error_message = "The bucket is shut to all but the functions' roles and those named: name the role that applies this stack."
  }
}

variable "planning_role_arns" {
  description = "Roles that plan this stack and do not apply it: they see the bucket and the names of its objects, and read no object."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.planning_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "A role is named by its ARN: neither a session, nor an account, nor a pattern."
  }
}

variable "object_role_arns" {
  description = "Roles besides the functions' own that may use the objects, such as the one that puts them there. Their own policies must allow it too, as well as the key."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.object_role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "A role is named by its ARN: neither a session, nor an account, nor a pattern."
  }
}

variable "function_role_arns" {
  description = "Roles that functions run as, by function, made elsewhere (once for an account, by bootstrap), so that the role that applies this stack needs no right to make them. A function that is not named gets one of its own."
  type        = map(string)
  default     = {}
}

variable "check_quotas" {
  description = "Warn in each plan where the account may not run enough at once for `reserved_concurrent_executions`. The role that plans needs servicequotas:GetServiceQuota; an emulator may not have it."
  type        = bool
  default     = false
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the roles made here, whatever else is attached to them; null sets no bounds. The roles of terraform/modules/ci-roles may make no role without it."
  type        = string
  default     = null
}

variable "memory_size" {
  description = "Memory of each function, in MB."
  type        = number
  default     = 128
}

variable "timeout" {
  description = "Longest run of one call, in seconds. The function gives S3 7 of them, and mostly needs a tenth of one."
  type        = number
  default     = 10

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 29
    error_message = "The time limit is 1 to 29 seconds: an HTTP API waits for 30 at most."
  }
}

variable "tracing_mode" {
  description = "\"Active\" samples calls for X-Ray; \"PassThrough\" traces only what a caller already traces."
  type        = string
  default     = "PassThrough"
}

variable "reserved_concurrent_executions" {
  description = "Calls of each function that may run at the same time; null leaves the account's shared limit."
  type        = number
  default     = null
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

variable "log_retention_days" {
  description = "Days that the functions' log groups keep their events."
  type        = number
  default     = 7
}

variable "access_log_retention_days" {
  description = "Days that the API's access logs are kept. Who called what is asked long after."
  type        = number
  default     = 365
}

variable "throttling_rate" {
  description = "Requests a second that each route of the API lets through in the long run; more are answered 429."
  type        = number
  default     = 50
}

variable "throttling_burst" {
  description = "Requests that each route lets through at once."
  type        = number
  default     = 100
}

variable "noncurrent_version_days" {
  description = "Days after which replaced or deleted versions of an object go; null keeps them."
  type        = number
  default     = 90
}

variable "key_deletion_window_days" {
  description = "Days for which the deleted key can be brought back. After them the objects are lost."
  type        = number
  default     = 30
}

variable "force_destroy" {
  description = "Let a destroy of the bucket delete the objects in it. For environments that may lose them."
  type        = bool
  default     = false
}

variable "enable_error_alerts" {
  description = "Alarm on the share of the function's calls that fail."
  type        = bool
  default     = true
}

variable "enable_duration_alerts" {
  description = "Alarm on calls that come near the time limit."
  type        = bool
  default     = true
}

variable "enable_throttle_alerts" {
  description = "Alarm on calls that the function turned away."
  type        = bool
  default     = true
}

variable "enable_concurrency_alerts" {
  description = "Alarm on calls running at the same time that come near the limit."
  type        = bool
  default     = true
}

variable "enable_api_alerts" {
  description = "Alarm on the API's share of 4xx and 5xx answers and on its latency."
  type        = bool
  default     = true
}

variable "enable_log_alerts" {
  description = "Count requests that could not be answered and callers that were refused in the logs, and alarm on them."
  type        = bool
  default     = true
}

variable "invocation_alerts" {
  description = "Alarm on the number of calls: \"too_few\", \"anomaly\" or \"off\"."
  type        = string
  default     = "off"
}

variable "enable_dashboard" {
  description = "Make a dashboard of function, API and logs."
  type        = bool
  default     = true
}

variable "api_latency_ms" {
  description = "Latency of the 99th percentile of the API's answers that is too long, in milliseconds."
  type        = number
  default     = 3000
}

variable "refused_callers_threshold" {
  description = "Refused calls in a minute that are too many, where three minutes of five have them."
  type        = number
  default     = 20
}

variable "make_alerts_topic" {
  description = "Make the SNS topic that the alarms notify, with a key of its own. Off: alarms show their state and tell nobody."
  type        = bool
  default     = true
}

variable "alert_email_addresses" {
  description = "Who is told by e-mail; each address has to confirm its subscription once."
  type        = set(string)
  default     = []
}

variable "slack_channel" {
  description = "Slack channel that is told, authorised once in the console of Amazon Q Developer in chat applications; null tells none."
  type        = object({ workspace_id = string, channel_id = string })
  default     = null
}

variable "teams_channel" {
  description = "Microsoft Teams channel that is told, authorised in the same place; null tells none."
  type        = object({ tenant_id = string, team_id = string, team_name = optional(string), channel_id = string })
  default     = null
}

variable "notify_guardduty_findings" {
  description = "Notify the topic of what GuardDuty finds in this account and region. The detector is the account's: `guardduty` of terraform/bootstrap makes it."
  type        = bool
  default     = false
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the bucket's policy and its lifecycle rules. A real account refuses it."
  type        = bool
  default     = false
}
