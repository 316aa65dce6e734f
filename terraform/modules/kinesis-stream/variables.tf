variable "name" {
  description = "Full name of the stream, <project>-<account id>-<environment>-<stream>."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{1,128}$", var.name))
    error_message = "The name takes 1 to 128 letters, digits, underscores, dots and hyphens: Kinesis' limit."
  }
}

variable "shard_count" {
  description = "Shards of a provisioned stream; null makes the stream on-demand, which scales and is paid by use."
  type        = number
  default     = 1

  validation {
    condition     = var.shard_count == null ? true : var.shard_count >= 1 && floor(var.shard_count) == var.shard_count
    error_message = "A provisioned stream has a whole number of shards, 1 or more; null is on-demand."
  }
}

variable "retention_hours" {
  description = "Hours for which a record can be read: how long a consumer may be broken without losing any."
  type        = number
  default     = 24

  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 8760 && floor(var.retention_hours) == var.retention_hours
    error_message = "Kinesis keeps records for 24 to 8760 whole hours, a day to a year."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the records at rest; null is the key that AWS keeps for Kinesis in this account, which other accounts can't be let in to."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "shard_level_metrics" {
  description = "CloudWatch metrics to keep for each shard as well as for the stream; each is paid for."
  type        = set(string)
  default     = []

  validation {
    condition = length(setsubtract(var.shard_level_metrics, [
      "IncomingBytes", "IncomingRecords", "OutgoingBytes", "OutgoingRecords",
      "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded", "IteratorAgeMilliseconds",
    ])) == 0
    error_message = "A metric is one of Kinesis' shard-level metrics, such as IteratorAgeMilliseconds; each is named, not ALL."
  }
}

variable "tags" {
  description = "Tags of the stream, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
