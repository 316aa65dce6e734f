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

output "exact_policy" {
  description = "Policy that the bucket has on AWS as JSON, also where an emulator gets less."
  value       = jsonencode({ Version = "2012-10-17", Statement = local.all_statements })
}

output "exact_key_policy" {
  description = "Policy that the key has on AWS as JSON, also where an emulator gets less; null where the key is given."
  value       = local.make_key ? jsonencode(local.key_policy) : null
}
