variable "name" {
  description = "Full name of the API, <project>-<account id>-<environment>-<api>; its log group takes it too."
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,88}$", var.name))
    error_message = "The name takes 1 to 88 letters, digits, hyphens and underscores: what the name of a permission leaves."
  }
}

variable "function" {
  description = "The function and the alias that serves: the output `function` of lambda-function, or another object."
  type = object({
    function_name = string
    alias         = string
  })

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]{1,64}$", var.function.function_name))
    error_message = "The function is named by its full name, not its ARN: 1 to 64 letters, digits, hyphens and underscores."
  }

  validation {
    condition     = can(regex("^[a-zA-Z0-9_-]+$", var.function.alias)) && !can(regex("^[0-9]+$", var.function.alias))
    error_message = "The API calls an alias, such as `live`: neither $LATEST nor the number of a version."
  }
}

variable "invoke_arn" {
  description = "ARN by which API Gateway invokes the alias: the output `invoke_arn` of lambda-function."
  type        = string

  validation {
    condition     = endswith(var.invoke_arn, ":${var.function.function_name}:${var.function.alias}/invocations")
    error_message = "The invoke_arn must end in :<function>:<alias>/invocations: it calls the alias that `function` names."
  }
}

variable "routes" {
  description = "What the API answers: `$default` for everything, or \"<METHOD> /<path>\" for each route. Each wants a signed request, unless `route_authorizers` says a token."
  type        = set(string)
  default     = ["$default"]

  validation {
    condition     = length(var.routes) > 0
    error_message = "An API has at least one route."
  }

  validation {
    condition     = alltrue([for route in var.routes : can(regex("^(\\$default|(ANY|DELETE|GET|HEAD|OPTIONS|PATCH|POST|PUT) /\\S*)$", route))])
    error_message = "A route is $default or a method and a path, such as \"GET /objects/{key}\"."
  }
}

variable "jwt_authorizers" {
  description = "Issuers whose tokens are accepted, by a short name: the issuer's URL, as the claim `iss` has it, and the audiences, one of which the token's `aud` or `client_id` must be. `route_authorizers` says on which routes."
  type        = map(object({ issuer = string, audiences = set(string) }))
  default     = {}

  validation {
    condition     = alltrue([for authorizer in var.jwt_authorizers : startswith(authorizer.issuer, "https://") && length(authorizer.audiences) > 0])
    error_message = "An issuer is a URL that begins with https://, and a token is for at least one audience: without one every token of the issuer would be accepted."
  }
}

variable "route_authorizers" {
  description = "Routes that want a token in the header Authorization instead of a signed request: the name of the authorizer, and scopes of which the token must have one. Every other route wants a signed request: no route is open to everybody."
  type        = map(object({ authorizer = string, scopes = optional(set(string)) }))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.route_authorizers), var.routes)) == 0
    error_message = "`route_authorizers` names a route that `routes` does not have."
  }

  validation {
    condition     = alltrue([for route in var.route_authorizers : contains(keys(var.jwt_authorizers), route.authorizer)])
    error_message = "`route_authorizers` names an authorizer that `jwt_authorizers` does not have."
  }
}

variable "cors" {
  description = "Pages that may call the API from a browser; null: none. The API then answers preflight requests itself, before any authorization."
  type = object({
    allow_origins     = set(string)
    allow_methods     = optional(set(string), ["GET"])
    allow_headers     = optional(set(string), ["authorization", "content-type"])
    expose_headers    = optional(set(string), [])
    max_age_seconds   = optional(number, 300)
    allow_credentials = optional(bool, false)
  })
  default = null

  validation {
    condition     = var.cors == null ? true : length(var.cors.allow_origins) > 0 && alltrue([for origin in var.cors.allow_origins : origin == "*" || can(regex("^https?://[^/]+$", origin))])
    error_message = "An origin is scheme and host without a path, such as https://shop.example, or * for every page."
  }

  validation {
    condition     = var.cors == null ? true : !(var.cors.allow_credentials && contains(var.cors.allow_origins, "*"))
    error_message = "Every page (*) and allow_credentials together would let any page call with the visitor's cookies: name the origins."
  }
}

variable "domain" {
  description = "A domain of yours for the API: its name, a certificate of ACM in this region, and the path below which the API is (null: all of it). An alias record in DNS to the output `domain_target` is yours to make."
  type        = object({ name = string, certificate_arn = string, path = optional(string) })
  default     = null

  validation {
    condition     = var.domain == null ? true : can(regex("^([a-z0-9-]+\\.)+[a-z]{2,}$", var.domain.name)) && can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.domain.certificate_arn))
    error_message = "A domain is a name such as api.shop.example, with the ARN of a certificate: arn:…:acm:<region>:<account id>:certificate/<id>."
  }
}

variable "keep_own_address" {
  description = "Let an API with a domain answer under its own address, too. Off, that address answers 404 and all callers come by the domain."
  type        = bool
  default     = false
}

variable "route_throttling" {
  description = "Requests a second and at once that single routes let through, instead of throttling_rate and throttling_burst."
  type        = map(object({ rate = number, burst = number }))
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.route_throttling), var.routes)) == 0
    error_message = "`route_throttling` names a route that `routes` does not have."
  }

  validation {
    condition     = alltrue([for limit in var.route_throttling : limit.rate > 0 && limit.burst >= 1 && floor(limit.burst) == limit.burst])
    error_message = "A route lets through more than 0 requests a second, and a whole number at once, 1 or more."
  }
}

variable "timeout_milliseconds" {
  description = "How long the API waits for the function; longer than the function's own time limit only wastes the wait."
  type        = number
  default     = 30000

  validation {
    condition     = var.timeout_milliseconds >= 50 && var.timeout_milliseconds <= 30000
    error_message = "An HTTP API waits for 50 to 30000 milliseconds."
  }
}

variable "throttling_rate" {
  description = "Requests a second that each route lets through in the long run; more are answered 429."
  type        = number
  default     = 50

  validation {
    condition     = var.throttling_rate > 0
    error_message = "The rate is above 0: with 0 the API answers 429 to everything."
  }
}

variable "throttling_burst" {
  description = "Requests that each route lets through at once."
  type        = number
  default     = 100

  validation {
    condition     = var.throttling_burst >= 1 && floor(var.throttling_burst) == var.throttling_burst
    error_message = "The burst is a whole number of requests, 1 or more."
  }
}

variable "detailed_metrics" {
  description = "Keep CloudWatch metrics for each route as well as for the API; each is paid for."
  type        = bool
  default     = false
}

variable "log_retention_days" {
  description = "Days that the access logs are kept; one of the numbers that CloudWatch Logs allows. Who called what is asked long after."
  type        = number
  default     = 365

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch Logs keeps events for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653 days."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the access logs; null leaves it to CloudWatch Logs' own key. A given key must itself let logs.<region>.<the partition's domain> use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>: a log group takes no alias."
  }
}

variable "tags" {
  description = "Tags of the API, its stage and its log group, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
