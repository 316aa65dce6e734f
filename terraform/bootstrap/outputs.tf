output "state" {
  description = "By environment: bucket and lock table of its states, `[state]` in environment.toml."
  value       = { for name, state in module.state : name => { bucket = state.bucket, lock_table = state.lock_table } }
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

output "boundaries" {
  description = "By environment: ARN of the boundary that every role of a stack must have, `permissions_boundary_arn`."
  value       = length(module.ci_roles) == 0 ? {} : module.ci_roles[0].boundary_arns
}

output "function_roles" {
  description = "By <environment>/<role>: what a stack takes as `function_role_arn`."
  value       = { for key, role in aws_iam_role.function : key => role.arn }
}

output "policies" {
  description = "What the deployment roles may do, as JSON: permissions by <environment>/<plan or apply>/<group>, who may assume them by <environment>/<plan or apply>, boundaries by environment."
  value = length(module.ci_roles) == 0 ? null : {
    permissions = module.ci_roles[0].policies
    trust       = module.ci_roles[0].trust_policies
    boundaries  = module.ci_roles[0].boundaries
  }
}
