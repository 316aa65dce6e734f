# What feeds the function, what it sends to, and where it runs.
variable "event_sources" {
  description = "Streams and queues that feed the alias, by a name of one's choice. With the rollout \"external\" each mapping is made disabled; Slipway enables it, where `enabled` asks for that, once the first version is verified. With \"terraform\" it is enabled as asked."
  type = map(object({
    event_source_arn                   = string
    starting_position                  = optional(string, "TRIM_HORIZON")
    batch_size                         = optional(number)
    maximum_batching_window_in_seconds = optional(number)
    parallelization_factor             = optional(number)
    bisect_batch_on_function_error     = optional(bool)
    maximum_retry_attempts             = optional(number)
    maximum_record_age_in_seconds      = optional(number)
    tumbling_window_in_seconds         = optional(number)
    maximum_concurrency                = optional(number) # of a queue: how many batches run at the same time
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
    source.maximum_concurrency == null ? true : source.maximum_concurrency >= 2 && source.maximum_concurrency <= 1000 && can(regex("^arn:[a-z-]+:sqs:", source.event_source_arn))])
    error_message = "The maximum_concurrency is that of a queue, 2 to 1000."
  }

  validation {
    condition = alltrue([for source in var.event_sources :
    source.tumbling_window_in_seconds == null ? true : source.tumbling_window_in_seconds >= 0 && source.tumbling_window_in_seconds <= 900 && !can(regex("^arn:[a-z-]+:sqs:", source.event_source_arn))])
    error_message = "The tumbling window is that of a stream, 0 to 900 seconds."
  }

  validation {
    condition = alltrue([for source in var.event_sources :
      (source.batch_size == null ? true : source.batch_size >= 1 && source.batch_size <= 10000) &&
      (source.maximum_batching_window_in_seconds == null ? true : source.maximum_batching_window_in_seconds >= 0 && source.maximum_batching_window_in_seconds <= 300) &&
      (source.parallelization_factor == null ? true : source.parallelization_factor >= 1 && source.parallelization_factor <= 10) &&
      (source.maximum_retry_attempts == null ? true : source.maximum_retry_attempts >= -1 && source.maximum_retry_attempts <= 10000) &&
    (source.maximum_record_age_in_seconds == null ? true : source.maximum_record_age_in_seconds == -1 || (source.maximum_record_age_in_seconds >= 60 && source.maximum_record_age_in_seconds <= 604800))])
    error_message = "A batch has 1 to 10000 records and is waited for 0 to 300 seconds; 1 to 10 batches of a shard run at once; records are tried again up to 10000 times (-1: for ever) for 60 to 604800 seconds (-1: for ever)."
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
    subnet_ids                  = list(string)
    security_group_ids          = list(string)
    ipv6_allowed_for_dual_stack = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.vpc == null || try(length(var.vpc.subnet_ids) > 0 && length(var.vpc.security_group_ids) > 0, false)
    error_message = "A VPC is joined through at least one subnet and one security group."
  }
}

variable "async_invocation" {
  description = "What becomes of asynchronous calls of the alias: how long and how often each is tried, and where its result goes: a queue, topic, function or event bus, by ARN; a failure also to a bucket. Null leaves Lambda's defaults, six hours and two more attempts."
  type = object({
    maximum_event_age_in_seconds = optional(number)
    maximum_retry_attempts       = optional(number)
    on_success_arn               = optional(string)
    on_failure_arn               = optional(string)
  })
  default = null

  validation {
    condition     = try(var.async_invocation.maximum_event_age_in_seconds, null) == null ? true : var.async_invocation.maximum_event_age_in_seconds >= 60 && var.async_invocation.maximum_event_age_in_seconds <= 21600
    error_message = "A call is tried for 60 to 21600 seconds."
  }

  validation {
    condition     = try(var.async_invocation.maximum_retry_attempts, null) == null ? true : contains([0, 1, 2], var.async_invocation.maximum_retry_attempts)
    error_message = "A call is tried 0, 1 or 2 more times."
  }

  validation {
    condition     = try(var.async_invocation.on_success_arn, null) == null ? true : can(regex("^arn:[a-z-]+:(events|lambda|sns|sqs):", var.async_invocation.on_success_arn))
    error_message = "A result goes to an SQS queue, an SNS topic, a function or an event bus, by ARN."
  }

  validation {
    condition     = try(var.async_invocation.on_failure_arn, null) == null ? true : can(regex("^arn:[a-z-]+:(events|lambda|s3|sns|sqs):", var.async_invocation.on_failure_arn))
    error_message = "A failure goes to an SQS queue, an SNS topic, a function, an event bus or a bucket, by ARN."
  }
}

