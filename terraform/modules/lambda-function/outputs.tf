output "function" {
  description = "What Slipway reads: the function, its alias, and the newest published version with its code's digest as Lambda reports it; where the function has event sources, these too, by key, each with its id and whether a rollout is to open it."
  value = {
    for key, value in {
      function_name = aws_lambda_function.this.function_name
      alias         = local.alias.name
      version       = aws_lambda_function.this.version
      code_sha256   = aws_lambda_function.this.code_sha256
      event_sources = [for source in sort(keys(var.event_sources)) : {
        uuid    = local.mappings[source].uuid
        enabled = var.event_sources[source].enabled
      }]
    } : key => value if key != "event_sources" || length(var.event_sources) > 0
  }
}

output "alias_arn" {
  description = "ARN of the alias `live`: what triggers, permissions and URLs bind."
  value       = local.alias.arn
}

output "invoke_arn" {
  description = "ARN by which API Gateway invokes the alias `live`."
  value       = local.alias.invoke_arn
}

output "role_arn" {
  description = "ARN of the role that the function runs as."
  value       = local.role_arn
}

output "role_name" {
  description = "Name of the role that the function runs as."
  value       = local.make_role ? one(aws_iam_role.this[*].name) : reverse(split("/", local.role_arn))[0]
}

output "log_group_name" {
  description = "Name of the log group that the function writes to."
  value       = aws_cloudwatch_log_group.this.name
}

output "log_group_arn" {
  description = "ARN of the log group that the function writes to, without `:*`."
  value       = aws_cloudwatch_log_group.this.arn
}

output "function_name" {
  description = "Name of the function."
  value       = aws_lambda_function.this.function_name
}

output "function_arn" {
  description = "ARN of the function, without a version: for permissions to manage it. Callers take `alias_arn`."
  value       = aws_lambda_function.this.arn
}

output "qualified_arn" {
  description = "ARN of the newest published version, which no later one changes."
  value       = aws_lambda_function.this.qualified_arn
}

output "version" {
  description = "Number of the newest published version."
  value       = aws_lambda_function.this.version
}
