variable "name" {
  description = "Full name of the network, <project>-<account id>-<environment>-<network>; what it is made of is named after it."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.-]{1,128}$", var.name))
    error_message = "The name takes 1 to 128 letters, digits, underscores, dots and hyphens."
  }
}

variable "cidr" {
  description = "IPv4 range of the network. Networks that may be joined one day must not overlap."
  type        = string
  default     = "10.0.0.0/16"

  validation {
    condition     = can(regex("/(16|17|18|19|20)$", var.cidr)) && try("${cidrhost(var.cidr, 0)}/${split("/", var.cidr)[1]}" == var.cidr, false)
    error_message = "The range is an IPv4 block of /16 to /20 that begins at its own first address, such as 10.0.0.0/16: a smaller one leaves the public subnets too small."
  }
}

variable "zones" {
  description = "Letters of the availability zones, after the region's name: one to six. With one NAT gateway the first holds it. A zone that is added at the end leaves the others' subnets as they are."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(var.zones) >= 1 && length(var.zones) <= 6 && length(distinct(var.zones)) == length(var.zones) && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "The network spans one to six different zones, each given by its letter."
  }
}

variable "nat_gateways" {
  description = "How the private subnets reach the internet by IPv4: `one` gateway for all zones, about 42 dollars a month with its address; `one_per_zone`, that many times as much (three zones: about 125); or `none`, nothing. Traffic is extra: eu-central-1, 2026."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "one_per_zone"], var.nat_gateways)
    error_message = "The NAT gateways are none, one or one_per_zone."
  }
}

variable "check_quotas" {
  description = "Warn in each plan where the account has too few Elastic IP addresses left for the NAT gateways. The role that plans needs servicequotas:GetServiceQuota; an emulator may not have it."
  type        = bool
  default     = false
}

variable "ipv6" {
  description = "Give the network IPv6 as well: a range of Amazon's, addresses in the private subnets, and a way out that nobody can come in by. Free; a function uses it where it is made for both (`ipv6_allowed_for_dual_stack`)."
  type        = bool
  default     = false
}

variable "interface_endpoints" {
  description = "Services of AWS that the private subnets reach without a NAT gateway, by the end of their endpoint's name: secretsmanager, kms, kinesis-streams, sqs, logs, sts. Each costs about 8.80 dollars a month and zone (eu-central-1, 2026). S3 and DynamoDB always have a free one."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for service in var.interface_endpoints : can(regex("^[a-z][a-z0-9.-]+$", service)) && !startswith(service, "com.")])
    error_message = "An endpoint is given by the end of its service's name, such as secretsmanager or ecr.api, without com.amazonaws.<region>."
  }

  validation {
    condition     = length(setintersection(var.interface_endpoints, ["s3", "dynamodb"])) == 0
    error_message = "S3 and DynamoDB have gateway endpoints here, which are free."
  }
}

variable "dynamodb_account_ids" {
  description = "Other accounts whose tables may be reached from the private subnets. This account's always may."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.dynamodb_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "An account id has twelve digits."
  }
}

variable "s3_account_ids" {
  description = "Other accounts whose buckets may be reached from the private subnets: the artifact store's, say. This account's always may."
  type        = set(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.s3_account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "An account id has twelve digits."
  }
}

variable "tags" {
  description = "Tags of everything in the network, besides the provider's default tags. `Name` is the module's own."
  type        = map(string)
  default     = {}
}
