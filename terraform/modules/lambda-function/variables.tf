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

variable "role_arn" {
  description = "Role that the function runs as, made elsewhere with all that it may do; null makes one for this function alone. Known at the plan."
  type        = string
  default     = null

  validation {
    condition     = var.role_arn == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.role_arn))
    error_message = "A role from outside is named by its ARN."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what the role made here may ever do, whatever else is attached to it; null sets no bounds."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || var.role_arn == null
    error_message = "A role from outside has its own boundary: permissions_boundary_arn is for the role made here."
  }
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

  validation {
    condition     = var.role_arn == null || length(var.policy_statements) == 0
    error_message = "A role from outside is left as it is: what the function may do belongs where that role is made."
  }
}

variable "event_sources" {
  description = "Streams and queues that feed the alias, by a name of one's choice. Each mapping is made disabled; Slipway enables it, where `enabled` asks for that, once the first version is verified."
  type = map(object({
    event_source_arn                   = string
    starting_position                  = optional(string, "TRIM_HORIZON")
    batch_size                         = optional(number)
    maximum_batching_window_in_seconds = optional(number)
    parallelization_factor             = optional(number)
    bisect_batch_on_function_error     = optional(bool)
    maximum_retry_attempts             = optional(number)
    maximum_record_age_in_seconds      = optional(number)
    report_batch_item_failures         = optional(bool, true)
    filter_patterns                    = optional(list(string))
    on_failure_destination_arn         = optional(string)
    enabled                            = optional(bool, true)
  }))
  default = {}

  validation {
    condition     = alltrue([for source in var.event_sources : can(regex("^arn:[a-z-]+:(kinesis|dynamodb|sqs):", source.event_source_arn))])
    error_message = "An event source is the ARN of a Kinesis stream or its consumer, of a table's stream or of an SQS queue."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : contains(["TRIM_HORIZON", "LATEST"], source.starting_position)])
    error_message = "A stream is read from TRIM_HORIZON, its oldest record, or LATEST."
  }

  validation {
    condition = alltrue([for source in var.event_sources :
    source.on_failure_destination_arn == null || can(regex("^arn:[a-z-]+:(s3|sns|sqs):", source.on_failure_destination_arn))])
    error_message = "What failed for good goes to an SQS queue, an SNS topic or a bucket, by ARN."
  }

  validation {
    condition     = alltrue([for source in var.event_sources : source.filter_patterns == null || try(length(source.filter_patterns) > 0, false)])
    error_message = "A filter has at least one pattern; leave filter_patterns out to pass everything."
  }

  validation {
    condition     = alltrue(flatten([for source in var.event_sources : [for pattern in coalesce(source.filter_patterns, []) : can(keys(jsondecode(pattern)))]]))
    error_message = "A filter pattern is a JSON object: jsonencode({ data = { kind = [\"order\"] } })."
  }
}

variable "dead_letter_target_arn" {
  description = "SQS queue or SNS topic that takes asynchronous calls which failed for good; null drops them. Calls by a stream or a queue have their own `on_failure_destination_arn`."
  type        = string
  default     = null

  validation {
    condition     = var.dead_letter_target_arn == null || can(regex("^arn:[a-z-]+:(sns|sqs):", var.dead_letter_target_arn))
    error_message = "A dead letter goes to an SQS queue or an SNS topic, by ARN."
  }
}

variable "vpc" {
  description = "Subnets and security groups by which the function joins a VPC; null leaves it outside. AWS is then reached only through the VPC: a NAT gateway or endpoints."
  type = object({
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null

  validation {
    condition     = var.vpc == null || try(length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0, false)
    error_message = "A VPC is joined through at least one subnet and one security group."
  }
}

variable "tracing_mode" {
  description = "\"Active\" samples calls for X-Ray; \"PassThrough\" traces only what a caller already traces."
  type        = string
  default     = "PassThrough"

  validation {
    condition     = contains(["Active", "PassThrough"], var.tracing_mode)
    error_message = "The tracing mode is Active or PassThrough."
  }
}

variable "ephemeral_storage_mb" {
  description = "Size of the function's /tmp, in MB."
  type        = number
  default     = 512

  validation {
    condition     = var.ephemeral_storage_mb >= 512 && var.ephemeral_storage_mb <= 10240
    error_message = "The storage is 512 to 10240 MB."
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
