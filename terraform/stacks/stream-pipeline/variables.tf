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
    condition     = contains(keys(var.releases), "stream-ingest")
    error_message = "The stack runs the function `stream-ingest`: `releases` must name its release."
  }
}

variable "memory_size" {
  description = "Memory of the function, in MB; processing power comes with it."
  type        = number
  default     = 512
}

variable "timeout" {
  description = "Longest run of one batch, in seconds. Of it the function keeps 3 for its answer."
  type        = number
  default     = 60

  validation {
    condition     = var.timeout >= 10 && var.timeout <= 900
    error_message = "The time limit is 10 to 900 seconds: 3 are kept for the answer, and one write may take as long as its retries."
  }
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

variable "opentelemetry" {
  description = "Traces of OpenTelemetry: the layer of the AWS Distro for OpenTelemetry for Python, and the share of batches that is traced. Null traces nothing."
  type = object({
    layer_arn     = string
    sampled_share = optional(number, 1)
  })
  default = null
}

variable "log_retention_days" {
  description = "Days that the log group keeps its events."
  type        = number
  default     = 30
}

variable "tracing_mode" {
  description = "\"Active\" samples batches for X-Ray; \"PassThrough\" does not."
  type        = string
  default     = "PassThrough"
}

variable "shard_count" {
  description = "Shards of the stream: each takes 1 MB or 1000 records a second."
  type        = number
  default     = 1
}

variable "stream_retention_hours" {
  description = "Hours for which the stream keeps a record: how long the function may be broken without losing any."
  type        = number
  default     = 24
}

variable "batch_size" {
  description = "Records that one batch holds at most."
  type        = number
  default     = 100

  validation {
    condition     = var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "A batch holds 1 to 10000 records: Lambda's limit."
  }
}

variable "batching_window_seconds" {
  description = "Seconds that a batch waits for more records; 0 waits for none."
  type        = number
  default     = 1

  validation {
    condition     = var.batching_window_seconds >= 0 && var.batching_window_seconds <= 300 && floor(var.batching_window_seconds) == var.batching_window_seconds
    error_message = "A batch waits for 0 to 300 whole seconds: Lambda's limit."
  }
}

variable "maximum_retry_attempts" {
  description = "Times that a batch is sent again before it counts as failed for good; -1 sends it until it is too old."
  type        = number
  default     = -1

  validation {
    condition     = var.maximum_retry_attempts >= -1 && var.maximum_retry_attempts <= 10000 && floor(var.maximum_retry_attempts) == var.maximum_retry_attempts
    error_message = "A batch is sent again 0 to 10000 times, or -1: Lambda's limit."
  }
}

variable "maximum_record_age_seconds" {
  description = "Seconds after which a record is not sent again. Less than the stream keeps it, so that whoever looks into the failure still finds it there."
  type        = number
  default     = 12 * 60 * 60

  validation {
    condition     = var.maximum_record_age_seconds >= 60 && var.maximum_record_age_seconds < var.stream_retention_hours * 3600
    error_message = "A record is sent again for 60 seconds at least, and for less than `stream_retention_hours`: after that nobody finds it in the stream."
  }
}

variable "event_source_enabled" {
  description = "Let the stream feed the function once a version is verified. Off stops the feeding; the stream keeps what comes."
  type        = bool
  default     = true
}

variable "pseudonym_key" {
  description = "Value of the secret, where Terraform shall write it: in neither state nor output, but in a saved plan. Null: whoever owns the key puts it there."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.pseudonym_key == null || try(length(var.pseudonym_key) >= 32, false)
    error_message = "A key of the pseudonyms has 32 characters at least: the function refuses a shorter one."
  }
}

variable "pseudonym_key_version" {
  description = "Number of the key, counted from 1: `pseudonym_key` is written whenever it changes. Null: Terraform writes no value."
  type        = number
  default     = null

  validation {
    condition     = (var.pseudonym_key_version == null) == (var.pseudonym_key == null)
    error_message = "`pseudonym_key` and `pseudonym_key_version` are given together, or neither."
  }
}

variable "secret_recovery_window_days" {
  description = "Days for which a deleted secret can be brought back, and for which its name stays taken; 0 deletes it at once."
  type        = number
  default     = 30
}

variable "key_deletion_window_days" {
  description = "Days for which a deleted key can be brought back."
  type        = number
  default     = 30
}

variable "table_deletion_protection" {
  description = "Let DynamoDB itself refuse to delete the table."
  type        = bool
  default     = false
}

variable "noncurrent_version_days" {
  description = "Days after which replaced or deleted records go from the bucket; null keeps them."
  type        = number
  default     = 90
}

variable "rejected_days" {
  description = "Days after which rejected records go from the bucket; null keeps them."
  type        = number
  default     = 90
}

variable "force_destroy" {
  description = "Let a destroy of the bucket delete the records in it. For environments that may lose them."
  type        = bool
  default     = false
}

variable "enable_stream_alerts" {
  description = "Alarm on a shard that stands still or is read late, on records that are turned away, and on the first batch in the queue of those that failed for good."
  type        = bool
  default     = true
}

variable "iterator_age_alert_seconds" {
  description = "Age in seconds of what is read of the stream that is too much."
  type        = number
  default     = 600

  validation {
    condition     = var.iterator_age_alert_seconds >= 60 && var.iterator_age_alert_seconds < var.maximum_record_age_seconds
    error_message = "The alarm comes at 60 seconds or more, and before `maximum_record_age_seconds`, when a record is given up on."
  }
}

variable "enable_error_alerts" {
  description = "Alarm on the function's errors, duration, throttled calls and concurrency, and on a table that turns writes away."
  type        = bool
  default     = true
}

variable "enable_dashboard" {
  description = "Make a dashboard of function, stream, queue and table."
  type        = bool
  default     = true
}

variable "make_alerts_topic" {
  description = "Make the SNS topic that the alarms notify, with a key of its own. Off: alarms show their state and notify nobody."
  type        = bool
  default     = true
}

variable "alert_email_addresses" {
  description = "Who is notified by e-mail; each address has to confirm its subscription once."
  type        = set(string)
  default     = []
}

variable "alerts_subscribed_elsewhere" {
  description = "Somebody is subscribed to the topic who is not named here."
  type        = bool
  default     = false
}

variable "subnet_ids" {
  description = "Private subnets by which the function joins a VPC: `subnet_ids = \"network.private_subnet_ids\"` under [inputs]. Null leaves it outside."
  type        = list(string)
  default     = null

  validation {
    condition     = (var.subnet_ids == null) == (var.security_group_ids == null)
    error_message = "`subnet_ids` and `security_group_ids` are given together, or neither."
  }
}

variable "security_group_ids" {
  description = "Security groups of the function within the VPC: `security_group_ids = \"network.function_security_group_ids\"` under [inputs]."
  type        = list(string)
  default     = null
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

variable "emulated" {
  description = "The account is an emulator's: leaves out the bucket's policy and its lifecycle rules. A real account refuses it."
  type        = bool
  default     = false
}
