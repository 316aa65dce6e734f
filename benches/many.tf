# The stack of benches/many.py: nothing but functions and aliases, with one role for all of them.
terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
  backend "s3" {}
}

variable "environment" {
  type = any
}

variable "releases" {
  type = any
}

provider "aws" {
  region      = var.environment.region
  max_retries = var.environment.max_retries
}

resource "aws_iam_role" "all" {
  name = "many"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "lambda.amazonaws.com" } }]
  })
}

resource "aws_lambda_function" "all" {
  for_each         = var.releases
  function_name    = "many-${each.key}"
  role             = aws_iam_role.all.arn
  runtime          = each.value.runtime
  handler          = each.value.handler
  architectures    = [each.value.architecture]
  s3_bucket        = each.value.code.s3.bucket
  s3_key           = each.value.code.s3.key
  source_code_hash = each.value.code.sha256
  publish          = true
}

resource "aws_lambda_alias" "live" {
  for_each         = aws_lambda_function.all
  name             = "live"
  function_name    = each.value.function_name
  function_version = each.value.version

  lifecycle {
    ignore_changes = [function_version, routing_config]
  }
}

output "functions" {
  value = { for name, function in aws_lambda_function.all : name => {
    function_name = function.function_name
    alias         = aws_lambda_alias.live[name].name
    version       = function.version
    code_sha256   = function.code_sha256
  } }
}
