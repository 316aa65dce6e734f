variable "project" {
  description = "Name of the project: the first part of every name, and the tag `Project` of all that its stacks make."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,19}$", var.project))
    error_message = "The project takes 1 to 20 lower-case letters, digits and hyphens and begins with a letter: it is a part of names that AWS limits to 64."
  }
}

variable "environments" {
  description = "The environments of this account, by name: the state's bucket, its prefix and lock table, whether the environment is protected, whether the planning role may read the values of secrets (which it must where Terraform writes them), the roles of functions that the account's administrator makes, the GitHub environments whose jobs may apply and plan (null: none), the branch that these jobs must be of and the branches whose jobs outside of any environment may, which Jenkins may plan and apply, the reading roles of the environments that it promotes from, who may read it (the roles of CI that promote from it, and those of people), whether the role that applies may make roles or only pass those that the administrator made, the buckets, tables and streams that suites of deployed functions use, by what comes after the environment's prefix, groups of services that no stack uses (`without`), people's roles that may plan and apply, and statements for the planning and the applying role and for the boundary of functions' roles besides those of this module."
  type = map(object({
    state_bucket            = optional(string) # <project>-<account id>-<environment>-state
    state_prefix            = optional(string, "")
    lock_table              = optional(string)
    protected               = optional(bool, false)
    plan_reads_secrets      = optional(bool, false)
    function_roles          = optional(set(string), [])
    github_environment      = optional(string)
    github_plan_environment = optional(string) # protected: <github_environment>-plan
    github_branch           = optional(string) # protected: main; "" is any
    github_branches         = optional(list(string), [])
    reads                   = optional(set(string), [])
    read_by                 = optional(set(string), [])
    reader_role_arns        = optional(set(string), [])
    make_roles              = optional(bool, true)
    suites = optional(object({
      buckets = optional(set(string), [])
      tables  = optional(set(string), [])
      streams = optional(set(string), [])
    }))
    without = optional(set(string), [])
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

  validation {
    condition     = length(var.environments) > 0 && alltrue([for name in keys(var.environments) : can(regex("^[a-z][a-z0-9-]{0,15}$", name))])
    error_message = "At least one environment; its name takes 1 to 16 lower-case letters, digits and hyphens and begins with a letter."
  }

  validation {
    condition     = !contains(keys(var.environments), "bootstrap")
    error_message = "No environment is called bootstrap: the account's own state is in <project>-<account id>-bootstrap-tfstate, a name that would be the environment's."
  }

  validation {
    condition     = alltrue(flatten([for name in keys(var.environments) : [for other in keys(var.environments) : !startswith(other, "${name}-")]]))
    error_message = "No environment's name begins with another's and a hyphen (dev, dev-eu) in one account: who may change what begins with the shorter name could change all of the longer one's."
  }

  validation {
    condition = alltrue([for environment in var.environments :
    environment.github_branch == null || environment.github_branch == "" || can(regex("^[A-Za-z0-9._/-]+$", environment.github_branch))])
    error_message = "The branch of an environment's jobs is named, without a pattern; \"\" is any."
  }

  validation {
    condition     = alltrue([for environment in var.environments : environment.github_plan_environment == null || can(regex("^[A-Za-z0-9._-]+$", environment.github_plan_environment))])
    error_message = "The GitHub environment of plans is named, without a pattern."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [for subject in environment.jenkins.plan_subjects :
    !strcontains(subject, "*") && !strcontains(subject, "?")] if environment.protected]))
    error_message = "A Jenkins job that may plan a protected environment is named in full, without a pattern."
  }

  validation {
    condition     = alltrue([for environment in var.environments : can(regex("^([A-Za-z0-9._-]+/)*$", environment.state_prefix))])
    error_message = "The prefix of the state's keys is a name with a slash at its end, or nothing."
  }

  validation {
    condition     = alltrue(flatten([for environment in var.environments : [for branch in environment.github_branches : can(regex("^[A-Za-z0-9._/-]+$", branch))]]))
    error_message = "A branch that may apply is named, without a pattern: whoever may push a branch that matches could apply."
  }

  validation {
    condition     = alltrue([for environment in var.environments : environment.github_environment == null || can(regex("^[A-Za-z0-9._-]+$", environment.github_environment))])
    error_message = "The GitHub environment is named, without a pattern."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for arn in concat(environment.jenkins.plan_role_arns, environment.jenkins.apply_role_arns) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))
    ]]))
    error_message = "Jenkins is the ARN of one role: neither an account nor a pattern."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for arn in setunion(environment.reads, environment.read_by, environment.reader_role_arns) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))
    ]]))
    error_message = "Who reads is the ARN of one role: neither an account nor a pattern."
  }

  validation {
    condition = alltrue([for environment in var.environments :
    environment.jenkins.external_id != null || length(environment.jenkins.plan_role_arns) + length(environment.jenkins.apply_role_arns) == 0])
    error_message = "A Jenkins role names an external_id when it assumes the role: without one whoever else uses that Jenkins could have it do so."
  }

  validation {
    condition     = alltrue(flatten([for environment in var.environments : [for subject in environment.jenkins.apply_subjects : !strcontains(subject, "*")]]))
    error_message = "A Jenkins job that may apply is named in full, without a pattern."
  }

  validation {
    condition = var.jenkins_issuer != null || alltrue([for environment in var.environments :
    length(environment.jenkins.plan_subjects) + length(environment.jenkins.apply_subjects) == 0])
    error_message = "Subjects are those of an issuer's tokens: give jenkins_issuer."
  }

  validation {
    condition     = var.github_repository != null || alltrue([for environment in var.environments : environment.github_environment == null && length(environment.github_branches) == 0])
    error_message = "GitHub environments and branches are a repository's: give github_repository."
  }

  validation {
    condition = alltrue([for environment in var.environments : anytrue([
      environment.github_environment != null,
      length(environment.github_branches) + length(environment.jenkins.apply_role_arns) + length(environment.jenkins.apply_subjects) + length(environment.people.apply_role_arns) > 0,
    ])])
    error_message = "Somebody must be able to apply: a GitHub environment or branch, a Jenkins role or subject, or people."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for arn in concat(environment.people.plan_role_arns, environment.people.apply_role_arns) : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]*[A-Za-z0-9+=,.@_-]{4,}[A-Za-z0-9+=,.@_*/-]*$", arn)) && !can(regex("\\*.*[*/]", arn))
    ]]))
    error_message = "People are roles by their ARN; a pattern ends in one `*`, after a name: …:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Deployer_*."
  }

  validation {
    condition     = alltrue([for environment in var.environments : !(environment.protected && environment.suites != null)])
    error_message = "Suites write and delete an environment's data: no protected environment gives them the right to."
  }

  validation {
    condition = alltrue(flatten([for name, environment in var.environments : [for suites in environment.suites[*] : [
      for resource in setunion(suites.buckets, suites.tables, suites.streams) : can(regex("^[a-z0-9][a-z0-9.-]*$", resource)) && resource != "state" && !endswith(coalesce(environment.state_bucket, "-"), "-${resource}") && !endswith(coalesce(environment.lock_table, "-"), "-${resource}")
    ]]]))
    error_message = "Suites use buckets, tables and streams of the stacks, by what comes after <project>-<account id>-<environment>-: neither patterns nor the state's bucket or lock table."
  }

  validation {
    condition     = alltrue(flatten([for environment in var.environments : [for name in environment.without : contains(["budgets", "chat", "cloudformation", "event_rules", "http_apis", "network", "queues", "secrets", "streams", "tables", "topics"], name)]]))
    error_message = "`without` names groups of services: budgets, chat, cloudformation, event_rules, http_apis, network, queues, secrets, streams, tables, topics."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for statement in concat(environment.extra_statements.plan, environment.extra_statements.apply, environment.extra_statements.boundary) : [
        for action in statement.actions : can(regex("^[a-z0-9-]+:[A-Za-z*]+$", action)) && !can(regex("^(iam|sts|organizations|account):", action)) && !endswith(action, ":*")
      ]
    ]]))
    error_message = "An extra statement names actions of services, such as states:StartExecution: no service as a whole, and nothing of iam, sts, organizations and account, which this module alone gives."
  }

  validation {
    condition = alltrue(flatten([for environment in var.environments : [
      for statement in concat(environment.extra_statements.plan, environment.extra_statements.apply, environment.extra_statements.boundary) : length(statement.actions) > 0 && length(statement.resources) > 0
    ]]))
    error_message = "An extra statement names at least one action and one resource."
  }
}

