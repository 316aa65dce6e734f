variable "project" {
  description = "Name of the project: the first part of the role's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.project))
    error_message = "The project takes 1 to 20 lower-case letters, digits and hyphens and begins with a letter."
  }
}

variable "bucket" {
  description = "Bucket of the project's artifact store."
  type        = string
}

variable "prefix" {
  description = "What each key of the store begins with: nothing, or a name with a slash at its end."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^([A-Za-z0-9._-]+/)*$", var.prefix))
    error_message = "The prefix is a name with a slash at its end, or nothing."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the store."
  type        = string

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "repository_arns" {
  description = "Repositories of the project's images: ARNs, or one for several by a pattern such as …:repository/shop/*."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", arn))])
    error_message = "A registry is the ARN of an ECR repository, or of several by a pattern such as …:repository/shop/*."
  }
}

variable "signing_key_arn" {
  description = "Key that signs releases; null where a file signs them, which needs no permission."
  type        = string
  default     = null

  validation {
    condition     = var.signing_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.signing_key_arn))
    error_message = "The key is named by its full ARN, arn:…:kms:<region>:<account id>:key/<id>, not by an alias: a policy that names an alias permits nothing."
  }
}

variable "github_repository" {
  description = "The repository on GitHub, owner/name."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "The repository is owner/name, without a pattern."
  }
}

variable "github_repository_id" {
  description = "The repository's number on GitHub, which no other one ever gets; null trusts the name alone."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || can(regex("^[0-9]+$", var.github_repository_id))
    error_message = "The repository's number has digits only."
  }
}

variable "github_environment" {
  description = "The GitHub environment whose jobs publish, such as release; null where a Jenkins job does."
  type        = string
  default     = null

  validation {
    condition     = var.github_environment == null || (can(regex("^[A-Za-z0-9._-]+$", var.github_environment)) && var.github_repository != null)
    error_message = "The GitHub environment is named, without a pattern, and is a repository's: give github_repository."
  }

  validation {
    condition     = (var.github_environment == null) != (var.jenkins == null)
    error_message = "One identity publishes: the jobs of a GitHub environment, or one Jenkins job."
  }
}

variable "github_branch" {
  description = "The branch that these jobs must be of. \"\" is any that the environment's rules let in, for a partition of AWS whose STS does not know the claim."
  type        = string
  default     = "main"

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]*$", var.github_branch))
    error_message = "The branch is named, without a pattern."
  }
}

variable "jenkins" {
  description = "The Jenkins job that publishes: the ARN of the account's OIDC provider, the issuer's host and path as in that ARN, the audience of its tokens, and the subject of the job's, in full."
  type = object({
    provider_arn = string
    issuer       = string
    audience     = string
    subject      = string
  })
  default = null

  validation {
    condition     = var.jenkins == null || try(endswith(var.jenkins.provider_arn, ":oidc-provider/${var.jenkins.issuer}"), false)
    error_message = "The issuer is the end of its provider's ARN, without https://."
  }

  validation {
    condition     = var.jenkins == null || try(var.jenkins.subject != "" && !can(regex("[*?]", var.jenkins.subject)), false)
    error_message = "The Jenkins job that publishes is named in full, without a pattern."
  }
}

variable "make_github_provider" {
  description = "Make the account's OIDC provider of GitHub. Off where it stands already: an account has one."
  type        = bool
  default     = true
}

variable "github_provider_arn" {
  description = "The account's OIDC provider of GitHub, with make_github_provider off."
  type        = string
  default     = null
}

variable "session_seconds" {
  description = "Longest session of the role, in seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200
    error_message = "A session lasts 3600 to 43200 seconds: IAM's limit."
  }
}

variable "tags" {
  description = "Tags of role, policy and provider, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
