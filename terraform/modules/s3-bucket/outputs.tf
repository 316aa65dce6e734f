output "bucket" {
  description = "Name of the bucket."
  value       = aws_s3_bucket.this.bucket
}

output "arn" {
  description = "ARN of the bucket."
  value       = aws_s3_bucket.this.arn
}

output "policy" {
  description = "Policy of the bucket as JSON; null where it needs none."
  value       = one(aws_s3_bucket_policy.this[*].policy)
}
