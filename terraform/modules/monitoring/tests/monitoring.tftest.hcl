mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-tracer" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-prod-tracer-chat" }
  }
  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::222222222222:policy/shop-222222222222-prod-tracer-chat" }
  }
}

variables {
  name = "shop-222222222222-prod-tracer"

  subscribed_elsewhere = true

  functions = { tracer = { function_name = "shop-222222222222-prod-tracer", timeout_seconds = 10, concurrency_limit = 50 } }
  http_apis = { api = { api_id = "a1b2c3d4e5" } }
  tables    = { traces = { table_name = "shop-222222222222-prod-traces", index_names = ["by-project"] } }
  log_filters = {
    denied = { log_group_name = "/aws/lambda/shop-222222222222-prod-tracer", pattern = "{ $.status = 401 }", threshold = 20, datapoints_to_alarm = 2 }
    panic  = { log_group_name = "/aws/lambda/shop-222222222222-prod-tracer", pattern = "panicked", description = "The function panicked" }
  }
}

run "watches_everything_by_default" {
  assert {
    condition = output.alarm_names == tolist([
      "shop-222222222222-prod-tracer-api-4xx",
      "shop-222222222222-prod-tracer-api-5xx",
      "shop-222222222222-prod-tracer-api-latency",
      "shop-222222222222-prod-tracer-denied-logged",
      "shop-222222222222-prod-tracer-panic-logged",
      "shop-222222222222-prod-tracer-tracer-concurrency",
      "shop-222222222222-prod-tracer-tracer-duration",
      "shop-222222222222-prod-tracer-tracer-errors",
      "shop-222222222222-prod-tracer-tracer-throttles",
      "shop-222222222222-prod-tracer-traces-by-project-throttles",
      "shop-222222222222-prod-tracer-traces-throttles",
    ])
    error_message = "Everything given is watched; only the number of calls, which quiet hours would trip, waits to be asked for."
  }

  assert {
    condition = alltrue([for key, alarm in aws_cloudwatch_metric_alarm.this :
    alarm.evaluation_periods == 5 && alarm.datapoints_to_alarm == 3 && alarm.treat_missing_data == "notBreaching" if !startswith(key, "log/")])
    error_message = "Three bad minutes of five alarm, and a minute without traffic is none."
  }

  assert {
    condition     = alltrue(flatten([for alarm in aws_cloudwatch_metric_alarm.this : [for query in alarm.metric_query : query.metric[0].period == 60 if length(query.metric) > 0]]))
    error_message = "A period is a minute."
  }

  assert {
    condition = alltrue([for alarm in aws_cloudwatch_metric_alarm.this :
    alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-tracer"]) && alarm.ok_actions == alarm.alarm_actions])
    error_message = "Every alarm tells the topic, and tells it again when it is over."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : length([for query in alarm.metric_query : query if query.return_data == true]) == 1])
    error_message = "CloudWatch compares exactly one result with a threshold."
  }
}

run "refuses_two_alarms_of_one_name" {
  command = plan

  variables {
    tables = { tracer = { table_name = "shop-222222222222-prod-traces" } }
  }

  expect_failures = [aws_cloudwatch_metric_alarm.this]
}

