output "state" {
  description = "By environment: bucket and lock table of its states, `[state]` in environment.toml."
  value       = { for name, state in module.state : name => { bucket = state.bucket, lock_table = state.lock_table } }
}

# The same under the names that other repositories read: one value for each environment, by its name.

output "account_id" {
  description = "Id of the account."
  value       = var.account.id
}

output "name_prefix" {
  description = "Beginning of every name in the account: <project>-<account id>."
  value       = local.name_prefix
}

output "s3_bucket_name" {
  description = "Bucket of the states, by environment: `state[<environment>].bucket`."
  value       = { for name, state in module.state : name => state.bucket }
}

output "dynamodb_table_name" {
  description = "Lock table of the states, by environment that has one: `state[<environment>].lock_table`."
  value       = { for name, state in module.state : name => state.lock_table if var.environments[name].lock_table != null }
}

output "lambda_role_arn" {
  description = "Roles that functions run as and stacks take from outside: `function_roles`, by <environment>/<role>."
  value       = { for key, role in aws_iam_role.function : key => role.arn }
}

output "guardduty_detector_id" {
  description = "Id of GuardDuty's detector; null where this account's is made elsewhere."
  value       = one(aws_guardduty_detector.this[*].id)
}

output "store" {
  description = "The artifact store, where this account holds it: `[store]` in pipelines/project.toml."
  value = var.artifact_store == null ? null : {
    bucket        = module.artifact_store[0].bucket
    kms_key       = module.artifact_store[0].kms_key_arn
    repositories  = { for name, repository in module.repositories : name => repository.url }
    signing_alias = one(aws_kms_alias.signing[*].name)
  }
}

output "signing_public_key" {
  description = "Public half of the key that signs releases, as PEM: a file that `trusted_keys` of environment.toml names."
  value       = one(data.aws_kms_public_key.signing[*].public_key_pem)
}

output "deployment_roles" {
  description = "By environment: the role that applies and rolls out, `role` in environment.toml."
  value       = length(module.ci_roles) == 0 ? {} : module.ci_roles[0].apply_role_arns
}

output "plan_roles" {
  description = "By environment: the role that plans and reads."
  value       = length(module.ci_roles) == 0 ? {} : module.ci_roles[0].plan_role_arns
}

output "read_roles" {
  description = "By environment that somebody reads: the role that reads, `read_role` in environment.toml."
  value       = length(module.ci_roles) == 0 ? {} : module.ci_roles[0].read_role_arns
}

output "boundaries" {
  description = "By environment: ARN of the boundary that every role of a stack must have, `permissions_boundary_arn`."
  value       = length(module.ci_roles) == 0 ? {} : module.ci_roles[0].boundary_arns
}

output "function_roles" {
  description = "By <environment>/<role>: what a stack takes as `function_role_arn`."
  value       = { for key, role in aws_iam_role.function : key => role.arn }
}

output "publisher_role" {
  description = "The role that publishes and signs, `role` of [store] in pipelines/project.toml; null where this account makes none."
  value       = one(module.publisher[*].role_arn)
}

output "trusted_github_environments" {
  description = "The GitHub environments whose jobs the roles trust, by environment and `publisher`: repository, branch that the jobs must be of (\"\": any) and names. What these names are worth is said by their rules on GitHub."
  value = merge(
    length(module.ci_roles) == 0 ? {} : module.ci_roles[0].trusted_github_environments,
    { for publisher in module.publisher[*].trusted_github_environment : "publisher" => publisher if publisher != null },
  )
}

output "policies" {
  description = "What the roles of CI may do, as JSON: permissions by <environment>/<plan or apply>/<group> and `publisher`, who may assume them, their boundaries and those of the roles that a deployment makes, and what buckets and keys refuse and allow by themselves on AWS."
  value = length(module.ci_roles) + length(module.publisher) == 0 ? null : {
    permissions = merge(try(module.ci_roles[0].policies, {}), { for policy in module.publisher[*].policy : "publisher" => policy })
    trust       = merge(try(module.ci_roles[0].trust_policies, {}), { for policy in module.publisher[*].trust_policy : "publisher" => policy })
    boundaries = merge(
      try(module.ci_roles[0].boundaries, {}),
      { for environment, policy in try(module.ci_roles[0].ci_boundaries, {}) : "${environment}/ci" => policy },
    )
    buckets = merge(
      { for environment, state in module.state : "${environment}/state" => state.exact_policy },
      { for store in module.artifact_store : "store" => store.exact_policy },
    )
    keys = merge(
      { for environment, state in module.state : "${environment}/state" => state.exact_key_policy },
      { for store in module.artifact_store : "store" => store.exact_key_policy },
      { for key in aws_kms_key.signing : "release" => jsonencode(local.signing_policy) },
    )
  }
}
