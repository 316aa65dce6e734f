output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts the objects."
  value       = local.kms_key_arn
}

output "policy" {
  description = "Policy of the bucket as JSON; null where it needs none."
  value       = one(aws_s3_bucket_policy.this[*].policy)
}
