variable "function" {
  type = object({ function_name = string, alias = string })
}

data "aws_lambda_function_url" "this" {
  function_name = var.function.function_name
  qualifier     = var.function.alias
}

output "url" {
  value = data.aws_lambda_function_url.this
}
