# Whom the alarms tell.
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
  name      = "shop-222222222222-prod-tracer"
  functions = { tracer = { function_name = "shop-222222222222-prod-tracer", timeout_seconds = 10 } }

  subscribed_elsewhere = true
}

run "warns_of_a_topic_without_a_subscriber" {
  variables {
    subscribed_elsewhere = false
  }

  expect_failures = [check.somebody_is_notified]
}

run "encrypted_topic_by_default" {
  assert {
    condition     = aws_sns_topic.this[0].name == "shop-222222222222-prod-tracer" && aws_sns_topic.this[0].kms_master_key_id == module.key[0].arn
    error_message = "The topic is encrypted with a key of its own."
  }

  assert {
    condition = jsonencode(jsondecode(aws_sns_topic_policy.this[0].policy).Statement) == jsonencode([{
      Sid       = "PublishedByService1"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = "arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-tracer"
      Condition = {
        StringEquals = { "aws:SourceAccount" = ["222222222222"] }
        ArnLike      = { "aws:SourceArn" = ["arn:aws:cloudwatch:eu-central-1:222222222222:alarm:shop-222222222222-prod-tracer-*"] }
      }
    }])
    error_message = "Only CloudWatch publishes, for alarms of this name in this account."
  }

  assert {
    condition = jsonencode(one([for statement in jsondecode(module.key[0].policy).Statement : [statement.Action, statement.Condition] if try(statement.Principal.Service, "") == "cloudwatch.amazonaws.com"])) == jsonencode([
      ["kms:Decrypt", "kms:GenerateDataKey*"], { StringEquals = { "aws:SourceAccount" = ["222222222222"] } }
    ])
    error_message = "CloudWatch may use the key, or its alarms would vanish."
  }

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && length(aws_iam_role.chat) == 0 && length(aws_chatbot_slack_channel_configuration.this) == 0 && length(aws_chatbot_teams_channel_configuration.this) == 0
    error_message = "Nobody is told who was not named."
  }
}

run "mail" {
  variables {
    email_addresses = ["ops@example.com", "shop@example.com"]
  }

  assert {
    condition = (toset([for subscription in aws_sns_topic_subscription.email : "${subscription.protocol} ${subscription.endpoint}"]) == toset(["email ops@example.com", "email shop@example.com"])
    && alltrue([for subscription in aws_sns_topic_subscription.email : subscription.topic_arn == output.topic_arn]))
    error_message = "Each address subscribes to the topic."
  }
}

run "other_publishers" {
  variables {
    publisher_services = ["budgets.amazonaws.com", "events.amazonaws.com"]
  }

  assert {
    condition = { for statement in jsondecode(aws_sns_topic_policy.this[0].policy).Statement : statement.Principal.Service => jsonencode(statement.Condition.StringEquals) } == {
      "cloudwatch.amazonaws.com" = jsonencode({ "aws:SourceAccount" = ["222222222222"] })
      "budgets.amazonaws.com"    = jsonencode({ "aws:SourceAccount" = ["222222222222"] })
      "events.amazonaws.com"     = jsonencode({ "aws:SourceAccount" = ["222222222222"] })
    }
    error_message = "The services named publish as well, for this account alone."
  }

  assert {
    condition = { for statement in jsondecode(module.key[0].policy).Statement : statement.Principal.Service => jsonencode(statement.Condition) if can(statement.Principal.Service) } == {
      "cloudwatch.amazonaws.com" = jsonencode({ StringEquals = { "aws:SourceAccount" = ["222222222222"] } })
      "budgets.amazonaws.com"    = jsonencode({ StringEquals = { "aws:SourceAccount" = ["222222222222"] } })
      "events.amazonaws.com"     = jsonencode({ StringEquals = { "kms:EncryptionContext:aws:sns:topicArn" = ["arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-tracer"] } })
    }
    error_message = "They use the key too; EventBridge says nothing of the account there, so the topic bounds it."
  }
}

run "given_key" {
  variables {
    make_key    = false
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/99999999-0000-4000-8000-000000000000"
  }

  assert {
    condition     = length(module.key) == 0 && aws_sns_topic.this[0].kms_master_key_id == "arn:aws:kms:eu-central-1:222222222222:key/99999999-0000-4000-8000-000000000000" && output.kms_key_arn == aws_sns_topic.this[0].kms_master_key_id
    error_message = "A given key is used and none is made."
  }
}

