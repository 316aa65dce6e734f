# Watches a function, a table and a log on an emulated AWS, then less of them, and looks at whom the
# alarms tell. Endpoint, region and credentials come from the environment. The topic's key takes moto a
# quarter of a minute. There is no chat, and no alarm is judged.
provider "aws" {
  max_retries = 2
}

variables {
  name            = "slipway-modules-monitoring"
  functions       = { tracer = { function_name = "slipway-modules-tracer", timeout_seconds = 10 } }
  tables          = { spans = { table_name = "slipway-modules-spans", index_names = ["by_trace"] } }
  streams         = { events = { stream_name = "slipway-modules-events" } }
  queues          = { failures = { queue_name = "slipway-modules-failures", maximum_messages = 0 } }
  email_addresses = ["ops@example.com"]
  tags            = { Purpose = "emulator" }
}

run "log" {
  module {
    source = "./tests/emulator/setup"
  }
}

run "all_watched" {
  variables {
    log_filters = { refused = { log_group_name = run.log.log_group_name, pattern = "{ $.level = \"ERROR\" }" } }
  }

  assert {
    condition = output.alarm_names == tolist([for name in [
      "events-iterator-age", "events-write-throttles", "failures-messages", "refused-logged", "spans-by_trace-throttles", "spans-throttles",
      "tracer-concurrency", "tracer-duration", "tracer-errors", "tracer-throttles",
    ] : "slipway-modules-monitoring-${name}"])
    error_message = "CloudWatch has an alarm for each thing watched."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([output.topic_arn]) && alarm.ok_actions == toset([output.topic_arn]) && startswith(alarm.arn, "arn:aws:cloudwatch:")])
    error_message = "Each tells the topic, when it is bad and when it is well again."
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this["function/tracer-errors"].metric_query) == 3 && aws_cloudwatch_metric_alarm.this["function/tracer-duration"].threshold == 8000
    error_message = "CloudWatch keeps the share of failures as an expression over two metrics, and 80 % of the time limit."
  }

  assert {
    condition     = aws_cloudwatch_log_metric_filter.this["refused"].log_group_name == "slipway-modules-monitoring" && aws_cloudwatch_log_metric_filter.this["refused"].pattern == "{ $.level = \"ERROR\" }"
    error_message = "The log is counted."
  }

  assert {
    condition     = length(jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets) == 8 && aws_sns_topic_subscription.email["ops@example.com"].topic_arn == output.topic_arn
    error_message = "One board shows all, and the mail address is subscribed."
  }
}

run "switched_off" {
  variables {
    log_filters            = { refused = { log_group_name = run.log.log_group_name, pattern = "{ $.level = \"ERROR\" }" } }
    enable_log_alerts      = false
    enable_dynamodb_alerts = false
    enable_stream_alerts   = false
    enable_queue_alerts    = false
    enable_dashboard       = false
    duration_percent       = 50
    publisher_services     = ["budgets.amazonaws.com"]
  }

  assert {
    condition     = output.alarm_names == tolist([for name in ["concurrency", "duration", "errors", "throttles"] : "slipway-modules-monitoring-tracer-${name}"])
    error_message = "The function alone is still watched."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["function/tracer-duration"].threshold == 5000 && output.dashboard_name == null && output.topic_arn == run.all_watched.topic_arn
    error_message = "CloudWatch keeps the new threshold; the board is gone, the topic is not."
  }

  assert {
    condition     = [for statement in jsondecode(aws_sns_topic_policy.this[0].policy).Statement : statement.Principal.Service] == ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    error_message = "SNS keeps the policy that lets budgets tell too."
  }
}

run "as_the_services_tell_it" {
  module {
    source = "./tests/emulator/look"
  }

  assert {
    condition     = output.topic.arn == run.switched_off.topic_arn && output.topic.tags["Purpose"] == "emulator"
    error_message = "The topic has the module's name."
  }

  assert {
    condition     = output.key.arn == run.switched_off.kms_key_arn && output.key.enabled
    error_message = "Its key is enabled, under the alias."
  }
}
