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
