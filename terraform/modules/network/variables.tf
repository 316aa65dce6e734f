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
  description = "Letters of the three availability zones, after the region's name. With one NAT gateway the first holds it."
  type        = list(string)
  default     = ["a", "b", "c"]

  validation {
    condition     = length(var.zones) == 3 && length(distinct(var.zones)) == 3 && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "The network spans three different zones, each given by its letter."
  }
}

variable "nat_gateways" {
  description = "How the private subnets reach the internet: `one` gateway for all zones, `one_per_zone`, or `none`."
  type        = string
  default     = "one"

  validation {
    condition     = contains(["none", "one", "one_per_zone"], var.nat_gateways)
    error_message = "The NAT gateways are none, one or one_per_zone."
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
