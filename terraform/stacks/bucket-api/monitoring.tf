# What is watched: the function that the API calls, the API, and both their logs.
module "monitoring" {
  source = "../../modules/monitoring"

  name = local.name

  functions = {
    (local.served) = {
      function_name     = module.function[local.served].function.function_name
      alias             = module.function[local.served].function.alias
      timeout_seconds   = var.timeout
      concurrency_limit = coalesce(var.reserved_concurrent_executions, 1000)
    }
  }

  http_apis = { api = { api_id = module.api.api_id } }

  log_filters = {
    # An answer of 502 or 503 is no error of Lambda's. The function logs its cause.
    failed-requests = {
      log_group_name = module.function[local.served].log_group_name
      pattern        = "{ $.level = \"ERROR\" }"
      description    = "bucket-api could not answer a request, for a reason that is not the caller's"
    }
    # One stranger is nothing; many are somebody trying, or a role that lost its policy.
    refused-callers = {
      log_group_name      = module.api.log_group_name
      pattern             = "{ $.status = \"403\" }"
      description         = "Callers that may not call the API, or did not sign"
      threshold           = var.refused_callers_threshold
      datapoints_to_alarm = 3
    }
  }

  enable_error_alerts       = var.enable_error_alerts
  enable_duration_alerts    = var.enable_duration_alerts
  enable_throttle_alerts    = var.enable_throttle_alerts
  enable_concurrency_alerts = var.enable_concurrency_alerts
  invocation_alerts         = var.invocation_alerts
  enable_api_alerts         = var.enable_api_alerts
  enable_log_alerts         = var.enable_log_alerts
  enable_dashboard          = var.enable_dashboard
  api_latency_ms            = var.api_latency_ms

  make_topic               = var.make_alerts_topic
  publisher_services       = local.tells_findings ? ["events.amazonaws.com"] : []
  email_addresses          = var.make_alerts_topic ? var.alert_email_addresses : []
  slack_channel            = var.slack_channel
  teams_channel            = var.teams_channel
  permissions_boundary_arn = var.permissions_boundary_arn
}

# Detectors that this stack made before belong to the account now (terraform/bootstrap), and go on.
removed {
  from = aws_guardduty_detector.this

  lifecycle {
    destroy = false
  }
}

removed {
  from = aws_guardduty_detector_feature.s3

  lifecycle {
    destroy = false
  }
}

resource "aws_cloudwatch_event_rule" "findings" {
  count = local.tells_findings ? 1 : 0

  name        = "${local.name}-findings"
  description = "What GuardDuty finds in this account and region, from medium severity on"

  event_pattern = jsonencode({
    source      = ["aws.guardduty"]
    detail-type = ["GuardDuty Finding"]
    detail      = { severity = [{ numeric = [">=", 4] }] }
  })
}

resource "aws_cloudwatch_event_target" "findings" {
  count = local.tells_findings ? 1 : 0

  rule = aws_cloudwatch_event_rule.findings[0].name
  arn  = module.monitoring.topic_arn
}
