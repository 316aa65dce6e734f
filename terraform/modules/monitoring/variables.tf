variable "name" {
  description = "Name of what is watched, <project>-<account id>-<environment>-<resource>: the beginning of every alarm's name, the name of topic and dashboard, the namespace of the metrics taken from logs."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,58}$", var.name))
    error_message = "The name takes 1 to 58 letters, digits, hyphens and underscores: IAM's limit for a role, less the suffix \"-chat\"."
  }
}

variable "functions" {
  description = "Functions to watch, by a short name: function_name and alias as lambda-function's output `function` has them, the time limit of one call, and how many calls may run at the same time (reserved, or the account's)."
  type = map(object({
    function_name     = string
    alias             = optional(string, "live")
    timeout_seconds   = number
    concurrency_limit = optional(number, 1000)
  }))
  default = {}

  validation {
    condition     = alltrue([for function in var.functions : function.timeout_seconds >= 1 && function.timeout_seconds <= 900])
    error_message = "The time limit of a function is 1 to 900 seconds."
  }

  validation {
    condition     = alltrue([for function in var.functions : function.concurrency_limit >= 1])
    error_message = "At least one call of a function may run."
  }
}

variable "http_apis" {
  description = "HTTP APIs to watch, by a short name."
  type = map(object({
    api_id = string
    stage  = optional(string, "$default")
  }))
  default = {}
}

variable "tables" {
  description = "DynamoDB tables to watch, by a short name, with their global secondary indexes, which are throttled on their own."
  type = map(object({
    table_name  = string
    index_names = optional(set(string), [])
  }))
  default = {}
}

variable "streams" {
  description = "Kinesis streams to watch, by a short name: the age in seconds of what is read that is too much, and the records rejected in one period that are still all right. Choose the age well below the stream's retention: what is older than that is lost."
  type = map(object({
    stream_name          = string
    iterator_age_seconds = optional(number, 600)
    throttle_threshold   = optional(number, 0)
  }))
  default = {}

  validation {
    condition     = alltrue([for stream in var.streams : stream.iterator_age_seconds >= 1 && stream.throttle_threshold >= 0])
    error_message = "The age of what is read is 1 second or more, and a number of records is not negative."
  }
}

variable "queues" {
  description = "SQS queues to watch, by a short name: the messages that it may hold (0 for a queue of what failed: the first one alarms), the seconds that one may wait; null leaves one of them out."
  type = map(object({
    queue_name          = string
    maximum_messages    = optional(number)
    maximum_age_seconds = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for queue in var.queues : queue.maximum_messages == null ? queue.maximum_age_seconds != null : queue.maximum_messages >= 0])
    error_message = "A queue is watched by maximum_messages, 0 or more, or by maximum_age_seconds, or both."
  }

  validation {
    condition     = alltrue([for queue in var.queues : queue.maximum_age_seconds == null ? true : queue.maximum_age_seconds >= 1])
    error_message = "A message waits for 1 second or more."
  }
}

variable "event_source_mappings" {
  description = "Event source mappings to watch, by a short name: the function and alias that they feed, the age in seconds of a batch that is too much (streams alone have it; null: not watched), and the mapping's UUID where it counts its events (`metrics_config` with EventCount): then dropped ones alarm."
  type = map(object({
    function_name        = string
    alias                = optional(string, "live")
    iterator_age_seconds = optional(number)
    counted_uuid         = optional(string)
  }))
  default = {}

  validation {
    condition     = alltrue([for mapping in var.event_source_mappings : mapping.iterator_age_seconds == null ? mapping.counted_uuid != null : mapping.iterator_age_seconds >= 1])
    error_message = "A mapping is watched by iterator_age_seconds, 1 or more, or by counted_uuid, or both."
  }
}

variable "nat_gateways" {
  description = "NAT gateways to watch, by a short name, with the packets dropped in one period that are still all right: AWS itself drops a few."
  type = map(object({
    nat_gateway_id  = string
    dropped_packets = optional(number, 100)
  }))
  default = {}

  validation {
    condition     = alltrue([for gateway in var.nat_gateways : gateway.dropped_packets >= 0])
    error_message = "A number of packets is not negative."
  }
}

variable "log_filters" {
  description = "Log events that are counted, by a short name: the group, the filter pattern, and how many in one period are too many. https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html"
  type = map(object({
    log_group_name = string
    pattern        = string
    description    = optional(string)
    threshold      = optional(number, 1)
    # What is worth a filter is mostly worth an alarm the first time.
    datapoints_to_alarm = optional(number, 1)
  }))
  default = {}

  validation {
    condition     = alltrue([for filter in var.log_filters : filter.threshold >= 1])
    error_message = "A log filter alarms from one event on."
  }

  validation {
    condition     = alltrue([for filter in var.log_filters : filter.datapoints_to_alarm >= 1 && filter.datapoints_to_alarm <= var.evaluation_periods])
    error_message = "At least one and at most all of the evaluation_periods must have too many events."
  }

  validation {
    condition     = alltrue([for name in keys(var.log_filters) : can(regex("^[a-zA-Z0-9_-]+$", name))])
    error_message = "The short name of a log filter, which names its metric, takes letters, digits, hyphens and underscores."
  }
}

