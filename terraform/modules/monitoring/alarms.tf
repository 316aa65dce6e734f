# Every alarm in one form: which metrics it asks for, what it makes of them, and when that is too
# much. A switch takes its alarm out of the map, whose keys are known at the plan.
locals {
  # Metrics of the alias, so that calls of a version which is still being verified alarm nobody.
  # https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html
  alias_dimensions = { for key, function in var.functions : key => {
    FunctionName = function.function_name
    Resource     = "${function.function_name}:${function.alias}"
  } }

  api_dimensions = { for key, api in var.http_apis : key => { ApiId = api.api_id, Stage = api.stage } }

  table_dimensions = merge([for key, table in var.tables : merge(
    { (key) = { TableName = table.table_name } },
    { for index in table.index_names : "${key}-${index}" => { TableName = table.table_name, GlobalSecondaryIndexName = index } },
  )]...)

  function_alarms = merge([for key, function in var.functions : {
    "${key}-errors" = {
      enabled     = var.enable_error_alerts
      description = "More than ${var.error_percent} % of the calls of ${key} fail"
      threshold   = var.error_percent
      expression  = "IF(calls > 0, 100 * errors / calls, 0)"
      metrics = {
        calls  = { namespace = "AWS/Lambda", name = "Invocations", stat = "Sum", dimensions = local.alias_dimensions[key] }
        errors = { namespace = "AWS/Lambda", name = "Errors", stat = "Sum", dimensions = local.alias_dimensions[key] }
      }
    }
    "${key}-duration" = {
      enabled     = var.enable_duration_alerts
      description = "One call of ${key} in a hundred takes longer than ${var.duration_percent} % of its time limit of ${function.timeout_seconds} s"
      threshold   = function.timeout_seconds * 1000 * var.duration_percent / 100
      metrics     = { duration = { namespace = "AWS/Lambda", name = "Duration", stat = "p99", dimensions = local.alias_dimensions[key] } }
    }
    "${key}-throttles" = {
      enabled     = var.enable_throttle_alerts
      description = "Calls of ${key} are turned away"
      threshold   = var.throttle_threshold
      metrics     = { throttles = { namespace = "AWS/Lambda", name = "Throttles", stat = "Sum", dimensions = local.alias_dimensions[key] } }
    }
    "${key}-concurrency" = {
      enabled     = var.enable_concurrency_alerts
      description = "Calls of ${key} running at the same time come near the limit of ${function.concurrency_limit}"
      threshold   = function.concurrency_limit * var.concurrency_percent / 100
      # The limit is the function's, whatever its aliases.
      metrics = { running = { namespace = "AWS/Lambda", name = "ConcurrentExecutions", stat = "Maximum", dimensions = { FunctionName = function.function_name } } }
    }
    "${key}-invocations-too-few" = {
      enabled      = var.invocation_alerts == "too_few"
      description  = "Fewer than ${var.minimum_invocations} calls of ${key} in ${var.period_seconds} s"
      threshold    = var.minimum_invocations
      comparison   = "LessThanThreshold"
      missing_data = "breaching" # no call at all is no data
      metrics      = { calls = { namespace = "AWS/Lambda", name = "Invocations", stat = "Sum", dimensions = local.alias_dimensions[key] } }
    }
    "${key}-invocations-anomaly" = {
      enabled     = var.invocation_alerts == "anomaly"
      description = "The number of calls of ${key} is unlike that of the weeks before"
      comparison  = "LessThanLowerOrGreaterThanUpperThreshold"
      expression  = "ANOMALY_DETECTION_BAND(calls, ${var.anomaly_deviations})"
      metrics     = { calls = { namespace = "AWS/Lambda", name = "Invocations", stat = "Sum", dimensions = local.alias_dimensions[key] } }
    }
  }]...)

  api_alarms = merge([for key, api in var.http_apis : {
    "${key}-4xx" = {
      enabled     = var.enable_api_alerts
      description = "More than ${var.api_4xx_percent} % of the requests to ${key} are refused"
      threshold   = var.api_4xx_percent
      expression  = "IF(requests > 0, 100 * refused / requests, 0)"
      metrics = {
        refused  = { namespace = "AWS/ApiGateway", name = "4xx", stat = "Sum", dimensions = local.api_dimensions[key] }
        requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions[key] }
      }
    }
    "${key}-5xx" = {
      enabled     = var.enable_api_alerts
      description = "More than ${var.api_5xx_percent} % of the requests to ${key} fail"
      threshold   = var.api_5xx_percent
      expression  = "IF(requests > 0, 100 * failed / requests, 0)"
      metrics = {
        failed   = { namespace = "AWS/ApiGateway", name = "5xx", stat = "Sum", dimensions = local.api_dimensions[key] }
        requests = { namespace = "AWS/ApiGateway", name = "Count", stat = "Sum", dimensions = local.api_dimensions[key] }
      }
    }
    "${key}-latency" = {
      enabled     = var.enable_api_alerts
      description = "One answer of ${key} in a hundred takes longer than ${var.api_latency_ms} ms"
      threshold   = var.api_latency_ms
      metrics     = { latency = { namespace = "AWS/ApiGateway", name = "Latency", stat = "p99", dimensions = local.api_dimensions[key] } }
    }
  }]...)

  table_alarms = { for key, dimensions in local.table_dimensions : "${key}-throttles" => {
    enabled     = var.enable_dynamodb_alerts
    description = "Reads or writes of ${key} are turned away"
    threshold   = var.table_throttle_threshold
    expression  = "FILL(reads, 0) + FILL(writes, 0)"
    metrics = {
      reads  = { namespace = "AWS/DynamoDB", name = "ReadThrottleEvents", stat = "Sum", dimensions = dimensions }
      writes = { namespace = "AWS/DynamoDB", name = "WriteThrottleEvents", stat = "Sum", dimensions = dimensions }
    }
  } }

  log_alarms = { for key, filter in var.log_filters : "${key}-logged" => {
    enabled     = var.enable_log_alerts
    description = filter.description == null ? "Log events match ${filter.pattern}" : filter.description
    threshold   = filter.threshold
    comparison  = "GreaterThanOrEqualToThreshold"
    datapoints  = filter.datapoints_to_alarm
    metrics     = { events = { namespace = var.name, name = key, stat = "Sum", dimensions = {} } }
  } }

  kinds = {
    function = local.function_alarms, api = local.api_alarms, table = local.table_alarms, log = local.log_alarms,
    stream   = local.stream_alarms, queue = local.queue_alarms, mapping = local.mapping_alarms, nat = local.nat_alarms,
  }
  alarms = merge([for kind, alarms in local.kinds : { for key, alarm in alarms : "${kind}/${key}" => alarm if alarm.enabled }]...)
}

