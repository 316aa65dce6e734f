output "name" {
  description = "Name of the repository."
  value       = aws_ecr_repository.this.name
}

output "arn" {
  description = "ARN of the repository."
  value       = aws_ecr_repository.this.arn
}

output "url" {
  description = "Host and name of the repository, <account id>.dkr.ecr.<region>.amazonaws.com/<name>: the part before @sha256:…"
  value       = aws_ecr_repository.this.repository_url
}

output "policy" {
  description = "Policy of the repository as JSON."
  value       = aws_ecr_repository_policy.this.policy
}