run "given_topic" {
  variables {
    make_topic = false
    topic_arn  = "arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"
  }

  assert {
    condition     = length(aws_sns_topic.this) == 0 && length(module.key) == 0 && output.kms_key_arn == null
    error_message = "A given topic brings its own key."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset(["arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"])])
    error_message = "The alarms tell the given topic."
  }
}

run "tells_nobody" {
  variables {
    make_topic = false
  }

  assert {
    condition     = output.topic_arn == null && length(aws_cloudwatch_metric_alarm.this) == 4 && alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == null || try(length(alarm.alarm_actions) == 0, false)])
    error_message = "Alarms may stand without telling anybody."
  }
}

run "slack" {
  variables {
    slack_channel            = { workspace_id = "T07EA123LEP", channel_id = "C07EZ1ABC23" }
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/shop-222222222222-prod-boundary"
  }

  assert {
    condition = (aws_chatbot_slack_channel_configuration.this[0].slack_team_id == "T07EA123LEP"
      && aws_chatbot_slack_channel_configuration.this[0].slack_channel_id == "C07EZ1ABC23"
      && aws_chatbot_slack_channel_configuration.this[0].sns_topic_arns == toset([output.topic_arn])
    && aws_chatbot_slack_channel_configuration.this[0].iam_role_arn == aws_iam_role.chat[0].arn)
    error_message = "The channel hears the topic."
  }

  assert {
    condition     = aws_chatbot_slack_channel_configuration.this[0].guardrail_policy_arns == tolist([aws_iam_policy.chat[0].arn])
    error_message = "A channel without a guardrail of its own has AdministratorAccess for one."
  }

  assert {
    condition     = alltrue([for action in jsondecode(aws_iam_policy.chat[0].policy).Statement[0].Action : can(regex("^cloudwatch:(Describe|Get|List)", action))]) && length(jsondecode(aws_iam_policy.chat[0].policy).Statement) == 1
    error_message = "From the channel metrics are read and nothing is changed."
  }

  assert {
    condition = (jsondecode(aws_iam_role.chat[0].assume_role_policy).Statement[0].Principal.Service == "chatbot.amazonaws.com"
      && jsondecode(aws_iam_role.chat[0].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "222222222222"
    && aws_iam_role.chat[0].permissions_boundary == "arn:aws:iam::222222222222:policy/shop-222222222222-prod-boundary")
    error_message = "The role is for chat channels of this account, within the boundary."
  }

  assert {
    condition     = length(aws_chatbot_teams_channel_configuration.this) == 0
    error_message = "Teams is told nothing."
  }
}

run "teams" {
  variables {
    teams_channel = {
      tenant_id  = "11111111-2222-4333-8444-555555555555"
      team_id    = "66666666-7777-4888-8999-000000000000"
      channel_id = "19%3Aabc%40thread.tacv2"
    }
  }

  assert {
    condition = (aws_chatbot_teams_channel_configuration.this[0].tenant_id == "11111111-2222-4333-8444-555555555555"
      && aws_chatbot_teams_channel_configuration.this[0].channel_id == "19%3Aabc%40thread.tacv2"
      && aws_chatbot_teams_channel_configuration.this[0].guardrail_policy_arns == tolist([aws_iam_policy.chat[0].arn])
    && length(aws_chatbot_slack_channel_configuration.this) == 0)
    error_message = "The Teams channel hears the topic, within the same guardrail."
  }
}

run "refuses_a_name_with_a_space" {
  command = plan

  variables {
    name = "shop tracer"
  }

  expect_failures = [var.name]
}

run "refuses_a_function_without_a_time_limit" {
  command = plan

  variables {
    functions = { tracer = { function_name = "tracer", timeout_seconds = 0 } }
  }

  expect_failures = [var.functions]
}

run "refuses_a_function_that_never_runs" {
  command = plan

  variables {
    functions = { tracer = { function_name = "tracer", timeout_seconds = 10, concurrency_limit = 0 } }
  }

  expect_failures = [var.functions]
}

run "refuses_an_alarm_on_no_event" {
  command = plan

  variables {
    log_filters = { panic = { log_group_name = "/aws/lambda/tracer", pattern = "panicked", threshold = 0 } }
  }

  expect_failures = [var.log_filters]
}

run "refuses_more_datapoints_of_events_than_periods" {
  command = plan

  variables {
    log_filters = { panic = { log_group_name = "/aws/lambda/tracer", pattern = "panicked", datapoints_to_alarm = 6 } }
  }

  expect_failures = [var.log_filters]
}

run "refuses_a_metric_with_a_space" {
  command = plan

  variables {
    log_filters = { "a panic" = { log_group_name = "/aws/lambda/tracer", pattern = "panicked" } }
  }

  expect_failures = [var.log_filters]
}

run "refuses_an_unknown_alarm_on_calls" {
  command = plan

  variables {
    invocation_alerts = "many"
  }

  expect_failures = [var.invocation_alerts]
}

run "refuses_half_a_minute" {
  command = plan

  variables {
    period_seconds = 30
  }

  expect_failures = [var.period_seconds]
}

run "refuses_more_than_a_day" {
  command = plan

  variables {
    period_seconds     = 3600
    evaluation_periods = 25
  }

  expect_failures = [var.evaluation_periods]
}

run "refuses_more_datapoints_than_periods" {
  command = plan

  variables {
    evaluation_periods  = 3
    datapoints_to_alarm = 4
  }

  expect_failures = [var.datapoints_to_alarm]
}

run "refuses_shares_over_the_whole" {
  command = plan

  variables {
    error_percent       = 100
    duration_percent    = 100
    concurrency_percent = 101
    api_4xx_percent     = 100
    api_5xx_percent     = 100
  }

  expect_failures = [var.error_percent, var.duration_percent, var.concurrency_percent, var.api_4xx_percent, var.api_5xx_percent]
}

run "refuses_numbers_below_nothing" {
  command = plan

  variables {
    throttle_threshold       = -1
    table_throttle_threshold = -1
    minimum_invocations      = 0
    anomaly_deviations       = 0
    api_latency_ms           = 0
  }

  expect_failures = [var.throttle_threshold, var.table_throttle_threshold, var.minimum_invocations, var.anomaly_deviations, var.api_latency_ms]
}

run "refuses_two_topics" {
  command = plan

  variables {
    topic_arn = "arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"
  }

  expect_failures = [var.topic_arn]
}

run "refuses_a_topic_without_a_key" {
  command = plan

  variables {
    make_key = false
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_two_keys" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/99999999-0000-4000-8000-000000000000"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_publisher_that_is_no_service" {
  command = plan

  variables {
    publisher_services = ["budgets"]
  }

  expect_failures = [var.publisher_services]
}

run "refuses_an_address_without_an_at" {
  command = plan

  variables {
    email_addresses = ["ops"]
  }

  expect_failures = [var.email_addresses]
}

run "refuses_mail_from_a_given_topic" {
  command = plan

  variables {
    make_topic      = false
    topic_arn       = "arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"
    email_addresses = ["ops@example.com"]
  }

  expect_failures = [var.email_addresses]
}

run "refuses_a_slack_channel_by_name" {
  command = plan

  variables {
    slack_channel = { workspace_id = "T07EA123LEP", channel_id = "#alarms" }
  }

  expect_failures = [var.slack_channel]
}

run "refuses_a_slack_channel_without_a_topic" {
  command = plan

  variables {
    make_topic    = false
    slack_channel = { workspace_id = "T07EA123LEP", channel_id = "C07EZ1ABC23" }
  }

  expect_failures = [var.slack_channel]
}

run "refuses_a_teams_tenant_by_name" {
  command = plan

  variables {
    teams_channel = { tenant_id = "shop", team_id = "66666666-7777-4888-8999-000000000000", channel_id = "19%3Aabc%40thread.tacv2" }
  }

  expect_failures = [var.teams_channel]
}

run "refuses_a_teams_channel_without_a_topic" {
  command = plan

  variables {
    make_topic    = false
    teams_channel = { tenant_id = "11111111-2222-4333-8444-555555555555", team_id = "66666666-7777-4888-8999-000000000000", channel_id = "19%3Aabc%40thread.tacv2" }
  }

  expect_failures = [var.teams_channel]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
    make_key    = false
  }

  expect_failures = [var.kms_key_arn]
}
