output "name" {
  description = "Name of the budget; null without one."
  value       = one(aws_budgets_budget.this[*].name)
}

output "arn" {
  description = "ARN of the budget; null without one."
  value       = one(aws_budgets_budget.this[*].arn)
}
