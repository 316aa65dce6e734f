variable "name" {
  description = "Full name of the Lambda function, <project>-<account id>-<environment>-<function>; role and log group take it too."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.name))
    error_message = "The name takes 1 to 64 letters, digits, hyphens and underscores: Lambda's and IAM's limit."
  }
}

variable "release" {
  description = "What the function runs: one element of the `releases` map that Slipway writes, or an object that you write. `code.sha256` is the digest as Lambda reports it, base64 for a zip (`filebase64sha256`) and hex for an image. The zip is an object in S3 or, without Slipway, a file."
  type = object({
    version      = optional(string) # in Slipway's map; nothing here depends on it
    architecture = optional(string, "x86_64")
    runtime      = optional(string)
    handler      = optional(string)
    code = object({
      sha256    = optional(string)
      s3        = optional(object({ bucket = string, key = string }))
      filename  = optional(string)
      image_uri = optional(string)
    })
  })

  validation {
    condition     = length([for code in [var.release.code.s3, var.release.code.filename, var.release.code.image_uri] : true if code != null]) == 1
    error_message = "A release holds code.s3 or code.filename (a zip), or code.image_uri (an image): exactly one of them."
  }

  validation {
    condition     = contains(["x86_64", "arm64"], var.release.architecture)
    error_message = "The architecture is x86_64 or arm64."
  }

  validation {
    condition     = var.release.code.image_uri != null ? true : can(regex("^[A-Za-z0-9+/]{43}=$", var.release.code.sha256))
    error_message = "The code.sha256 of a zip is the base64 of its SHA-256, 44 characters, as Lambda reports it: by it Terraform sees that the code is another."
  }

  validation {
    condition     = var.release.code.image_uri != null ? true : var.release.runtime != null && var.release.handler != null
    error_message = "A zip needs the runtime that runs it, and the handler in it."
  }

  validation {
    condition     = var.release.code.image_uri == null ? true : can(regex("@sha256:[0-9a-f]{64}$", var.release.code.image_uri))
    error_message = "The code.image_uri names the image by digest, repository@sha256:<64 hex digits>: a tag can move."
  }
}

variable "rollout" {
  description = "Who moves the alias and opens the event sources. \"external\": Slipway or another tool, once a version is verified; Terraform ignores both after the first apply. \"terraform\": the alias follows each version that an apply publishes, and the sources are enabled as asked."
  type        = string
  default     = "external"

  validation {
    condition     = contains(["external", "terraform"], var.rollout)
    error_message = "The rollout is \"external\" or \"terraform\"."
  }
}

variable "memory_size" {
  description = "Memory of the function, in MB."
  type        = number
  default     = 128

  validation {
    condition     = var.memory_size >= 128 && var.memory_size <= 10240 && floor(var.memory_size) == var.memory_size
    error_message = "The memory is 128 to 10240 MB, in whole MB."
  }
}

variable "timeout" {
  description = "Longest run of one call, in seconds."
  type        = number
  default     = 3

  validation {
    condition     = var.timeout >= 1 && var.timeout <= 900 && floor(var.timeout) == var.timeout
    error_message = "The time limit is 1 to 900 seconds, in whole seconds."
  }
}

variable "environment_variables" {
  description = "Environment of the function. Not the place for secrets, nor for the release's version: everybody who may describe the function reads them, and the version would cost a second update."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment_variables) : can(regex("^[a-zA-Z][a-zA-Z0-9_]+$", name))])
    error_message = "A variable's name is a letter, then letters, digits and underscores, two characters at least: Lambda's limit."
  }

  validation {
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
    condition = length(setintersection(keys(var.environment_variables), [
      "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME",
      "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API",
      "AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
    ])) == 0
    error_message = "Lambda sets this variable itself and refuses another value."
  }
}

