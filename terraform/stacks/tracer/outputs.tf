output "functions" {
  description = "The functions that this stack runs: what Slipway verifies and rolls out."
  value = {
    # Anybody may call the URL, so requests to it are not signed.
    tracer = merge(module.tracer.function, { url = local.api_url })
  }
}

output "api_url" {
  description = "Address of the API, with its closing slash."
  value       = local.api_url
}

output "traces_table_name" {
  description = "Name of the traces' table."
  value       = module.traces.name
}

output "traces_table_arn" {
  description = "ARN of the traces' table."
  value       = module.traces.arn
}

output "spans_table_name" {
  description = "Name of the spans' table."
  value       = module.spans.name
}

output "spans_table_arn" {
  description = "ARN of the spans' table."
  value       = module.spans.arn
}

output "lambda_function_name" {
  description = "Name of the Lambda function."
  value       = module.tracer.function.function_name
}

output "lambda_function_arn" {
  description = "ARN of the Lambda function, without version or alias."
  value       = trimsuffix(module.tracer.alias_arn, ":${module.tracer.function.alias}")
}

output "tracer_alias_arn" {
  description = "ARN of the alias that serves."
  value       = module.tracer.alias_arn
}

output "tracer_log_group_name" {
  description = "Log group that the function writes to."
  value       = module.tracer.log_group_name
}

output "api_keys_secret_arn" {
  description = "ARN of the secret with the API keys."
  value       = module.api_keys.arn
}

output "alerts_topic_arn" {
  description = "Topic that alarms and budget notify; null without one."
  value       = module.monitoring.topic_arn
}

output "configuration" {
  description = "What clients and tests need, as the lines of an .env file. The key is left to the reader: it is a secret."
  value       = <<-ENV
    # The API, and one of the keys in ${module.api_keys.name}.
    TRACER_URL=${local.api_url}
    API_KEY=
    # Where tests delete what they made.
    TRACES_TABLE=${module.traces.name}
    SPANS_TABLE=${module.spans.name}
    AWS_REGION=${var.environment.region}
  ENV
}
