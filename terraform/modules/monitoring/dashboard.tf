# One row for each thing that is watched, whether or not it alarms.
locals {
  function_widgets = flatten([for key, function in var.functions : [
    {
      title = "${key}: calls"
      stat  = "Sum"
      metrics = [for metric in ["Invocations", "Errors", "Throttles"] :
      ["AWS/Lambda", metric, "FunctionName", function.function_name, "Resource", "${function.function_name}:${function.alias}"]]
    },
    {
      title = "${key}: duration, ms"
      stat  = "p99"
      metrics = [for stat in ["p50", "p99"] :
      ["AWS/Lambda", "Duration", "FunctionName", function.function_name, "Resource", "${function.function_name}:${function.alias}", { stat = stat, label = stat }]]
    },
    {
      title   = "${key}: running at the same time"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "ConcurrentExecutions", "FunctionName", function.function_name]]
    },
  ]])

  api_widgets = flatten([for key, api in var.http_apis : [
    {
      title   = "${key}: requests"
      stat    = "Sum"
      metrics = [for metric in ["Count", "4xx", "5xx"] : ["AWS/ApiGateway", metric, "ApiId", api.api_id, "Stage", api.stage]]
    },
    {
      title   = "${key}: latency, ms"
      stat    = "p99"
      metrics = [for metric in ["Latency", "IntegrationLatency"] : ["AWS/ApiGateway", metric, "ApiId", api.api_id, "Stage", api.stage]]
    },
  ]])

  table_widgets = [for key, table in var.tables : {
    title = "${key}: turned away"
    stat  = "Sum"
    metrics = concat(
      [for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] : ["AWS/DynamoDB", metric, "TableName", table.table_name]],
      flatten([for index in table.index_names : [for metric in ["ReadThrottleEvents", "WriteThrottleEvents"] :
      { row = ["AWS/DynamoDB", metric, "TableName", table.table_name, "GlobalSecondaryIndexName", index] }]])[*].row,
    )
  }]

  log_widgets = [for key, filter in var.log_filters : {
    title   = "${key}: log events"
    stat    = "Sum"
    metrics = [[var.name, key]]
  } if var.enable_log_alerts]

  widgets = concat(local.function_widgets, local.api_widgets, local.table_widgets, local.transport_widgets, local.log_widgets)
}

resource "aws_cloudwatch_dashboard" "this" {
  # Without anything to show CloudWatch refuses it.
  count = var.enable_dashboard && length(local.widgets) > 0 ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = [for index, widget in local.widgets : {
    type   = "metric"
    x      = index % 3 * 8
    y      = floor(index / 3) * 6
    width  = 8
    height = 6
    properties = {
      title   = widget.title
      region  = local.region
      stat    = widget.stat
      period  = var.period_seconds
      view    = "timeSeries"
      metrics = widget.metrics
    }
  }] })
}
