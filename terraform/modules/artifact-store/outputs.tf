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
