variable "function" {
  type = object({ function_name = string, alias = string, version = string })
}

data "aws_lambda_alias" "live" {
  function_name = var.function.function_name
  name          = var.function.alias
}

data "aws_lambda_function" "newest" {
  function_name = var.function.function_name
  qualifier     = var.function.version
}

data "aws_lambda_function" "serving" {
  function_name = var.function.function_name
  qualifier     = data.aws_lambda_alias.live.function_version
}

data "aws_iam_role" "this" {
  name = reverse(split("/", data.aws_lambda_function.newest.role))[0]
}

data "aws_cloudwatch_log_group" "this" {
  name = "/aws/lambda/${var.function.function_name}"
}

output "alias" {
  value = data.aws_lambda_alias.live
}

output "newest" {
  value = data.aws_lambda_function.newest
}

output "serving" {
  value = data.aws_lambda_function.serving
}

output "role" {
  value = data.aws_iam_role.this
}

output "log_group" {
  value = data.aws_cloudwatch_log_group.this
}