run "function_alarms" {
  assert {
    condition = ({ for query in aws_cloudwatch_metric_alarm.this["function/tracer-errors"].metric_query : query.id => try(query.metric[0].metric_name, query.expression) } == {
      calls  = "Invocations"
      errors = "Errors"
      result = "IF(calls > 0, 100 * errors / calls, 0)"
      }
      && aws_cloudwatch_metric_alarm.this["function/tracer-errors"].threshold == 1
    && aws_cloudwatch_metric_alarm.this["function/tracer-errors"].comparison_operator == "GreaterThanThreshold")
    error_message = "More than one call in a hundred fails."
  }

  assert {
    condition = alltrue(flatten([for alarm in ["errors", "duration", "throttles"] : [for query in aws_cloudwatch_metric_alarm.this["function/tracer-${alarm}"].metric_query :
      query.metric[0].dimensions == tomap({ FunctionName = "shop-222222222222-prod-tracer", Resource = "shop-222222222222-prod-tracer:live" })
    && query.metric[0].namespace == "AWS/Lambda" if length(query.metric) > 0]]))
    error_message = "What counts are the alias's calls: those of a version which is still being verified alarm nobody."
  }

  assert {
    condition = (one(aws_cloudwatch_metric_alarm.this["function/tracer-duration"].metric_query).metric[0].stat == "p99"
    && aws_cloudwatch_metric_alarm.this["function/tracer-duration"].threshold == 8000)
    error_message = "One call in a hundred takes more than 80 % of the ten seconds."
  }

  assert {
    condition = (one(aws_cloudwatch_metric_alarm.this["function/tracer-throttles"].metric_query).metric[0].metric_name == "Throttles"
    && aws_cloudwatch_metric_alarm.this["function/tracer-throttles"].threshold == 0)
    error_message = "No call is to be turned away."
  }

  assert {
    condition = (one(aws_cloudwatch_metric_alarm.this["function/tracer-concurrency"].metric_query).metric[0].stat == "Maximum"
      && one(aws_cloudwatch_metric_alarm.this["function/tracer-concurrency"].metric_query).metric[0].dimensions == tomap({ FunctionName = "shop-222222222222-prod-tracer" })
    && aws_cloudwatch_metric_alarm.this["function/tracer-concurrency"].threshold == 40)
    error_message = "More than 80 % of the fifty calls that may run at the same time."
  }
}

run "api_alarms" {
  assert {
    condition = ({ for kind in ["4xx", "5xx", "latency"] : kind => aws_cloudwatch_metric_alarm.this["api/api-${kind}"].threshold } == { "4xx" = 20, "5xx" = 1, latency = 3000 }
    && one(aws_cloudwatch_metric_alarm.this["api/api-latency"].metric_query).metric[0].stat == "p99")
    error_message = "Shares of refused and failed requests, and the latency of the slowest hundredth."
  }

  assert {
    condition = (toset([for query in aws_cloudwatch_metric_alarm.this["api/api-5xx"].metric_query : try(query.metric[0].metric_name, query.expression)]) == toset(["5xx", "Count", "IF(requests > 0, 100 * failed / requests, 0)"])
    && toset([for query in aws_cloudwatch_metric_alarm.this["api/api-4xx"].metric_query : try(query.metric[0].metric_name, query.expression)]) == toset(["4xx", "Count", "IF(requests > 0, 100 * refused / requests, 0)"]))
    error_message = "Each share is of all requests."
  }

  assert {
    condition     = one(aws_cloudwatch_metric_alarm.this["api/api-latency"].metric_query).metric[0].dimensions == tomap({ ApiId = "a1b2c3d4e5", Stage = "$default" })
    error_message = "The API's stage is the one without a prefix unless told otherwise."
  }
}

run "table_alarms" {
  assert {
    condition = alltrue([for query in aws_cloudwatch_metric_alarm.this["table/traces-throttles"].metric_query :
    query.metric[0].dimensions == tomap({ TableName = "shop-222222222222-prod-traces" }) if length(query.metric) > 0])
    error_message = "The table's own throttling."
  }

  assert {
    condition = alltrue([for query in aws_cloudwatch_metric_alarm.this["table/traces-by-project-throttles"].metric_query :
    query.metric[0].dimensions == tomap({ TableName = "shop-222222222222-prod-traces", GlobalSecondaryIndexName = "by-project" }) if length(query.metric) > 0])
    error_message = "The index's, which the table's metrics leave out."
  }

  assert {
    condition = (toset([for query in aws_cloudwatch_metric_alarm.this["table/traces-throttles"].metric_query : try(query.metric[0].metric_name, query.expression)]) == toset(["ReadThrottleEvents", "WriteThrottleEvents", "FILL(reads, 0) + FILL(writes, 0)"])
    && aws_cloudwatch_metric_alarm.this["table/traces-throttles"].threshold == 0)
    error_message = "Reads and writes turned away, together."
  }
}

