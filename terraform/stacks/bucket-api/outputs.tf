output "functions" {
  description = "The functions that this stack runs: what Slipway verifies and rolls out. The one that serves has the API's address."
  value = { for name, function in module.function : name => merge(
    function.function,
    name == local.served ? { url = module.api.url, url_signed_for = "execute-api" } : {},
  ) }
}

output "api_url" {
  description = "Where the API answers requests that are signed for execute-api, without a closing slash."
  value       = module.api.url
}

output "api_id" {
  description = "Id of the API: the dimension ApiId of its metrics."
  value       = module.api.api_id
}

output "api_execution_arn" {
  description = "ARN of the API as permissions name it."
  value       = module.api.execution_arn
}

output "invoke_statements" {
  description = "What a caller must be allowed, as statements of any policy."
  value       = module.api.invoke_statements
}

output "invoke_policy_arn" {
  description = "ARN of the policy that lets its bearer call the API."
  value       = aws_iam_policy.invoke.arn
}

output "bucket_name" {
  description = "Name of the bucket that is listed."
  value       = module.bucket.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = module.bucket.arn
}

output "bucket_key_arn" {
  description = "ARN of the key that encrypts the objects: who puts or reads them needs it."
  value       = module.bucket_key.arn
}

output "function_alias_arns" {
  description = "ARN of each function's alias that serves, by the function's name."
  value       = { for name, function in module.function : name => function.alias_arn }
}

output "function_log_group_names" {
  description = "Log group of each function, by the function's name."
  value       = { for name, function in module.function : name => function.log_group_name }
}

output "access_log_group_name" {
  description = "Log group of the API's access logs."
  value       = module.api.log_group_name
}

output "alerts_topic_arn" {
  description = "Topic that the alarms notify; null without one."
  value       = module.monitoring.topic_arn
}

output "alarm_names" {
  description = "Names of all alarms."
  value       = module.monitoring.alarm_names
}

output "dashboard_name" {
  description = "Name of the dashboard; null without one."
  value       = module.monitoring.dashboard_name
}
