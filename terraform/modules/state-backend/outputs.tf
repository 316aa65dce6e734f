output "bucket" {
  description = "Name of the bucket of states, ledger and saved plans: `state.bucket` in environment.toml."
  value       = module.bucket.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = module.bucket.arn
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts bucket and table."
  value       = module.bucket.kms_key_arn
}

output "policy" {
  description = "Policy of the bucket as JSON; null where it needs none."
  value       = module.bucket.policy
}

output "lock_table" {
  description = "Name of the lock table: `state.lock_table` in environment.toml; null without one."
  value       = one(aws_dynamodb_table.locks[*].name)
}

output "lock_table_arn" {
  description = "ARN of the lock table; null without one."
  value       = one(aws_dynamodb_table.locks[*].arn)
}

output "exact_policy" {
  description = "Policy that the bucket has on AWS as JSON, also where an emulator gets less."
  value       = module.bucket.exact_policy
}

output "exact_key_policy" {
  description = "Policy that the key has on AWS as JSON; null where the key is given."
  value       = module.bucket.exact_key_policy
}
