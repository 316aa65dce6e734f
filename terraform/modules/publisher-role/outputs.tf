output "role_arn" {
  description = "ARN of the role that publishes and signs."
  value       = aws_iam_role.this.arn
}

output "github_provider_arn" {
  description = "ARN of the account's OIDC provider of GitHub; null where a Jenkins job publishes."
  value       = var.github_environment == null ? null : local.github_provider_arn
}

output "policy" {
  description = "What the role may do as JSON, which is its boundary too."
  value       = jsonencode(local.policy)
}

output "trust_policy" {
  description = "Who may assume the role, as JSON."
  value       = jsonencode(local.trust_policy)
}

output "trusted_github_environment" {
  description = "The GitHub environment whose jobs the role trusts; null where a Jenkins job publishes."
  value       = var.github_environment == null ? null : { repository = var.github_repository, repository_id = var.github_repository_id, branch = var.github_branch, names = [var.github_environment] }
}
