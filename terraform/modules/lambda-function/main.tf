data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  package_type = var.release.code.image_uri == null ? "Zip" : "Image"

  # https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
  opentelemetry_variables = var.opentelemetry == null ? {} : { for name, value in {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.opentelemetry.endpoint
    OTEL_TRACES_SAMPLER         = var.opentelemetry.sampled_share == 1 ? null : "parentbased_traceidratio"
    OTEL_TRACES_SAMPLER_ARG     = var.opentelemetry.sampled_share == 1 ? null : tostring(var.opentelemetry.sampled_share)
    AWS_LAMBDA_EXEC_WRAPPER     = var.opentelemetry.wrapper
  } : name => value if value != null }
  environment_variables = merge(local.opentelemetry_variables, var.environment_variables)
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158: CloudWatch Logs encrypts every group; with log_kms_key_arn by a key of the caller's
  #checkov:skip=CKV_AWS_338: how long its logs are kept the caller decides; a year of them costs more than the function
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.log_kms_key_arn
  tags              = var.tags
}

resource "aws_lambda_function" "this" {
  #checkov:skip=CKV_AWS_115: a reserve is taken from what all functions of the account share: the caller's choice
  #checkov:skip=CKV_AWS_116: only asynchronous calls have a dead letter; the caller names its target where there are any
  #checkov:skip=CKV_AWS_117: a function that reaches AWS alone needs no network of its own; the caller joins one where it does
  #checkov:skip=CKV_AWS_173: the caller's choice; without a key of one's own the variables are encrypted with Lambda's
  #checkov:skip=CKV_AWS_272: a release is signed as a whole and checked before it is deployed; Signer would put other bytes in its place
  #checkov:skip=CKV_AWS_50: traces cost by the call; the caller switches them on with tracing_mode
  function_name = var.name
  role          = local.role_arn
  package_type  = local.package_type
  architectures = [var.release.architecture]

  s3_bucket = one(var.release.code.s3[*].bucket)
  s3_key    = one(var.release.code.s3[*].key)
  filename  = var.release.code.filename
  image_uri = var.release.code.image_uri
  layers    = concat(var.layers, var.opentelemetry[*].layer_arn)

  # Lambda answers the digest of a zip as base64, which is how the release carries it: nothing is
  # hashed here. An image is named by its digest already.
  source_code_hash = local.package_type == "Zip" ? var.release.code.sha256 : null
  runtime          = local.package_type == "Zip" ? var.release.runtime : null
  handler          = local.package_type == "Zip" ? var.release.handler : null

  memory_size                    = var.memory_size
  timeout                        = var.timeout
  reserved_concurrent_executions = var.reserved_concurrent_executions
  kms_key_arn                    = var.kms_key_arn

  # Every change of code or configuration becomes an immutable version that serves nobody yet.
  publish = true

  # Written out at their defaults too: left out, the provider would keep what was set before.
  tracing_config {
    mode = var.tracing_mode
  }

  ephemeral_storage {
    size = var.ephemeral_storage_mb
  }

  # Left out, Lambda's format and the group above are taken.
  dynamic "logging_config" {
    for_each = var.logging_config == null ? [] : [var.logging_config]

    content {
      log_format            = logging_config.value.log_format
      log_group             = aws_cloudwatch_log_group.this.name
      application_log_level = logging_config.value.application_log_level
      system_log_level      = logging_config.value.system_log_level
    }
  }

  dynamic "snap_start" {
    for_each = var.snap_start ? [true] : []

    content {
      apply_on = "PublishedVersions"
    }
  }

  dynamic "file_system_config" {
    for_each = var.file_system == null ? [] : [var.file_system]

    content {
      arn              = file_system_config.value.access_point_arn
      local_mount_path = file_system_config.value.local_mount_path
    }
  }

  dynamic "dead_letter_config" {
    for_each = var.dead_letter_target_arn == null ? [] : [var.dead_letter_target_arn]

    content {
      target_arn = dead_letter_config.value
    }
  }

  dynamic "vpc_config" {
    for_each = var.vpc == null ? [] : [var.vpc]

    content {
      subnet_ids                  = vpc_config.value.subnet_ids
      security_group_ids          = vpc_config.value.security_group_ids
      ipv6_allowed_for_dual_stack = vpc_config.value.ipv6_allowed_for_dual_stack
    }
  }

  dynamic "environment" {
    for_each = length(local.environment_variables) == 0 ? [] : [local.environment_variables]

    content {
      variables = environment.value
    }
  }

  tags = var.tags

  lifecycle {
    # Entry point and command are the image's own. Reading the function back may answer an empty
    # block, which would be a change in every plan.
    ignore_changes = [image_config]
  }

  # Before the first call: with the group missing Lambda makes one that keeps its logs for ever.
  depends_on = [
    aws_cloudwatch_log_group.this,
    aws_iam_role_policy.logs,
    aws_iam_role_policy.connections,
    aws_iam_role_policy.extra,
  ]
}

# Lambda stops a function that calls itself in a circle after about 16 turns; only who wants the circle says so.
resource "aws_lambda_function_recursion_config" "this" {
  count = var.recursive_loop == null ? 0 : 1

  function_name  = aws_lambda_function.this.function_name
  recursive_loop = var.recursive_loop
}