variable "file_system" {
  description = "EFS that the function mounts, through one access point; null mounts none. It needs a VPC with a mount target in each of its zones."
  type = object({
    file_system_arn  = string
    access_point_arn = string
    local_mount_path = string
    read_only        = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.file_system == null ? true : can(regex("^/mnt/[a-zA-Z0-9_.-]+$", var.file_system.local_mount_path))
    error_message = "The file system is mounted at /mnt/<name>."
  }

  validation {
    condition     = var.file_system == null ? true : can(regex("^arn:[a-z-]+:elasticfilesystem:[a-z0-9-]+:[0-9]{12}:access-point/fsap-[0-9a-f]+$", var.file_system.access_point_arn)) && can(regex("^arn:[a-z-]+:elasticfilesystem:[a-z0-9-]+:[0-9]{12}:file-system/fs-[0-9a-f]+$", var.file_system.file_system_arn))
    error_message = "File system and access point are named by their ARNs."
  }

  validation {
    condition     = var.file_system == null ? true : var.vpc != null
    error_message = "A file system is reached through a VPC: give vpc."
  }
}

variable "topic_triggers" {
  description = "SNS topics whose messages call the alias, by a name of one's choice. `filter_policy` is JSON. Messages that could not be delivered go to the queue of `dead_letter_queue_arn`, whose policy must admit SNS."
  type = map(object({
    topic_arn             = string
    filter_policy         = optional(string)
    filter_policy_scope   = optional(string, "MessageAttributes")
    dead_letter_queue_arn = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for name, trigger in var.topic_triggers : can(regex("^[a-zA-Z0-9_-]{1,64}$", name)) && can(regex("^arn:[a-z-]+:sns:", trigger.topic_arn))])
    error_message = "A trigger by a topic has a name of letters, digits, hyphens and underscores, and the topic's ARN."
  }

  validation {
    condition     = alltrue([for trigger in var.topic_triggers : contains(["MessageAttributes", "MessageBody"], trigger.filter_policy_scope) && (trigger.filter_policy == null ? true : can(keys(jsondecode(trigger.filter_policy))))])
    error_message = "A filter policy is a JSON object, for the scope MessageAttributes or MessageBody."
  }

  validation {
    condition     = alltrue([for trigger in var.topic_triggers : trigger.dead_letter_queue_arn == null ? true : can(regex("^arn:[a-z-]+:sqs:", trigger.dead_letter_queue_arn))])
    error_message = "What a topic could not deliver goes to an SQS queue, by ARN."
  }
}

variable "bucket_triggers" {
  description = "Buckets whose events call the alias, by a name of one's choice. A bucket has one setting for all its notifications: the module replaces what somebody else set, so that a bucket stands here once and nowhere else."
  type = map(object({
    bucket     = string
    account_id = optional(string) # the bucket's account; null is this one
    notifications = optional(list(object({
      events        = optional(set(string), ["s3:ObjectCreated:*"])
      filter_prefix = optional(string)
      filter_suffix = optional(string)
    })), [{}])
  }))
  default = {}

  validation {
    condition     = alltrue([for name, trigger in var.bucket_triggers : can(regex("^[a-zA-Z0-9_-]{1,64}$", name)) && length(trigger.notifications) > 0])
    error_message = "A trigger by a bucket has a name of letters, digits, hyphens and underscores, and at least one notification."
  }

  validation {
    condition     = length(distinct([for trigger in var.bucket_triggers : trigger.bucket])) == length(var.bucket_triggers)
    error_message = "A bucket stands in bucket_triggers once, with all its notifications: each entry would replace the other's."
  }

  validation {
    condition     = alltrue(flatten([for trigger in var.bucket_triggers : [for notification in trigger.notifications : length(notification.events) > 0 && alltrue([for event in notification.events : startswith(event, "s3:")])]]))
    error_message = "A notification is of at least one event, such as s3:ObjectCreated:*."
  }

  validation {
    condition     = alltrue([for trigger in var.bucket_triggers : trigger.account_id == null ? true : can(regex("^[0-9]{12}$", trigger.account_id))])
    error_message = "An account id has twelve digits."
  }
}

variable "event_rules" {
  description = "Rules of EventBridge that call the alias, by a name that becomes part of the rule's: by a pattern (JSON) or on a schedule, rate(…) or cron(…) in UTC. `input` is JSON that replaces the event. What could not be delivered goes to the queue of `dead_letter_queue_arn`, whose policy must admit EventBridge."
  type = map(object({
    description                  = optional(string)
    schedule_expression          = optional(string)
    event_pattern                = optional(string)
    event_bus_name               = optional(string, "default")
    enabled                      = optional(bool, true)
    input                        = optional(string)
    maximum_event_age_in_seconds = optional(number, 86400)
    maximum_retry_attempts       = optional(number, 185)
    dead_letter_queue_arn        = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for name, rule in var.event_rules : can(regex("^[a-zA-Z0-9_-]+$", name)) && length("${var.name}-${name}") <= 64])
    error_message = "A rule's name, <function>-<name>, has 64 characters at most: letters, digits, hyphens and underscores."
  }

  validation {
    condition     = alltrue([for rule in var.event_rules : (rule.schedule_expression == null) != (rule.event_pattern == null)])
    error_message = "A rule has a schedule_expression or an event_pattern: exactly one of them."
  }

  validation {
    condition     = alltrue([for rule in var.event_rules : rule.schedule_expression == null ? true : can(regex("^(rate|cron)\\(.+\\)$", rule.schedule_expression)) && rule.event_bus_name == "default"])
    error_message = "A schedule is rate(…) or cron(…), on the default event bus."
  }

  validation {
    condition     = alltrue([for rule in var.event_rules : (rule.event_pattern == null ? true : can(keys(jsondecode(rule.event_pattern)))) && (rule.input == null ? true : can(jsondecode(rule.input)))])
    error_message = "A pattern is a JSON object, an input is JSON."
  }

  validation {
    condition     = alltrue([for rule in var.event_rules : rule.maximum_event_age_in_seconds >= 60 && rule.maximum_event_age_in_seconds <= 86400 && rule.maximum_retry_attempts >= 0 && rule.maximum_retry_attempts <= 185])
    error_message = "An event is tried for 60 to 86400 seconds and 0 to 185 times."
  }

  validation {
    condition     = alltrue([for rule in var.event_rules : rule.dead_letter_queue_arn == null ? true : can(regex("^arn:[a-z-]+:sqs:", rule.dead_letter_queue_arn))])
    error_message = "What a rule could not deliver goes to an SQS queue, by ARN."
  }
}