run "log_alarms" {
  assert {
    condition = (aws_cloudwatch_log_metric_filter.this["denied"].pattern == "{ $.status = 401 }"
      && aws_cloudwatch_log_metric_filter.this["denied"].log_group_name == "/aws/lambda/shop-222222222222-prod-tracer"
      && aws_cloudwatch_log_metric_filter.this["denied"].metric_transformation[0].namespace == "shop-222222222222-prod-tracer"
      && aws_cloudwatch_log_metric_filter.this["denied"].metric_transformation[0].name == "denied"
    && aws_cloudwatch_log_metric_filter.this["denied"].metric_transformation[0].value == "1")
    error_message = "Events that match are counted in a metric of their own."
  }

  assert {
    condition = (one(aws_cloudwatch_metric_alarm.this["log/denied-logged"].metric_query).metric[0].metric_name == "denied"
      && one(aws_cloudwatch_metric_alarm.this["log/denied-logged"].metric_query).metric[0].namespace == "shop-222222222222-prod-tracer"
      && aws_cloudwatch_metric_alarm.this["log/denied-logged"].threshold == 20
      && aws_cloudwatch_metric_alarm.this["log/denied-logged"].comparison_operator == "GreaterThanOrEqualToThreshold"
    && aws_cloudwatch_metric_alarm.this["log/denied-logged"].datapoints_to_alarm == 2)
    error_message = "The alarm asks for the metric that the filter counts."
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.this["log/panic-logged"].threshold == 1
      && aws_cloudwatch_metric_alarm.this["log/panic-logged"].datapoints_to_alarm == 1
    && aws_cloudwatch_metric_alarm.this["log/panic-logged"].alarm_description == "The function panicked")
    error_message = "One event is enough unless told otherwise."
  }
}

run "dashboard" {
  assert {
    condition = [for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.title] == [
      "tracer: calls", "tracer: duration, ms", "tracer: running at the same time", "api: requests", "api: latency, ms",
      "traces: turned away", "denied: log events", "panic: log events",
    ]
    error_message = "All that is watched is shown."
  }

  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : "${widget.x},${widget.y}"] == ["0,0", "8,0", "16,0", "0,6", "8,6", "16,6", "0,12", "8,12"]
    error_message = "Three widgets in a row, none over another."
  }

  assert {
    condition     = contains([for metric in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets[5].properties.metrics : join(" ", metric)], "AWS/DynamoDB WriteThrottleEvents TableName shop-222222222222-prod-traces GlobalSecondaryIndexName by-project")
    error_message = "Indexes are shown with their table."
  }

  assert {
    condition     = output.dashboard_name == "shop-222222222222-prod-tracer"
    error_message = "The dashboard takes the name."
  }
}

run "switches_off" {
  variables {
    enable_error_alerts       = false
    enable_duration_alerts    = false
    enable_throttle_alerts    = false
    enable_concurrency_alerts = false
    enable_api_alerts         = false
    enable_dynamodb_alerts    = false
    enable_log_alerts         = false
    enable_dashboard          = false
  }

  assert {
    condition     = length(output.alarm_names) == 0 && length(aws_cloudwatch_log_metric_filter.this) == 0 && output.dashboard_name == null
    error_message = "With every switch off nothing is watched."
  }
}

run "errors_alone" {
  variables {
    enable_duration_alerts    = false
    enable_throttle_alerts    = false
    enable_concurrency_alerts = false
    enable_api_alerts         = false
    enable_dynamodb_alerts    = false
    enable_log_alerts         = false
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.this) == ["function/tracer-errors"]
    error_message = "A switch takes away its own alarms alone."
  }
}

run "all_but_duration_and_api" {
  variables {
    enable_duration_alerts = false
    enable_api_alerts      = false
  }

  assert {
    condition = keys(aws_cloudwatch_metric_alarm.this) == [
      "function/tracer-concurrency", "function/tracer-errors", "function/tracer-throttles",
      "log/denied-logged", "log/panic-logged", "table/traces-by-project-throttles", "table/traces-throttles",
    ]
    error_message = "A switch takes away its own alarms alone."
  }
}

