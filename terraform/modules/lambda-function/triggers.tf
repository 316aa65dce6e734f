# What calls the alias when something happens elsewhere: topics, buckets, EventBridge. Each may call the alias and
# nothing else, on behalf of the one topic, bucket or rule.
locals {
  bucket_arns = { for name, trigger in var.bucket_triggers : name => "arn:${data.aws_partition.current.partition}:s3:::${trigger.bucket}" }

  trigger_permissions = merge(
    { for name, trigger in var.topic_triggers : "Topic-${name}" => {
      principal      = "sns.amazonaws.com"
      source_arn     = trigger.topic_arn
      source_account = null
    } },
    { for name, trigger in var.bucket_triggers : "Bucket-${name}" => {
      principal  = "s3.amazonaws.com"
      source_arn = local.bucket_arns[name]
      # A bucket's ARN names no account, and its name is free again once it is deleted.
      source_account = coalesce(trigger.account_id, data.aws_caller_identity.current.account_id)
    } },
    { for name, trigger in var.event_rules : "Rule-${name}" => {
      principal      = "events.amazonaws.com"
      source_arn     = aws_cloudwatch_event_rule.this[name].arn
      source_account = null
    } },
  )
}

resource "aws_lambda_permission" "trigger" {
  for_each = local.trigger_permissions

  statement_id   = each.key
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.this.function_name
  qualifier      = local.alias.name
  principal      = each.value.principal
  source_arn     = each.value.source_arn
  source_account = each.value.source_account
}

resource "aws_sns_topic_subscription" "this" {
  for_each = var.topic_triggers

  topic_arn           = each.value.topic_arn
  protocol            = "lambda"
  endpoint            = local.alias.arn
  filter_policy       = each.value.filter_policy
  filter_policy_scope = each.value.filter_policy == null ? null : each.value.filter_policy_scope
  redrive_policy      = each.value.dead_letter_queue_arn == null ? null : jsonencode({ deadLetterTargetArn = each.value.dead_letter_queue_arn })

  depends_on = [aws_lambda_permission.trigger]
}

# All that a bucket notifies of is one setting: it replaces what somebody else set.
resource "aws_s3_bucket_notification" "this" {
  for_each = var.bucket_triggers

  bucket = each.value.bucket

  dynamic "lambda_function" {
    for_each = each.value.notifications

    content {
      lambda_function_arn = local.alias.arn
      events              = lambda_function.value.events
      filter_prefix       = lambda_function.value.filter_prefix
      filter_suffix       = lambda_function.value.filter_suffix
    }
  }

  # S3 tries the function before it takes the setting.
  depends_on = [aws_lambda_permission.trigger]
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = var.event_rules

  name                = "${var.name}-${each.key}"
  description         = each.value.description
  event_bus_name      = each.value.event_bus_name
  event_pattern       = each.value.event_pattern
  schedule_expression = each.value.schedule_expression
  state               = each.value.enabled ? "ENABLED" : "DISABLED"
  tags                = var.tags
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = var.event_rules

  rule           = aws_cloudwatch_event_rule.this[each.key].name
  event_bus_name = aws_cloudwatch_event_rule.this[each.key].event_bus_name
  target_id      = "live"
  arn            = local.alias.arn
  input          = each.value.input

  retry_policy {
    maximum_event_age_in_seconds = each.value.maximum_event_age_in_seconds
    maximum_retry_attempts       = each.value.maximum_retry_attempts
  }

  dynamic "dead_letter_config" {
    for_each = each.value.dead_letter_queue_arn == null ? [] : [each.value.dead_letter_queue_arn]

    content {
      arn = dead_letter_config.value
    }
  }

  depends_on = [aws_lambda_permission.trigger]
}
