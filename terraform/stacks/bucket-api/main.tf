locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
  name        = "${local.name_prefix}-bucket-api"

  # Of the two functions the one that the API calls.
  served = "bucket-api-${var.serves}"

  role_arns = [for name in sort(keys(var.releases)) : module.function[name].role_arn]

  # What GuardDuty finds is told where the alarms are told.
  tells_findings = var.notify_guardduty_findings && var.make_alerts_topic

  # Where the function's variables say how much it logs, whatever the format.
  log_level      = var.log_level == null ? {} : { RUST_LOG = lower(var.log_level) }
  logging_config = var.log_format == null ? null : { log_format = var.log_format, application_log_level = var.log_format == "JSON" ? var.log_level : null }
}

# Whoever manages to remove the bucket's policy still reads nothing without this key.
module "bucket_key" {
  source = "../../modules/kms-key"

  name                 = "${local.name}-objects"
  description          = "Encrypts the objects in the bucket ${local.name_prefix}-objects"
  services             = ["s3"]
  deletion_window_days = var.key_deletion_window_days
}

module "bucket" {
  source = "../../modules/s3-bucket"

  name                    = "${local.name_prefix}-objects"
  kms_key_arn             = module.bucket_key.arn
  versioning              = true
  allowed_principal_arns  = concat(local.role_arns, sort(var.object_role_arns))
  administrator_arns      = sort(var.deployment_role_arns)
  reader_arns             = sort(var.planning_role_arns)
  emulated                = var.emulated
  noncurrent_version_days = var.noncurrent_version_days
  force_destroy           = var.force_destroy
}

# One for each release that comes: which ones, the environment selects.
module "function" {
  source   = "../../modules/lambda-function"
  for_each = var.releases

  name                           = "${local.name_prefix}-${each.key}"
  release                        = each.value
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  log_retention_days             = var.log_retention_days
  logging_config                 = local.logging_config
  reserved_concurrent_executions = var.reserved_concurrent_executions
  check_quotas                   = var.check_quotas
  tracing_mode                   = var.tracing_mode
  role_arn                       = lookup(var.function_role_arns, each.key, null)
  permissions_boundary_arn       = contains(keys(var.function_role_arns), each.key) ? null : var.permissions_boundary_arn

  environment_variables = merge(local.log_level, { BUCKET = module.bucket.bucket })

  # A role from outside has its own. Nothing of the key: a listing and an object's metadata are not encrypted with it, so that the
  # function can tell what there is and never what is in it.
  policy_statements = contains(keys(var.function_role_arns), each.key) ? [] : [
    {
      sid       = "ListObjects"
      actions   = ["s3:ListBucket"]
      resources = [module.bucket.arn]
    },
    {
      # HeadObject asks for it. https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
      sid       = "DescribeObjects"
      actions   = ["s3:GetObject"]
      resources = ["${module.bucket.arn}/*"]
    },
  ]
}

module "api" {
  source = "../../modules/http-api"

  name       = local.name
  function   = module.function[local.served].function
  invoke_arn = module.function[local.served].invoke_arn

  # The variable gives the function an object's key as it is: of the path it could not tell whether the
  # gateway has decoded it. Every other request goes to the function as well, which says what is wrong.
  routes = ["GET /objects/{key+}", "$default"]

  timeout_milliseconds = min(30000, var.timeout * 1000 + 1000)
  throttling_rate      = var.throttling_rate
  throttling_burst     = var.throttling_burst
  log_retention_days   = var.access_log_retention_days
}

# The module's own permission goes with the function that it calls: when `serves` changes it is gone before the
# integration has moved, and where that apply fails it stays away. With these the API may call either all along.
resource "aws_lambda_permission" "api" {
  for_each = module.function

  statement_id  = "ServedBy-${local.name}"
  action        = "lambda:InvokeFunction"
  function_name = each.value.function.function_name
  qualifier     = each.value.function.alias
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${module.api.execution_arn}/*/*"
}

# An HTTP API has no list of its own of those who may call it: their roles have to say so.
resource "aws_iam_policy" "invoke" {
  name        = "${local.name}-invoke"
  description = "Lets its bearer call the API ${local.name}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [for statement in module.api.invoke_statements : {
      Sid      = statement.sid
      Effect   = "Allow"
      Action   = statement.actions
      Resource = statement.resources
    }]
  })
}

resource "aws_iam_role_policy_attachment" "invoke" {
  for_each = var.invoker_role_names

  role       = each.value
  policy_arn = aws_iam_policy.invoke.arn
}
