variable "name" {
  type = string
}

data "aws_cloudwatch_log_group" "this" {
  name = "/aws/vpc-flow-logs/${var.name}"
}

data "aws_kms_key" "this" {
  key_id = "alias/${var.name}"
}

data "aws_iam_role" "this" {
  name = var.name
}

output "log_group" {
  value = data.aws_cloudwatch_log_group.this
}

output "key" {
  value = data.aws_kms_key.this
}

output "role" {
  value = data.aws_iam_role.this
}
