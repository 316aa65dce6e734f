output "arn" {
  description = "ARN of the secret: what a function is given, and what its policy names."
  value       = aws_secretsmanager_secret.this.arn
}

output "name" {
  description = "Name of the secret."
  value       = aws_secretsmanager_secret.this.name
}
