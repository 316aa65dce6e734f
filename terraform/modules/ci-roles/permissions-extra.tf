# What a project's own stacks do besides, and what the suites of deployed functions do with an environment's data.
locals {
  suite_permissions = { for environment, prefix in local.prefixes : environment => [for statement in [
    {
      # A suite puts objects where a function reads them, looks at those that a function wrote, and takes away its own.
      sid       = "SuiteObjects"
      write     = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      resources = [for bucket in sort(try(var.environments[environment].suites.buckets, [])) : "arn:${local.partition}:s3:::${prefix}${bucket}/*"]
    },
    {
      sid       = "SuiteItems"
      write     = ["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query"]
      resources = flatten([for table in sort(try(var.environments[environment].suites.tables, [])) : ["${local.arns.dynamodb}:table/${prefix}${table}", "${local.arns.dynamodb}:table/${prefix}${table}/index/*"]])
    },
    {
      # It sends what a producer sends.
      sid       = "SuiteRecords"
      write     = ["kinesis:PutRecord", "kinesis:PutRecords"]
      resources = [for stream in sort(try(var.environments[environment].suites.streams, [])) : "${local.arns.kinesis}:stream/${prefix}${stream}"]
    },
  ] : statement if length(statement.resources) > 0] }

  extra_permissions = { for environment, settings in var.environments : environment => concat(
    local.suite_permissions[environment],
    [for index, statement in settings.extra_statements.plan : merge({
      sid       = "ExtraRead${index + 1}"
      read      = statement.actions
      resources = sort(statement.resources)
    }, statement.conditions == null ? {} : { condition = statement.conditions })],
    [for index, statement in settings.extra_statements.apply : merge({
      sid       = "ExtraWrite${index + 1}"
      write     = statement.actions
      resources = sort(statement.resources)
    }, statement.conditions == null ? {} : { condition = statement.conditions })],
  ) }
}
