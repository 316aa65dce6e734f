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
  description = "The environments that live in this account, by name: bucket, prefix of keys and lock table of their states, whether they are protected, the roles with which it reads the environments that it promotes from, and those of CI that promote from it."
  type = map(object({
    state_bucket = string
    state_prefix = optional(string, "")
    lock_table   = optional(string)
    protected    = optional(bool, false)
    reads        = optional(set(string), [])
    read_by      = optional(set(string), [])
  }))
  default = {}

  validation {
    condition     = !contains(keys(var.environments), "bootstrap")
    error_message = "No environment is called bootstrap: the account's own state is in <project>-<account id>-bootstrap-tfstate, a name that would be the environment's."
  }

  validation {
    condition     = alltrue(flatten([for name in keys(var.environments) : [for other in keys(var.environments) : !startswith(other, "${name}-")]]))
    error_message = "No environment's name begins with another's and a hyphen (dev, dev-eu) in one account: who may change what begins with the shorter name could change all of the longer one's."
  }
}

variable "store" {
  description = "The project's artifact store, wherever it is: bucket, the key that encrypts it, and the ARNs of its images' repositories. Null where the project has none yet."
  type = object({
    bucket          = string
    kms_key_arn     = optional(string)
    repository_arns = optional(list(string), [])
    signing_alias   = optional(string)
  })
  default = null
}

variable "artifact_store" {
  description = "What this account makes of the store; null where the store is elsewhere: its bucket and the prefix of its keys, who reads it, a repository for each name, and the alias of the key that signs releases (null: none), or the ARN of one that exists."
  type = object({
    bucket             = string
    prefix             = optional(string, "")
    reader_account_ids = set(string)
    repositories       = set(string)
    signing_alias      = optional(string)
    signing_key_arn    = optional(string)
  })
  default = null
}

# Written by hand into <account id>.tfvars.

variable "ci" {
  description = "Who may deploy, by environment: what ci-roles takes of them. An environment that is not named gets no roles."
  type = map(object({
    plan_reads_secrets      = optional(bool, false)
    github_environment      = optional(string)
    github_plan_environment = optional(string)
    github_branch           = optional(string)
    github_branches         = optional(list(string), [])
    reader_role_arns        = optional(set(string), [])
    make_roles              = optional(bool, true)
    without                 = optional(set(string), [])
    suites = optional(object({
      buckets = optional(set(string), [])
      tables  = optional(set(string), [])
      streams = optional(set(string), [])
    }))
    people = optional(object({
      plan_role_arns  = optional(list(string), [])
      apply_role_arns = optional(list(string), [])
    }), {})
    extra_statements = optional(object({
      plan = optional(list(object({
        actions    = list(string)
        resources  = list(string)
        conditions = optional(map(map(list(string))))
      })), [])
      apply = optional(list(object({
        actions    = list(string)
        resources  = list(string)
        conditions = optional(map(map(list(string))))
      })), [])
      boundary = optional(list(object({
        actions    = list(string)
        resources  = list(string)
        conditions = optional(map(map(list(string))))
      })), [])
    }), {})
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

  # A copy of this repository that forgets to change it would trust the jobs of somebody else's repository.
  validation {
    condition     = var.emulated || lower(coalesce(var.github_repository, "none")) != "slipway/slipway"
    error_message = "slipway/slipway is Slipway's own address on GitHub: its jobs could deploy here. Set github_repository in <account id>.tfvars to your repository, or leave it out."
  }
}

variable "github_repository_id" {
  description = "The repository's number on GitHub, which no other one ever gets; null trusts the name alone."
  type        = string
  default     = null
}

variable "publisher" {
  description = "Who publishes and signs releases, where this account has the store: the jobs of a GitHub environment on one branch, or one Jenkins job of jenkins_issuer by its subject. Null: nobody, and nobody signs with the key that is made here."
  type = object({
    github_environment = optional(string)
    github_branch      = optional(string, "main")
    jenkins_subject    = optional(string)
  })
  default = null

  validation {
    condition     = var.publisher == null || var.artifact_store != null
    error_message = "The publisher is made in the store's account, which is another one."
  }

  validation {
    condition     = var.publisher == null || try((var.publisher.github_environment == null) != (var.publisher.jenkins_subject == null), false)
    error_message = "One identity publishes: `github_environment`, or `jenkins_subject`."
  }

  validation {
    condition     = try(var.publisher.jenkins_subject, null) == null || var.jenkins_issuer != null
    error_message = "A subject is that of an issuer's token: give jenkins_issuer."
  }

  validation {
    condition     = try(var.publisher.github_environment, null) == null || alltrue([for ci in var.ci : ci.github_environment != try(var.publisher.github_environment, null)])
    error_message = "The publisher has a GitHub environment of its own: who may deploy to an environment could sign otherwise."
  }
}

variable "break_glass_role_arns" {
  description = "Roles that may delete from the ledger and the store: nobody else may, this account's administrators included."
  type        = set(string)
  default     = []
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
  description = "Roles that stacks take from outside (`function_role_arn`), by environment: names of those that function-roles.tf or function_role_statements describe."
  type        = map(set(string))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.function_roles) : contains(keys(var.environments), name)])
    error_message = "`function_roles` names an environment that does not live in this account."
  }

  validation {
    condition     = alltrue([for name in keys(var.function_roles) : contains(keys(var.ci), name)])
    error_message = "`function_roles` names an environment that `ci` does not: the boundary of its roles is made with those that deploy."
  }

  validation {
    condition     = alltrue([for roles in var.function_roles : alltrue([for role in roles : contains(keys(local.described_roles), role)])])
    error_message = "`function_roles` names a role that neither function-roles.tf nor function_role_statements describes."
  }

  validation {
    condition     = alltrue(flatten([for environment, roles in var.function_roles : [for role in roles : length("${local.name_prefix}-${environment}-${role}") <= 64]]))
    error_message = "A role's name, <project>-<account id>-<environment>-<role>, has more than the 64 characters that IAM takes."
  }
}

variable "function_role_statements" {
  description = "What each role of function_roles may do beside writing its log, by the role's name: actions, and resources in which {region}, {account} and {prefix} (<project>-<account id>-<environment>-) are filled in, such as arn:aws:dynamodb:{region}:{account}:table/{prefix}orders. The environment's boundary is the limit."
  type = map(list(object({
    sid       = string
    actions   = list(string)
    resources = list(string)
  })))
  default = {}

  validation {
    condition     = alltrue(flatten([for statements in var.function_role_statements : [for statement in statements : can(regex("^[A-Za-z0-9]+$", statement.sid)) && length(statement.actions) > 0 && length(statement.resources) > 0]]))
    error_message = "A statement has a sid of letters and digits, and at least one action and one resource."
  }

  validation {
    condition     = alltrue(flatten([for statements in var.function_role_statements : [for statement in statements : [for resource in statement.resources : resource != "*" && (strcontains(resource, "{prefix}") || strcontains(resource, ":key/"))]]]))
    error_message = "A resource is the environment's own: it holds {prefix}, or is a key."
  }
}

variable "guardduty" {
  description = "Make GuardDuty's detector of this account and region, with S3 protection: one for all of its environments and stacks. Off where an organization or somebody else has made it: an account has one for each region. Paid by what it reads."
  type        = bool
  default     = false
}

variable "plan_days" {
  description = "Days after which saved plans are deleted."
  type        = number
  default     = 14
}

variable "emulated" {
  description = "The account is an emulator's: leaves out what the policies of buckets and keys refuse, whose conditions it ignores, and the lifecycle rules, which take it a minute. A real account refuses it."
  type        = bool
  default     = false
}
