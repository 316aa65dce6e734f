output "plan_role_arns" {
  description = "ARN of the role that plans and reads, by environment."
  value       = { for environment in keys(var.environments) : environment => aws_iam_role.this["${environment}/plan"].arn }
}

output "apply_role_arns" {
  description = "ARN of the role that applies and rolls out, by environment: `role` in environment.toml."
  value       = { for environment in keys(var.environments) : environment => aws_iam_role.this["${environment}/apply"].arn }
}

output "read_role_arns" {
  description = "ARN of the role that reads, by environment that somebody reads: `read_role` in environment.toml."
  value       = { for environment, role in aws_iam_role.read : environment => role.arn }
}

output "boundary_arns" {
  description = "ARN of the boundary that every role made by a deployment must have, by environment: `permissions_boundary_arn` of lambda-function and monitoring."
  value       = { for environment in keys(var.environments) : environment => aws_iam_policy.boundary[environment].arn }
}

output "github_provider_arn" {
  description = "ARN of the account's OIDC provider of GitHub; null where GitHub is not trusted."
  value       = var.github_repository == null ? null : local.github_provider_arn
}

output "policies" {
  description = "Every policy as JSON, by <environment>/<plan or apply>/<group> and <environment>/read/reading."
  value = merge(
    local.made_policies,
    { for environment, policy in local.reader_policies : "${environment}/read/reading" => jsonencode(policy) },
  )
}

output "trust_policies" {
  description = "Who may assume each role, as JSON, by <environment>/<plan, apply or read>."
  value = merge(
    { for key, policy in local.trust_policies : key => jsonencode(policy) },
    { for environment, policy in local.reader_trusts : "${environment}/read" => jsonencode(policy) },
  )
}

output "boundaries" {
  description = "Every boundary as JSON, by environment."
  value       = { for environment, policy in local.boundaries : environment => jsonencode(policy) }
}

output "ci_boundaries" {
  description = "The boundary of the roles that plan and apply as JSON, by environment."
  value       = { for environment, policy in local.ci_boundaries : environment => jsonencode(policy) }
}

output "trusted_github_environments" {
  description = "By environment: the GitHub environments whose jobs its roles trust, and the branch that these must be of (\"\": any). Who gets into them on GitHub may deploy."
  value = { for environment, settings in var.environments : environment => {
    repository    = var.github_repository
    repository_id = var.github_repository_id
    branch        = local.bound_branches[environment]
    names         = distinct(concat(settings.github_environment[*], settings.protected ? local.plan_environments[environment] : []))
  } if var.github_repository != null }
}
