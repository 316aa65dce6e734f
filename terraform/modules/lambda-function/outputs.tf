output "function" {
  description = "What Slipway reads: the function, its alias, and the newest published version with its code's digest as Lambda reports it."
  value = {
    function_name = aws_lambda_function.this.function_name
    alias         = aws_lambda_alias.live.name
    version       = aws_lambda_function.this.version
    code_sha256   = aws_lambda_function.this.code_sha256
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
  value       = aws_iam_role.this.arn
}

output "role_name" {
  description = "Name of the role that the function runs as."
  value       = aws_iam_role.this.name
}

output "log_group_name" {
  description = "Name of the log group that the function writes to."
  value       = aws_cloudwatch_log_group.this.name
}
