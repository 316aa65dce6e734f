variable "api_id" {
  type = string
}

variable "log_group_name" {
  type = string
}

data "aws_apigatewayv2_api" "this" {
  api_id = var.api_id
}

data "aws_cloudwatch_log_group" "access" {
  name = var.log_group_name
}

output "api" {
  value = data.aws_apigatewayv2_api.this
}

output "log_group" {
  value = data.aws_cloudwatch_log_group.access
}