variable "github_repository" {
  description = "The repository on GitHub, owner/name, any of whose jobs may plan what is not protected; null trusts none."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "The repository is owner/name, without a pattern."
  }
}

variable "github_repository_id" {
  description = "The repository's number on GitHub, which no other one ever gets: an owner who takes over a name that was given up is not trusted. Null trusts the name alone."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository_id == null || (can(regex("^[0-9]+$", var.github_repository_id)) && var.github_repository != null)
    error_message = "The repository's number has digits only, and belongs to github_repository."
  }
}

variable "make_github_provider" {
  description = "Make the account's OIDC provider of GitHub. Off where it stands already: an account has one for all its projects."
  type        = bool
  default     = true
}

variable "github_provider_arn" {
  description = "The account's OIDC provider of GitHub, with make_github_provider off."
  type        = string
  default     = null

  validation {
    condition     = var.github_repository == null || (var.github_provider_arn == null) == var.make_github_provider
    error_message = "The OIDC provider is either made here (make_github_provider) or given (github_provider_arn): exactly one of them."
  }
}

variable "jenkins_issuer" {
  description = "OIDC issuer of a Jenkins that signs tokens for its jobs: the ARN of the account's provider, the issuer's host and path as in that ARN, and the audience its tokens are for; null trusts none."
  type = object({
    provider_arn = string
    issuer       = string
    audience     = string
  })
  default = null

  validation {
    condition     = var.jenkins_issuer == null || try(endswith(var.jenkins_issuer.provider_arn, ":oidc-provider/${var.jenkins_issuer.issuer}"), false)
    error_message = "The issuer is the end of its provider's ARN, without https://."
  }
}

