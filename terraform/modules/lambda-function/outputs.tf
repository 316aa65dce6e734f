output "function" {
  description = "What Slipway reads: the function, its alias, and the newest published version with its code's digest as Lambda reports it; where the function has event sources, these too, by key, each with its id and whether a rollout is to open it."
  value = {
    for key, value in {
      function_name = aws_lambda_function.this.function_name
      alias         = aws_lambda_alias.live.name
      version       = aws_lambda_function.this.version
      code_sha256   = aws_lambda_function.this.code_sha256
      event_sources = [for source in sort(keys(var.event_sources)) : {
        uuid    = aws_lambda_event_source_mapping.this[source].uuid
        enabled = var.event_sources[source].enabled
      }]
    } : key => value if key != "event_sources" || length(var.event_sources) > 0
  }
}

output "alias_arn" {
  description = "ARN of the alias `live`: what triggers, permissions and URLs bind."
  value       = aws_lambda_alias.live.arn
}

output "invoke_arn" {
  description = "ARN by which API Gateway invokes the alias `live`."
  value       = aws_lambda_alias.live.invoke_arn
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
