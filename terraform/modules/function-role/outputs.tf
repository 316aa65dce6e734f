output "arn" {
  description = "ARN of the role; known once its policies are attached."
  value       = aws_iam_role.this.arn

  # Lambda tries the role when it makes the function.
  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.this]
}

output "name" {
  description = "Name of the role, for further policies."
  value       = aws_iam_role.this.name
}

output "unique_id" {
  description = "The role's id, which no later role of the same name has."
  value       = aws_iam_role.this.unique_id
}