variable "artifact_store" {
  description = "The project's artifact store, which deployments read: its bucket, the key that encrypts it, and the registries of its images."
  type = object({
    bucket          = string
    kms_key_arn     = optional(string)
    repository_arns = optional(list(string), [])
    signing_alias   = optional(string) # alias/<project>-release
  })

  validation {
    condition     = var.artifact_store.signing_alias == null || can(regex("^alias/[A-Za-z0-9/_-]+$", var.artifact_store.signing_alias))
    error_message = "The key that signs releases is named by its alias, alias/…"
  }

  validation {
    condition     = var.artifact_store.kms_key_arn == null || can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.artifact_store.kms_key_arn))
    error_message = "The store's key is named by its ARN, not by an alias: a policy that allows an alias allows nothing."
  }

  validation {
    condition     = alltrue([for arn in var.artifact_store.repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", arn))])
    error_message = "A registry is the ARN of an ECR repository, or of several by a pattern such as …:repository/shop/*."
  }
}

variable "session_seconds" {
  description = "Longest session of a role, in seconds."
  type        = number
  default     = 3600

  validation {
    condition     = var.session_seconds >= 3600 && var.session_seconds <= 43200
    error_message = "A session lasts 3600 to 43200 seconds: IAM's limit."
  }
}

variable "tags" {
  description = "Tags of roles, policies and provider, besides the provider's default tags."
  type        = map(string)
  default     = {}
}
