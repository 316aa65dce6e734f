output "bucket" {
  description = "Name of the bucket: `store.bucket` in pipelines/project.toml."
  value       = module.bucket.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = module.bucket.arn
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts the artifacts."
  value       = module.bucket.kms_key_arn
}

output "exact_policy" {
  description = "Policy that the bucket has on AWS as JSON."
  value       = module.bucket.exact_policy
}

output "exact_key_policy" {
  description = "Policy that the key has on AWS as JSON; null where the key is given."
  value       = module.bucket.exact_key_policy
}