variable "opentelemetry" {
  description = "Traces of OpenTelemetry: the layer with a collector that sends them to X-Ray, such as that of the AWS Distro for OpenTelemetry, the collector's address, the share of calls that is traced where the caller has not decided (0 to 1), and the program in the layer that instruments a function which knows nothing of traces (`/opt/otel-instrument` for Python and Node). Null traces nothing. A role from outside needs xray:PutTraceSegments and xray:PutTelemetryRecords."
  type = object({
    layer_arn     = string
    endpoint      = optional(string, "http://localhost:4318")
    sampled_share = optional(number, 1)
    wrapper       = optional(string)
  })
  default = null

  validation {
    condition     = var.opentelemetry == null ? true : can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:[a-zA-Z0-9_-]+:[0-9]+$", var.opentelemetry.layer_arn))
    error_message = "The layer is the ARN of one version: arn:…:lambda:<region>:<account id>:layer:<name>:<version>."
  }

  validation {
    condition     = var.opentelemetry == null ? true : can(regex("^http://", var.opentelemetry.endpoint)) && var.opentelemetry.sampled_share >= 0 && var.opentelemetry.sampled_share <= 1
    error_message = "The collector runs beside the function, at an http:// address; the share of traced calls lies between 0 and 1."
  }

  validation {
    condition     = var.opentelemetry == null ? true : can(regex("^/", coalesce(var.opentelemetry.wrapper, "/")))
    error_message = "The wrapper is the path of a program in the layer, /opt/…"
  }

  validation {
    condition     = var.opentelemetry == null ? true : var.release.code.image_uri == null && length(var.layers) < 5
    error_message = "The collector is a layer: an image takes none (put the collector into the image, and the variables of OpenTelemetry into environment_variables), and a zip takes five."
  }
}

variable "layers" {
  description = "Versions of layers that are added to a zip, by ARN, in the order in which they are laid over each other."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.layers) <= 5 && alltrue([for arn in var.layers : can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:layer:[a-zA-Z0-9_-]+:[0-9]+$", arn))])
    error_message = "Five layers at most, each the ARN of one version: arn:…:lambda:<region>:<account id>:layer:<name>:<version>."
  }

  validation {
    condition     = length(var.layers) == 0 ? true : var.release.code.image_uri == null
    error_message = "An image takes no layers: what they hold belongs into the image."
  }
}

variable "snap_start" {
  description = "Start from a snapshot of the initialised function (SnapStart), for each published version. Paid by the size of the snapshot for Python and .NET."
  type        = bool
  default     = false

  validation {
    condition     = !var.snap_start ? true : can(regex("^(java(11|17|2[1-9])|python3\\.1[2-9]|dotnet([89]|[1-9][0-9]))$", var.release.runtime))
    error_message = "SnapStart is for Java from 11, Python from 3.12 and .NET from 8: neither for images nor for other runtimes."
  }

  validation {
    condition     = !var.snap_start ? true : var.provisioned_concurrent_executions == null && var.file_system == null && var.ephemeral_storage_mb == 512
    error_message = "SnapStart goes neither with provisioned concurrency nor with a file system nor with more than 512 MB in /tmp: Lambda's limit."
  }
}

variable "logging_config" {
  description = "Format and levels of the log. With the format JSON Lambda writes its own lines as JSON too, sets AWS_LAMBDA_LOG_LEVEL, and drops lines below the level. Null leaves Lambda's default, plain text."
  type = object({
    log_format            = optional(string, "JSON")
    application_log_level = optional(string)
    system_log_level      = optional(string)
  })
  default = null

  validation {
    condition     = var.logging_config == null ? true : contains(["JSON", "Text"], var.logging_config.log_format)
    error_message = "The log_format is JSON or Text."
  }

  validation {
    condition     = try(var.logging_config.application_log_level, null) == null ? true : contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.logging_config.application_log_level)
    error_message = "The application_log_level is TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }

  validation {
    condition     = try(var.logging_config.system_log_level, null) == null ? true : contains(["DEBUG", "INFO", "WARN"], var.logging_config.system_log_level)
    error_message = "The system_log_level is DEBUG, INFO or WARN."
  }

  validation {
    condition     = try(var.logging_config.log_format, "JSON") == "JSON" ? true : var.logging_config.application_log_level == null && var.logging_config.system_log_level == null
    error_message = "Levels are for the format JSON."
  }
}

variable "log_retention_days" {
  description = "Days that the log group keeps its events; one of the numbers that CloudWatch Logs allows, 0 for ever."
  type        = number
  default     = 7

  validation {
    condition = contains([
      0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
    ], var.log_retention_days)
    error_message = "CloudWatch Logs keeps events for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days, or with 0 for ever."
  }
}

variable "log_kms_key_arn" {
  description = "Key that encrypts the log group; null leaves it to CloudWatch Logs' own. Its policy must let logs.<region>.<dns suffix> use it for this group: kms-key's `service_principals`."
  type        = string
  default     = null

  validation {
    condition     = var.log_kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.log_kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>: a log group takes no alias."
  }
}

