variable "function" {
  description = "The function and the alias that serves: the output `function` of lambda-function, or another object."
  type = object({
    function_name = string
    alias         = string
  })

  validation {
    condition     = can(regex("^[a-zA-Z][a-zA-Z0-9_-]{0,63}$", var.function.function_name))
    error_message = "The function is named by its full name, not its ARN: a letter, then up to 63 letters, digits, hyphens and underscores. The stack that holds its permission takes the name too."
  }

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]+$", var.function.alias)) && !can(regex("^[0-9]+$", var.function.alias))
    error_message = "The URL binds an alias, such as `live`: neither $LATEST nor the number of a version."
  }
}

variable "authorization" {
  description = "AWS_IAM: callers sign their requests, and IAM decides. NONE: everyone may call, and the function itself must check who does."
  type        = string
  default     = "AWS_IAM"

  validation {
    condition     = contains(["AWS_IAM", "NONE"], var.authorization)
    error_message = "The authorization is AWS_IAM or NONE."
  }
}

variable "invokers" {
  description = "With AWS_IAM, who is let in by the function's own policy: ARNs of roles or users, or account ids, each under a name that becomes part of its statement's. Callers of this account need no entry where their own policies allow it."
  type        = map(string)
  default     = {}

  validation {
    condition     = alltrue([for key, principal in var.invokers : can(regex("^[a-zA-Z0-9]{1,64}$", key))])
    error_message = "The name of an invoker takes letters and digits only: CloudFormation's limit."
  }

  validation {
    condition     = alltrue([for principal in values(var.invokers) : can(regex("^([0-9]{12}|arn:[a-z-]+:(iam|sts)::[0-9]{12}:.+)$", principal))])
    error_message = "An invoker is an account id or the ARN of a role, a user or an account: \"*\" would be everyone with an account anywhere."
  }

  validation {
    condition     = var.authorization == "AWS_IAM" || length(var.invokers) == 0
    error_message = "With the authorization NONE everyone may call: invokers mean nothing."
  }
}

variable "cors" {
  description = "Which pages of other origins a browser lets call the URL; null answers no preflight."
  type = object({
    allow_origins     = set(string)
    allow_methods     = optional(set(string), ["GET", "POST"])
    allow_headers     = optional(set(string), ["content-type"])
    expose_headers    = optional(set(string), [])
    allow_credentials = optional(bool, false)
    max_age           = optional(number, 300)
  })
  default = null

  validation {
    condition     = var.cors == null ? true : length(setsubtract(var.cors.allow_methods, ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "*"])) == 0
    error_message = "A method is GET, HEAD, POST, PUT, PATCH, DELETE or *. Lambda answers OPTIONS itself."
  }

  validation {
    condition     = var.cors == null ? true : !(var.cors.allow_credentials && contains(var.cors.allow_origins, "*"))
    error_message = "With credentials the origins are named: browsers refuse \"*\"."
  }

  validation {
    condition     = var.cors == null ? true : var.cors.max_age >= 0 && var.cors.max_age <= 86400
    error_message = "A browser may remember the answer for 0 to 86400 seconds."
  }
}

variable "stream_responses" {
  description = "Send the response as the function writes it (RESPONSE_STREAM) rather than when it is whole."
  type        = bool
  default     = false
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the CloudFormation stack that holds the permission lambda:InvokeFunction, which it neither asks for nor makes. A real account, where the URL would answer 403 without it, refuses it."
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of the stack that holds the permission, besides the provider's default tags. A URL and a permission take none."
  type        = map(string)
  default     = {}
}