variable "enable_error_alerts" {
  description = "Alarm on the share of a function's calls that fail."
  type        = bool
  default     = true
}

variable "enable_duration_alerts" {
  description = "Alarm on calls that come near the time limit."
  type        = bool
  default     = true
}

variable "enable_throttle_alerts" {
  description = "Alarm on calls that a function rejected."
  type        = bool
  default     = true
}

variable "enable_concurrency_alerts" {
  description = "Alarm on calls running at the same time that come near the limit."
  type        = bool
  default     = true
}

variable "invocation_alerts" {
  description = "Alarm on the number of calls: \"too_few\" where fewer than `minimum_invocations` come, \"anomaly\" where it leaves the band that CloudWatch learnt from the weeks before, \"off\" where quiet hours are nothing unusual."
  type        = string
  default     = "off"

  validation {
    condition     = contains(["off", "too_few", "anomaly"], var.invocation_alerts)
    error_message = "The alarm on the number of calls is off, too_few or anomaly."
  }
}

variable "enable_api_alerts" {
  description = "Alarm on an HTTP API's share of 4xx and 5xx answers and on its latency."
  type        = bool
  default     = true
}

variable "enable_dynamodb_alerts" {
  description = "Alarm on reads and writes that a table or one of its indexes rejected."
  type        = bool
  default     = true
}

variable "enable_stream_alerts" {
  description = "Alarm on streams whose records are read late or rejected."
  type        = bool
  default     = true
}

variable "enable_queue_alerts" {
  description = "Alarm on queues that hold too many messages, or one for too long."
  type        = bool
  default     = true
}

variable "enable_event_source_alerts" {
  description = "Alarm on event source mappings that are behind or drop events."
  type        = bool
  default     = true
}

variable "enable_nat_alerts" {
  description = "Alarm on NAT gateways without free ports, and on packets that they drop."
  type        = bool
  default     = true
}

variable "enable_log_alerts" {
  description = "Count the events of `log_filters` and alarm on them."
  type        = bool
  default     = true
}

variable "enable_dashboard" {
  description = "Make a dashboard of all that is watched."
  type        = bool
  default     = true
}

variable "period_seconds" {
  description = "Length of one period, over which a metric is averaged or counted."
  type        = number
  default     = 60

  validation {
    condition     = var.period_seconds >= 60 && var.period_seconds % 60 == 0
    error_message = "A period is a multiple of 60 seconds: what Lambda, API Gateway and DynamoDB publish."
  }
}

variable "evaluation_periods" {
  description = "Periods that an alarm looks back on."
  type        = number
  default     = 5

  validation {
    condition     = var.evaluation_periods >= 1 && var.evaluation_periods * var.period_seconds <= 86400
    error_message = "An alarm looks back on one period at least and one day at most: CloudWatch's limit."
  }
}

variable "datapoints_to_alarm" {
  description = "How many of these periods must be over the threshold: a single bad minute wakes nobody."
  type        = number
  default     = 3

  validation {
    condition     = var.datapoints_to_alarm >= 1 && var.datapoints_to_alarm <= var.evaluation_periods
    error_message = "At least one and at most all of the evaluation_periods must be over the threshold."
  }
}

variable "error_percent" {
  description = "Failed calls, in percent of a function's calls, that are too many."
  type        = number
  default     = 1

  validation {
    condition     = var.error_percent >= 0 && var.error_percent < 100
    error_message = "The share of failed calls is 0 to 100 percent."
  }
}

variable "duration_percent" {
  description = "Duration of the 99th percentile of calls, in percent of the function's time limit, that is too long."
  type        = number
  default     = 80

  validation {
    condition     = var.duration_percent > 0 && var.duration_percent < 100
    error_message = "The duration is more than 0 and less than 100 percent of the time limit: at the limit the call was ended."
  }
}

variable "throttle_threshold" {
  description = "Calls rejected in one period that are still all right."
  type        = number
  default     = 0

  validation {
    condition     = var.throttle_threshold >= 0
    error_message = "A number of calls is not negative."
  }
}

variable "concurrency_percent" {
  description = "Calls running at the same time, in percent of the function's concurrency_limit, that are too many."
  type        = number
  default     = 80

  validation {
    condition     = var.concurrency_percent > 0 && var.concurrency_percent <= 100
    error_message = "The share of the limit is more than 0 and at most 100 percent."
  }
}

variable "minimum_invocations" {
  description = "Calls in one period, fewer than which are too few."
  type        = number
  default     = 1

  validation {
    condition     = var.minimum_invocations >= 1
    error_message = "At least one call: fewer than none never come."
  }
}

