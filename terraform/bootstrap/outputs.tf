output "state_bucket" {
  description = "Bucket of states, ledger and saved plans: `state.bucket` in the environment's environment.toml."
  value       = module.state.bucket
}

output "state_kms_key_arn" {
  description = "Key that encrypts the state bucket."
  value       = module.state.kms_key_arn
}

output "artifact_bucket" {
  description = "Bucket of the artifact store, where this account holds it: `store.bucket` in pipelines/project.toml."
  value       = one(module.artifact_store[*].bucket)
}

output "artifact_kms_key_arn" {
  description = "Key that encrypts the artifact store, where this account holds it."
  value       = one(module.artifact_store[*].kms_key_arn)
}
