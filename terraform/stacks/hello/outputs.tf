output "functions" {
  description = "The functions that this stack runs: what Slipway verifies and rolls out."
  value = {
    hello = module.hello.function
  }
}

output "hello_alias_arn" {
  description = "ARN of the alias that serves."
  value       = module.hello.alias_arn
}

output "hello_log_group_name" {
  description = "Log group that the function writes to."
  value       = module.hello.log_group_name
}
