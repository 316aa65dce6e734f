variable "name" {
  description = "Name of the role."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "The name takes 1 to 64 letters, digits and the characters +=,.@_-: IAM's limit."
  }
}

variable "path" {
  description = "Path of the role, with a slash at both ends."
  type        = string
  default     = "/"

  validation {
    condition     = can(regex("^/([a-zA-Z0-9+=,.@_-]+/)*$", var.path))
    error_message = "A path begins and ends with a slash."
  }
}

variable "description" {
  description = "What the role is for; null names the functions."
  type        = string
  default     = null
}

variable "function_names" {
  description = "Functions that run as the role: it may write to their log groups, /aws/lambda/<name>, and to no other. The names are written out: the functions themselves are made later."
  type        = set(string)

  validation {
    condition     = length(var.function_names) > 0 && alltrue([for name in var.function_names : can(regex("^[a-zA-Z0-9_-]{1,64}$", name))])
    error_message = "At least one function, by its name: 1 to 64 letters, digits, hyphens and underscores."
  }
}

variable "policies" {
  description = "What the role may do besides writing its logs: a list of statements for each policy, by the policy's name."
  type = map(list(object({
    sid        = optional(string)
    effect     = optional(string, "Allow")
    actions    = list(string)
    resources  = list(string)
    conditions = optional(map(map(list(string))))
  })))
  default = {}

  validation {
    condition     = alltrue([for name, statements in var.policies : name != "logs" && can(regex("^[a-zA-Z0-9+=,.@_-]{1,128}$", name)) && length(statements) > 0])
    error_message = "A policy has at least one statement and a name of its own; `logs` is the module's."
  }

  validation {
    condition     = alltrue(flatten([for statements in var.policies : [for statement in statements : contains(["Allow", "Deny"], statement.effect) && length(statement.actions) > 0 && length(statement.resources) > 0]]))
    error_message = "A statement allows or denies (Allow, Deny) at least one action on at least one resource."
  }

  validation {
    condition     = alltrue(flatten([for statements in var.policies : [for statement in statements : statement.effect == "Deny" ? true : !contains(statement.actions, "*")]]))
    error_message = "A statement names the actions it allows: \"*\" is every action of every service."
  }
}

variable "managed_policy_arns" {
  description = "Policies that are attached as they are, by a name of one's choice; such as AWSLambdaVPCAccessExecutionRole for a function in a VPC."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for arn in values(var.managed_policy_arns) : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", arn))])
    error_message = "A policy is named by its ARN, arn:…:iam::<account id or aws>:policy/<name>."
  }

  validation {
    condition     = alltrue([for arn in values(var.managed_policy_arns) : !can(regex(":policy/AdministratorAccess$", arn))])
    error_message = "A function that may do everything is refused: name what it does in `policies`."
  }
}

variable "permissions_boundary_arn" {
  description = "Policy that bounds what the role may ever do, whatever else is attached to it; null sets no bounds."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null ? true : can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/", var.permissions_boundary_arn))
    error_message = "A boundary is named by its policy's ARN, arn:…:iam::<account id>:policy/<name>."
  }
}

variable "tags" {
  description = "Tags of the role, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
