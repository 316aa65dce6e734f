variable "name" {
  description = "Name of the table, <project>-<account id>-<environment>-<resource>, or of one that exists already."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{3,255}$", var.name))
    error_message = "The name takes 3 to 255 letters, digits, underscores, hyphens and dots: DynamoDB's limit."
  }
}

variable "hash_key" {
  description = "Attribute that an item's partition is found by."
  type        = string
}

variable "range_key" {
  description = "Attribute that the items of a partition are sorted by; null: the hash key alone names an item."
  type        = string
  default     = null
}

variable "attributes" {
  description = "Types of the attributes that are keys of the table or of an index: S (string), N (number) or B (bytes). No others: DynamoDB has no schema for them."
  type        = map(string)

  validation {
    condition     = alltrue([for type in var.attributes : contains(["S", "N", "B"], type)])
    error_message = "An attribute's type is S, N or B."
  }

  validation {
    condition     = toset(keys(var.attributes)) == local.key_attributes
    error_message = "The attributes are exactly those that the table and its indexes use as keys: DynamoDB refuses any other, and needs the type of each of these."
  }
}

variable "global_secondary_indexes" {
  description = "Indexes by name: their keys, what they copy (ALL, KEYS_ONLY, or INCLUDE with `non_key_attributes`), and their capacity where the table's is provisioned."
  type = map(object({
    hash_key           = string
    range_key          = optional(string)
    projection         = optional(string, "ALL")
    non_key_attributes = optional(list(string))
    read_capacity      = optional(number)
    write_capacity     = optional(number)
  }))
  default = {}

  validation {
    condition     = alltrue([for index in var.global_secondary_indexes : contains(["ALL", "KEYS_ONLY", "INCLUDE"], index.projection)])
    error_message = "An index projects ALL, KEYS_ONLY or INCLUDE."
  }

  validation {
    condition     = alltrue([for index in var.global_secondary_indexes : (index.projection == "INCLUDE") == (index.non_key_attributes != null)])
    error_message = "The projection INCLUDE, and no other, takes `non_key_attributes`."
  }

  validation {
    condition     = alltrue([for index in var.global_secondary_indexes : var.provisioned != null || (index.read_capacity == null && index.write_capacity == null)])
    error_message = "An index of an on-demand table takes no capacity of its own."
  }
}

variable "provisioned" {
  description = "Read and write capacity, paid by the hour whether used or not; null is on demand, paid by the request."
  type        = object({ read_capacity = number, write_capacity = number })
  default     = null

  validation {
    condition     = var.provisioned == null || try(var.provisioned.read_capacity >= 1 && var.provisioned.write_capacity >= 1, false)
    error_message = "A provisioned table has a capacity of at least 1 for reading and for writing."
  }
}

variable "on_demand_limits" {
  description = "Most read and write request units a second that an on-demand table, and each of its indexes, takes: what comes above is throttled and not billed. DynamoDB keeps to them as a target and not to the unit; -1 leaves one of them to the account's quota. Null sets no limits."
  type = object({
    read_request_units  = optional(number, -1)
    write_request_units = optional(number, -1)
  })
  default = null

  validation {
    condition     = var.on_demand_limits == null || var.provisioned == null
    error_message = "A provisioned table has a capacity and no on-demand limits."
  }

  validation {
    condition     = var.on_demand_limits == null ? true : alltrue([for units in values(var.on_demand_limits) : units == -1 || (units >= 1 && floor(units) == units)])
    error_message = "A limit is a whole number of request units a second, 1 or more; -1 is no limit."
  }
}

variable "stream_view_type" {
  description = "What the table's stream holds of each change, for a function to read: KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES; null makes no stream. Changing it makes a new stream, of another ARN."
  type        = string
  default     = null

  validation {
    condition     = var.stream_view_type == null ? true : contains(["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"], var.stream_view_type)
    error_message = "A stream holds KEYS_ONLY, NEW_IMAGE, OLD_IMAGE or NEW_AND_OLD_IMAGES."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the table; null takes DynamoDB's own key of the account, aws/dynamodb."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "point_in_time_recovery" {
  description = "Keep every state of the last 35 days restorable. Paid by the size of the table."
  type        = bool
  default     = true
}

variable "ttl_attribute" {
  description = "Attribute with the time, in seconds since 1970, after which DynamoDB deletes an item; null keeps all items."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Let DynamoDB itself refuse to delete the table until this is off again."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the table, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
