output "functions" {
  description = "The functions that this stack runs: what Slipway verifies and rolls out."
  value = {
    invoice = module.invoice.function
  }
}

output "invoice_alias_arn" {
  description = "ARN of the alias that serves."
  value       = module.invoice.alias_arn
}

output "invoice_log_group_name" {
  description = "Log group that the function writes to."
  value       = module.invoice.log_group_name
}
