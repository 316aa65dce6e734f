output "arn" {
  description = "ARN of the key: what the other modules take as `kms_key_arn`."
  value       = aws_kms_key.this.arn
}

output "key_id" {
  description = "Id of the key."
  value       = aws_kms_key.this.key_id
}

output "alias" {
  description = "Name of the alias, alias/<name>."
  value       = aws_kms_alias.this.name
}

output "policy" {
  description = "Policy of the key as JSON."
  value       = aws_kms_key.this.policy
}