variable "anomaly_deviations" {
  description = "Width of the learnt band, in standard deviations."
  type        = number
  default     = 2

  validation {
    condition     = var.anomaly_deviations > 0
    error_message = "The band is wider than nothing."
  }
}

variable "api_4xx_percent" {
  description = "Answers that refuse the caller's request, in percent of an API's answers, that are too many."
  type        = number
  default     = 20

  validation {
    condition     = var.api_4xx_percent >= 0 && var.api_4xx_percent < 100
    error_message = "The share of 4xx answers is 0 to 100 percent."
  }
}

variable "api_5xx_percent" {
  description = "Answers that admit a fault of ours, in percent of an API's answers, that are too many."
  type        = number
  default     = 1

  validation {
    condition     = var.api_5xx_percent >= 0 && var.api_5xx_percent < 100
    error_message = "The share of 5xx answers is 0 to 100 percent."
  }
}

variable "api_latency_ms" {
  description = "Latency of the 99th percentile of an API's answers that is too long, in milliseconds."
  type        = number
  default     = 3000

  validation {
    condition     = var.api_latency_ms > 0
    error_message = "A latency is more than 0 milliseconds."
  }
}

variable "table_throttle_threshold" {
  description = "Reads and writes rejected by a table or index in one period that are still all right."
  type        = number
  default     = 0

  validation {
    condition     = var.table_throttle_threshold >= 0
    error_message = "A number of reads and writes is not negative."
  }
}

variable "make_topic" {
  description = "Make an SNS topic for the alarms. Off, they notify `topic_arn`."
  type        = bool
  default     = true
}

variable "topic_arn" {
  description = "An SNS topic made elsewhere, with make_topic off; null notifies nobody. Its policy and its key must admit cloudwatch.amazonaws.com."
  type        = string
  default     = null

  validation {
    condition     = var.topic_arn == null || !var.make_topic
    error_message = "A given topic needs make_topic = false."
  }
}

variable "make_key" {
  description = "Make a customer key for the topic. Off, `kms_key_arn` is used."
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "Key that encrypts the topic, with make_key off. Its policy must admit cloudwatch.amazonaws.com: alarms can't publish to a topic encrypted with the account's alias/aws/sns."
  type        = string
  default     = null

  validation {
    condition     = !var.make_topic || (var.kms_key_arn == null) == var.make_key
    error_message = "The topic is encrypted either with a key made here (make_key) or with kms_key_arn: exactly one of them."
  }

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "publisher_services" {
  description = "Services beside CloudWatch that may publish to the topic on behalf of this account: \"budgets.amazonaws.com\", \"events.amazonaws.com\"."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.publisher_services : can(regex("^[a-z0-9.-]+$", service)) && anytrue([for suffix in ["amazonaws.com", data.aws_partition.current.dns_suffix] : endswith(service, ".${suffix}")])])
    error_message = "A service principal ends in .amazonaws.com, or in the domain of the partition."
  }
}

variable "email_addresses" {
  description = "Who is notified by e-mail; each address has to confirm the subscription once."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for address in var.email_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "An e-mail address holds one @."
  }

  validation {
    condition     = var.make_topic || length(var.email_addresses) == 0
    error_message = "A topic made elsewhere has its own subscriptions: email_addresses needs make_topic."
  }
}

variable "subscribed_elsewhere" {
  description = "Somebody is subscribed to the topic who is not named here: it is not warned of then."
  type        = bool
  default     = false
}

variable "slack_channel" {
  description = "Slack channel that is notified: id of the workspace, which an administrator has authorised once in the console of Amazon Q Developer in chat applications (AWS Chatbot), and id of the channel; null notifies none."
  type = object({
    workspace_id = string
    channel_id   = string
  })
  default = null

  validation {
    condition     = var.slack_channel == null || can(regex("^T[A-Z0-9]+ [CG][A-Z0-9]+$", "${var.slack_channel.workspace_id} ${var.slack_channel.channel_id}"))
    error_message = "Slack's ids are capitals and digits: a workspace's begins with T, a channel's with C or G."
  }

  validation {
    condition     = var.slack_channel == null || var.make_topic || var.topic_arn != null
    error_message = "A channel is told through a topic: make_topic or topic_arn."
  }
}

variable "teams_channel" {
  description = "Microsoft Teams channel that is notified: ids of tenant, team and channel, authorised in the same place; null notifies none."
  type = object({
    tenant_id  = string
    team_id    = string
    team_name  = optional(string)
    channel_id = string
  })
  default = null

  validation {
    condition     = var.teams_channel == null || can(regex("^[0-9a-f-]{36} [0-9a-f-]{36}$", "${var.teams_channel.tenant_id} ${var.teams_channel.team_id}"))
    error_message = "The ids of a Teams tenant and team are UUIDs."
  }

  validation {
    condition     = var.teams_channel == null || var.make_topic || var.topic_arn != null
    error_message = "A channel is told through a topic: make_topic or topic_arn."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds the role by which a chat channel reads metrics; null sets no bounds."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of alarms, topic, key and role, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
