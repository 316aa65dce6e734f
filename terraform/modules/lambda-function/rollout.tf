# What callers and sources reach: the alias `live`, and the sources that feed it. Whether they follow
# Terraform is the caller's choice, and `ignore_changes` takes no variable: hence each resource twice,
# one of them for each choice.
locals {
  external = var.rollout == "external"
  alias    = one(concat(aws_lambda_alias.live, aws_lambda_alias.following))
  mappings = merge(aws_lambda_event_source_mapping.this, aws_lambda_event_source_mapping.following)
}

resource "aws_lambda_alias" "live" {
  count = local.external ? 1 : 0

  name             = "live"
  description      = "What serves; moved by Slipway once a version is verified"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version

  lifecycle {
    # Terraform makes the alias, on the first version. From then on a rollout moves it.
    ignore_changes = [function_version, routing_config]
  }
}

moved {
  from = aws_lambda_alias.live
  to   = aws_lambda_alias.live[0]
}

resource "aws_lambda_alias" "following" {
  count = local.external ? 0 : 1

  name             = "live"
  description      = "What serves; moved by Terraform to each version that it publishes"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

# Kept for the alias, whichever version it points to. Lambda makes a new version ready before it moves.
resource "aws_lambda_provisioned_concurrency_config" "this" {
  count = var.provisioned_concurrent_executions == null ? 0 : 1

  function_name                     = aws_lambda_function.this.function_name
  qualifier                         = local.alias.name
  provisioned_concurrent_executions = var.provisioned_concurrent_executions
}

resource "aws_lambda_event_source_mapping" "this" {
  for_each = { for name, source in var.event_sources : name => source if local.external }

  function_name    = local.alias.arn
  event_source_arn = each.value.event_source_arn
  # Of a queue there is no beginning to start at.
  starting_position = split(":", each.value.event_source_arn)[2] == "sqs" ? null : each.value.starting_position

  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.maximum_batching_window_in_seconds
  parallelization_factor             = each.value.parallelization_factor
  bisect_batch_on_function_error     = each.value.bisect_batch_on_function_error
  maximum_retry_attempts             = each.value.maximum_retry_attempts
  maximum_record_age_in_seconds      = each.value.maximum_record_age_in_seconds
  tumbling_window_in_seconds         = each.value.tumbling_window_in_seconds
  function_response_types            = each.value.report_batch_item_failures ? ["ReportBatchItemFailures"] : []
  # Nothing reaches a version that was not verified. Slipway opens the source once the first one was.
  enabled = false

  dynamic "scaling_config" {
    for_each = each.value.maximum_concurrency == null ? [] : [each.value.maximum_concurrency]

    content {
      maximum_concurrency = scaling_config.value
    }
  }

  dynamic "filter_criteria" {
    for_each = each.value.filter_patterns == null ? [] : [each.value.filter_patterns]

    content {
      dynamic "filter" {
        for_each = filter_criteria.value

        content {
          pattern = filter.value
        }
      }
    }
  }

  dynamic "destination_config" {
    for_each = each.value.on_failure_destination_arn == null ? [] : [each.value.on_failure_destination_arn]

    content {
      on_failure {
        destination_arn = destination_config.value
      }
    }
  }

  tags = var.tags

  lifecycle {
    # Terraform makes the mapping, shut. From then on a rollout opens it.
    ignore_changes = [enabled]
  }
}

resource "aws_lambda_event_source_mapping" "following" {
  for_each = { for name, source in var.event_sources : name => source if !local.external }

  function_name    = local.alias.arn
  event_source_arn = each.value.event_source_arn
  # Of a queue there is no beginning to start at.
  starting_position = split(":", each.value.event_source_arn)[2] == "sqs" ? null : each.value.starting_position

  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.maximum_batching_window_in_seconds
  parallelization_factor             = each.value.parallelization_factor
  bisect_batch_on_function_error     = each.value.bisect_batch_on_function_error
  maximum_retry_attempts             = each.value.maximum_retry_attempts
  maximum_record_age_in_seconds      = each.value.maximum_record_age_in_seconds
  tumbling_window_in_seconds         = each.value.tumbling_window_in_seconds
  function_response_types            = each.value.report_batch_item_failures ? ["ReportBatchItemFailures"] : []
  enabled                            = each.value.enabled

  dynamic "scaling_config" {
    for_each = each.value.maximum_concurrency == null ? [] : [each.value.maximum_concurrency]

    content {
      maximum_concurrency = scaling_config.value
    }
  }

  dynamic "filter_criteria" {
    for_each = each.value.filter_patterns == null ? [] : [each.value.filter_patterns]

    content {
      dynamic "filter" {
        for_each = filter_criteria.value

        content {
          pattern = filter.value
        }
      }
    }
  }

  dynamic "destination_config" {
    for_each = each.value.on_failure_destination_arn == null ? [] : [each.value.on_failure_destination_arn]

    content {
      on_failure {
        destination_arn = destination_config.value
      }
    }
  }

  tags = var.tags
}