variable "make_role" {
  description = "Make a role for this function alone; false takes `role_arn`. Null: make one where no `role_arn` is given. A switch of its own, because a role made in the same plan has no ARN yet."
  type        = bool
  default     = null

  validation {
    condition     = var.make_role == null ? true : var.make_role == (var.role_arn == null)
    error_message = "Either a role is made or role_arn gives one, with make_role = false: the function is never without."
  }
}

variable "role_arn" {
  description = "Role that the function runs as, made elsewhere with all that it may do, as by function-role; null makes one for this function alone. Known at the plan, or with make_role = false."
  type        = string
  default     = null

  validation {
    condition     = var.role_arn == null ? true : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", var.role_arn))
    error_message = "A role from outside is named by its ARN."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what the role made here may ever do, whatever else is attached to it; null sets no bounds."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : var.make_role == null ? var.role_arn == null : var.make_role
    error_message = "A role from outside has its own boundary: permissions_boundary_arn is for the role made here."
  }

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "A boundary is named by its policy's ARN, arn:…:iam::<account id>:policy/<name>."
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
    condition     = alltrue([for statement in var.policy_statements : contains(["Allow", "Deny"], statement.effect) && length(statement.actions) > 0 && length(statement.resources) > 0])
    error_message = "A statement allows or denies (Allow, Deny) at least one action on at least one resource."
  }

  validation {
    condition     = alltrue([for statement in var.policy_statements : !contains(statement.actions, "*")])
    error_message = "A statement names the actions it allows: \"*\" is every action of every service."
  }

  validation {
    condition     = length(var.policy_statements) == 0 ? true : var.make_role == null ? var.role_arn == null : var.make_role
    error_message = "A role from outside is left as it is: what the function may do belongs where that role is made."
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
    condition     = var.ephemeral_storage_mb >= 512 && var.ephemeral_storage_mb <= 10240 && floor(var.ephemeral_storage_mb) == var.ephemeral_storage_mb
    error_message = "The storage is 512 to 10240 MB, in whole MB."
  }
}

variable "reserved_concurrent_executions" {
  description = "Calls that may run at the same time, taken from what all functions of the account share; 0 stops the function; null leaves the account's shared limit."
  type        = number
  default     = null

  validation {
    condition     = var.reserved_concurrent_executions == null ? true : var.reserved_concurrent_executions >= 0 && floor(var.reserved_concurrent_executions) == var.reserved_concurrent_executions
    error_message = "The reserve is a whole number from 0; null reserves none."
  }
}

variable "check_quotas" {
  description = "Warn in each plan where the account may not run enough at once for `reserved_concurrent_executions`. The role that plans needs servicequotas:GetServiceQuota; an emulator may not have it."
  type        = bool
  default     = false
}

variable "provisioned_concurrent_executions" {
  description = "Instances of the version behind the alias that are kept ready, paid by the hour whether they are called or not; null keeps none."
  type        = number
  default     = null

  validation {
    condition     = var.provisioned_concurrent_executions == null ? true : var.provisioned_concurrent_executions >= 1 && floor(var.provisioned_concurrent_executions) == var.provisioned_concurrent_executions
    error_message = "The number of instances is a whole number from 1; null keeps none."
  }

  validation {
    condition     = var.provisioned_concurrent_executions == null || var.reserved_concurrent_executions == null ? true : var.provisioned_concurrent_executions <= var.reserved_concurrent_executions
    error_message = "No more instances are kept ready than may run at the same time (reserved_concurrent_executions)."
  }
}

variable "recursive_loop" {
  description = "What Lambda does where the function calls itself in a circle, by a queue, a topic or a bucket: \"Terminate\" or \"Allow\". Null leaves Lambda's default, Terminate, unmanaged."
  type        = string
  default     = null

  validation {
    condition     = var.recursive_loop == null ? true : contains(["Allow", "Terminate"], var.recursive_loop)
    error_message = "The recursive_loop is Allow or Terminate."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the environment variables at rest; null leaves it to Lambda's own key."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias."
  }
}

variable "tags" {
  description = "Tags of the function, its role, its log group and its rules, besides the provider's default tags."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.tags) : length(name) <= 128 && !startswith(lower(name), "aws:")])
    error_message = "A tag's name has 128 characters at most and does not begin with aws:."
  }
}
