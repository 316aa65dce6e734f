# Written by Slipway from environment.toml and project.toml.

variable "account" {
  description = "The account and region to prepare, and the project whose it is."
  type = object({
    id      = string
    region  = string
    project = string
    # Attempts for one AWS call; null is the provider's 25. The provider reads it from no
    # environment variable, and an emulator answers 500 for what it lacks, again and again.
    max_retries = optional(number)
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account.id))
    error_message = "The account id has twelve digits."
  }
}

variable "environments" {
  description = "The environments that live in this account, by name: bucket and lock table of their states."
  type = map(object({
    state_bucket = string
    lock_table   = optional(string)
  }))
  default = {}
}

variable "store" {
  description = "The project's artifact store, wherever it is: bucket, the key that encrypts it, and the ARNs of its images' repositories. Null where the project has none yet."
  type = object({
    bucket          = string
    kms_key_arn     = optional(string)
    repository_arns = optional(list(string), [])
  })
  default = null
}

variable "artifact_store" {
  description = "What this account makes of the store; null where the store is elsewhere: its bucket, who reads it, a repository for each name, and the alias of the key that signs releases (null: none)."
  type = object({
    bucket             = string
    reader_account_ids = set(string)
    repositories       = set(string)
    signing_alias      = optional(string)
  })
  default = null
}

# Written by hand into <account id>.tfvars.

variable "ci" {
  description = "Who may deploy, by environment: what ci-roles takes of them. An environment that is not named gets no roles."
  type = map(object({
    plan_reads_secrets = optional(bool, false)
    github_environment = optional(string)
    github_branches    = optional(list(string), [])
    jenkins = optional(object({
      plan_role_arns  = optional(list(string), [])
      apply_role_arns = optional(list(string), [])
      external_id     = optional(string)
      plan_subjects   = optional(list(string), [])
      apply_subjects  = optional(list(string), [])
    }), {})
  }))
  default = {}

  validation {
    condition     = alltrue([for name in keys(var.ci) : contains(keys(var.environments), name)])
    error_message = "`ci` names an environment that does not live in this account."
  }

  validation {
    condition     = length(var.ci) == 0 || var.store != null
    error_message = "CI roles read the artifact store: pipelines/project.toml needs [store] first."
  }
}

variable "github_repository" {
  description = "The repository on GitHub, owner/name; null trusts none."
  type        = string
  default     = null
}

variable "make_github_provider" {
  description = "Make the account's OIDC provider of GitHub. Off where it stands already, for another project."
  type        = bool
  default     = true
}

variable "github_provider_arn" {
  description = "The account's OIDC provider of GitHub, with make_github_provider off."
  type        = string
  default     = null
}

variable "jenkins_issuer" {
  description = "OIDC issuer of a Jenkins that signs tokens for its jobs; null trusts none."
  type = object({
    provider_arn = string
    issuer       = string
    audience     = string
  })
  default = null
}

variable "function_roles" {
  description = "Roles that stacks take from outside (`function_role_arn`), by environment: names of those that function-roles.tf describes."
  type        = map(set(string))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.function_roles) : contains(keys(var.environments), name)])
    error_message = "`function_roles` names an environment that does not live in this account."
  }

  validation {
    condition     = alltrue([for roles in var.function_roles : alltrue([for role in roles : role == "tracer"])])
    error_message = "`function_roles` names a role that function-roles.tf does not describe."
  }
}

variable "plan_days" {
  description = "Days after which saved plans are deleted."
  type        = number
  default     = 14
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the bucket policies, whose conditions it ignores, and the lifecycle rules, which take it a minute."
  type        = bool
  default     = false
}
