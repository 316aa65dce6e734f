variable "name" {
  description = "Name of the budget, <project>-<account id>-<environment>-<resource>."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,100}$", var.name))
    error_message = "The name takes 1 to 100 letters, digits, hyphens and underscores."
  }
}

variable "enabled" {
  description = "Make the budget. Off where nobody pays: an emulator has no budgets."
  type        = bool
  default     = true
}

variable "limit" {
  description = "What a period may cost, in `currency`."
  type        = number

  validation {
    condition     = var.limit > 0
    error_message = "A budget is more than nothing."
  }
}

variable "currency" {
  description = "Currency of the limit: the one that the account is billed in."
  type        = string
  default     = "USD"

  validation {
    condition     = can(regex("^[A-Z]{3}$", var.currency))
    error_message = "A currency is three capitals: USD, EUR, CNY."
  }
}

variable "period" {
  description = "MONTHLY, QUARTERLY or ANNUALLY. (AWS forecasts no DAILY budget.)"
  type        = string
  default     = "MONTHLY"

  validation {
    condition     = contains(["MONTHLY", "QUARTERLY", "ANNUALLY"], var.period)
    error_message = "The period is MONTHLY, QUARTERLY or ANNUALLY."
  }
}

variable "cost_tags" {
  description = "Tags by which the cost is distinguished from the rest of the account's, {Project, Environment}; each must be activated once as a cost allocation tag. Empty budgets the whole account."
  type        = map(string)

  validation {
    condition     = alltrue([for value in values(var.cost_tags) : value != ""])
    error_message = "A tag that is filtered by has a value."
  }
}

variable "actual_percents" {
  description = "Shares of the limit, in percent, at which a notification of what was spent is sent."
  type        = set(number)
  default     = [80, 100]

  validation {
    condition     = alltrue([for percent in var.actual_percents : percent > 0 && percent <= 1000])
    error_message = "A share of the limit is more than 0 and at most 1000 percent."
  }
}

variable "forecast_percents" {
  description = "Shares of the limit, in percent, at which what will have been spent by the end of the period is notified. AWS needs some weeks of use to forecast."
  type        = set(number)
  default     = [100]

  validation {
    condition     = alltrue([for percent in var.forecast_percents : percent > 0 && percent <= 1000])
    error_message = "A share of the limit is more than 0 and at most 1000 percent."
  }

  validation {
    condition     = length(var.actual_percents) + length(var.forecast_percents) >= 1 && length(var.actual_percents) + length(var.forecast_percents) <= 10
    error_message = "A budget tells at one share at least and at ten at most: AWS's limit."
  }
}

variable "email_addresses" {
  description = "Who is notified by e-mail."
  type        = set(string)
  default     = []

  validation {
    condition     = length(var.email_addresses) <= 10 && alltrue([for address in var.email_addresses : can(regex("^[^@ ]+@[^@ ]+$", address))])
    error_message = "At most ten e-mail addresses, AWS's limit, each with one @."
  }
}

variable "topic_arns" {
  description = "The SNS topic that is notified, one at most. Its policy must admit budgets.amazonaws.com: `publisher_services` of monitoring."
  type        = list(string)
  default     = []

  validation {
    condition     = length(var.topic_arns) <= 1
    error_message = "A budget tells one topic at most: AWS's limit."
  }

  validation {
    condition     = !var.enabled || length(var.topic_arns) + length(var.email_addresses) > 0
    error_message = "A budget that tells nobody is of no use: email_addresses or topic_arns."
  }
}

variable "tags" {
  description = "Tags of the budget, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