run "all_but_throttles_and_tables" {
  variables {
    enable_throttle_alerts = false
    enable_dynamodb_alerts = false
  }

  assert {
    condition = keys(aws_cloudwatch_metric_alarm.this) == [
      "api/api-4xx", "api/api-5xx", "api/api-latency",
      "function/tracer-concurrency", "function/tracer-duration", "function/tracer-errors",
      "log/denied-logged", "log/panic-logged",
    ]
    error_message = "A function's throttling and a table's are two things."
  }
}

run "too_few_calls" {
  variables {
    invocation_alerts   = "too_few"
    minimum_invocations = 10
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.this["function/tracer-invocations-too-few"].threshold == 10
      && aws_cloudwatch_metric_alarm.this["function/tracer-invocations-too-few"].comparison_operator == "LessThanThreshold"
    && aws_cloudwatch_metric_alarm.this["function/tracer-invocations-too-few"].treat_missing_data == "breaching")
    error_message = "Fewer than ten calls, and none at all, are too few."
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "function/tracer-invocations-anomaly")
    error_message = "One alarm on the number of calls is enough."
  }
}

run "unusual_number_of_calls" {
  variables {
    invocation_alerts  = "anomaly"
    anomaly_deviations = 3
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.this["function/tracer-invocations-anomaly"].threshold == null
      && aws_cloudwatch_metric_alarm.this["function/tracer-invocations-anomaly"].threshold_metric_id == "result"
      && aws_cloudwatch_metric_alarm.this["function/tracer-invocations-anomaly"].comparison_operator == "LessThanLowerOrGreaterThanUpperThreshold"
    && one([for query in aws_cloudwatch_metric_alarm.this["function/tracer-invocations-anomaly"].metric_query : query.expression if query.id == "result"]) == "ANOMALY_DETECTION_BAND(calls, 3)")
    error_message = "The band that CloudWatch learnt is the threshold."
  }

  assert {
    condition     = alltrue([for query in aws_cloudwatch_metric_alarm.this["function/tracer-invocations-anomaly"].metric_query : query.return_data])
    error_message = "The metric is compared with its band: both are returned."
  }

  assert {
    condition     = !contains(keys(aws_cloudwatch_metric_alarm.this), "function/tracer-invocations-too-few")
    error_message = "One alarm on the number of calls is enough."
  }
}

run "averaging_and_thresholds" {
  variables {
    period_seconds           = 300
    evaluation_periods       = 12
    datapoints_to_alarm      = 6
    error_percent            = 5
    duration_percent         = 50
    throttle_threshold       = 3
    concurrency_percent      = 60
    api_4xx_percent          = 40
    api_5xx_percent          = 2
    api_latency_ms           = 500
    table_throttle_threshold = 7
  }

  assert {
    condition = (aws_cloudwatch_metric_alarm.this["function/tracer-errors"].evaluation_periods == 12
      && aws_cloudwatch_metric_alarm.this["function/tracer-errors"].datapoints_to_alarm == 6
    && one(aws_cloudwatch_metric_alarm.this["function/tracer-duration"].metric_query).metric[0].period == 300)
    error_message = "Over how long an alarm averages is the caller's choice."
  }

  assert {
    condition = { for key in ["function/tracer-errors", "function/tracer-duration", "function/tracer-throttles", "function/tracer-concurrency", "api/api-4xx", "api/api-5xx", "api/api-latency", "table/traces-throttles"] :
      key => aws_cloudwatch_metric_alarm.this[key].threshold } == {
      "function/tracer-errors"      = 5
      "function/tracer-duration"    = 5000
      "function/tracer-throttles"   = 3
      "function/tracer-concurrency" = 30
      "api/api-4xx"                 = 40
      "api/api-5xx"                 = 2
      "api/api-latency"             = 500
      "table/traces-throttles"      = 7
    }
    error_message = "So is what is too much."
  }
}

run "nothing_to_watch" {
  variables {
    functions   = {}
    http_apis   = {}
    tables      = {}
    log_filters = {}
  }

  assert {
    condition     = length(output.alarm_names) == 0 && output.dashboard_name == null
    error_message = "CloudWatch refuses a dashboard without widgets."
  }
}