resource "aws_cloudwatch_log_metric_filter" "this" {
  for_each = { for key, filter in var.log_filters : key => filter if var.enable_log_alerts }

  name           = "${var.name}-${each.key}"
  log_group_name = each.value.log_group_name
  pattern        = each.value.pattern

  metric_transformation {
    namespace     = var.name
    name          = each.key
    value         = "1"
    default_value = "0"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${split("/", each.key)[1]}"
  alarm_description   = each.value.description
  comparison_operator = try(each.value.comparison, "GreaterThanThreshold")
  threshold           = try(each.value.threshold, null)
  # A band has no one threshold.
  threshold_metric_id = try(each.value.threshold, null) == null ? "result" : null
  evaluation_periods  = var.evaluation_periods
  datapoints_to_alarm = try(each.value.datapoints, var.datapoints_to_alarm)
  treat_missing_data  = try(each.value.missing_data, "notBreaching")

  alarm_actions = compact([local.topic_arn])
  ok_actions    = compact([local.topic_arn])

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id = metric_query.key
      # What is compared: the expression where there is one, and beside a band its metric.
      return_data = !can(each.value.expression) || !can(each.value.threshold)

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        stat        = metric_query.value.stat
        period      = var.period_seconds
        dimensions  = metric_query.value.dimensions
      }
    }
  }

  dynamic "metric_query" {
    for_each = can(each.value.expression) ? [each.value.expression] : []

    content {
      id          = "result"
      label       = each.value.description
      expression  = metric_query.value
      return_data = true
    }
  }

  tags = var.tags

  lifecycle {
    # CloudWatch takes a second alarm of a name for a change of the first.
    precondition {
      condition     = length(distinct([for key in keys(local.alarms) : split("/", key)[1]])) == length(local.alarms)
      error_message = "Two alarms would have one name, and the second would replace the first: give what is watched different short names, a table and a function, too. Twice: ${join(", ", distinct([for key in keys(local.alarms) : split("/", key)[1] if length([for other in keys(local.alarms) : other if split("/", other)[1] == split("/", key)[1]]) > 1]))}."
    }
  }
}
