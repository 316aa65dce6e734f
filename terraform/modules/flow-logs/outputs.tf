output "flow_log_id" {
  description = "Id of the flow log."
  value       = aws_flow_log.this.id
}

output "log_group_name" {
  description = "Name of the log group that holds the records."
  value       = aws_cloudwatch_log_group.this.name
}

output "log_group_arn" {
  description = "ARN of the log group that holds the records."
  value       = aws_cloudwatch_log_group.this.arn
}

output "role_arn" {
  description = "ARN of the role by which the records are written."
  value       = aws_iam_role.this.arn
}

output "permissions_boundary_arn" {
  description = "ARN of the policy that bounds the role; null without one."
  value       = aws_iam_role.this.permissions_boundary
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts the records."
  value       = local.kms_key_arn
}
