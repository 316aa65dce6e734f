# What calls the alias when something happens elsewhere, and where results of asynchronous calls go.
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

  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-dev-ingest" }
  }

  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest:live" }
  }

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-central-1:222222222222:rule/shop-222222222222-dev-ingest-nightly" }
  }

  mock_resource "aws_lambda_event_source_mapping" {
    defaults = { uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2" }
  }
}

variables {
  name = "shop-222222222222-dev-ingest"
  release = {
    version      = "1.4.2"
    architecture = "x86_64"
    runtime      = "python3.13"
    handler      = "ingest.app.handle"
    code = {
      sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
      s3     = { bucket = "shop-111111111111-artifacts", key = "artifacts/sha256/6877.zip" }
    }
  }
}

run "topic" {
  variables {
    topic_triggers = {
      orders = { topic_arn = "arn:aws:sns:eu-central-1:222222222222:orders", filter_policy = "{\"kind\":[\"order\"]}", dead_letter_queue_arn = "arn:aws:sqs:eu-central-1:222222222222:dead" }
    }
  }

  assert {
    condition = (aws_sns_topic_subscription.this["orders"].protocol == "lambda" && aws_sns_topic_subscription.this["orders"].endpoint == output.alias_arn
      && aws_sns_topic_subscription.this["orders"].filter_policy_scope == "MessageAttributes"
    && jsondecode(aws_sns_topic_subscription.this["orders"].redrive_policy).deadLetterTargetArn == "arn:aws:sqs:eu-central-1:222222222222:dead")
    error_message = "The topic calls the alias, with messages that pass the filter, and what it can't deliver is kept."
  }

  assert {
    condition = (aws_lambda_permission.trigger["Topic-orders"].principal == "sns.amazonaws.com" && aws_lambda_permission.trigger["Topic-orders"].qualifier == "live"
    && aws_lambda_permission.trigger["Topic-orders"].source_arn == "arn:aws:sns:eu-central-1:222222222222:orders")
    error_message = "SNS may call the alias on behalf of this topic, and of no other."
  }
}

run "bucket" {
  variables {
    bucket_triggers = {
      uploads = { bucket = "shop-uploads", notifications = [{ filter_prefix = "in/" }, { events = ["s3:ObjectRemoved:*"], filter_suffix = ".csv" }] }
    }
  }

  assert {
    condition = ([for part in aws_s3_bucket_notification.this["uploads"].lambda_function : "${part.filter_prefix == null ? "" : part.filter_prefix}|${part.filter_suffix == null ? "" : part.filter_suffix}|${join(",", part.events)}"]
    == ["in/||s3:ObjectCreated:*", "|.csv|s3:ObjectRemoved:*"])
    error_message = "Each notification calls the alias, for its own events."
  }

  assert {
    condition = (aws_lambda_permission.trigger["Bucket-uploads"].source_arn == "arn:aws:s3:::shop-uploads"
    && aws_lambda_permission.trigger["Bucket-uploads"].source_account == "222222222222" && aws_lambda_permission.trigger["Bucket-uploads"].qualifier == "live")
    error_message = "S3 may call the alias on behalf of this bucket while this account owns it."
  }
}

run "rules" {
  variables {
    event_rules = {
      nightly = { schedule_expression = "cron(0 3 * * ? *)", input = "{}" }
      orders  = { event_pattern = "{\"source\":[\"shop.orders\"]}", event_bus_name = "shop", enabled = false, dead_letter_queue_arn = "arn:aws:sqs:eu-central-1:222222222222:dead" }
    }
  }

  assert {
    condition = (aws_cloudwatch_event_rule.this["nightly"].name == "shop-222222222222-dev-ingest-nightly" && aws_cloudwatch_event_rule.this["nightly"].state == "ENABLED"
    && aws_cloudwatch_event_rule.this["orders"].event_bus_name == "shop" && aws_cloudwatch_event_rule.this["orders"].state == "DISABLED")
    error_message = "Each rule has its own name, bus and state."
  }

  assert {
    condition = (aws_cloudwatch_event_target.this["nightly"].arn == output.alias_arn && aws_cloudwatch_event_target.this["nightly"].input == "{}"
    && aws_cloudwatch_event_target.this["orders"].dead_letter_config[0].arn == "arn:aws:sqs:eu-central-1:222222222222:dead")
    error_message = "A rule calls the alias."
  }

  assert {
    condition = (aws_lambda_permission.trigger["Rule-nightly"].principal == "events.amazonaws.com"
    && aws_lambda_permission.trigger["Rule-nightly"].source_arn == aws_cloudwatch_event_rule.this["nightly"].arn)
    error_message = "EventBridge may call the alias on behalf of this rule."
  }
}

run "results_of_asynchronous_calls" {
  variables {
    async_invocation = {
      maximum_retry_attempts = 0
      on_success_arn         = "arn:aws:events:eu-central-1:222222222222:event-bus/shop"
      on_failure_arn         = "arn:aws:s3:::shop-failures"
    }
  }

  assert {
    condition = (aws_lambda_function_event_invoke_config.this[0].qualifier == "live" && aws_lambda_function_event_invoke_config.this[0].maximum_retry_attempts == 0
      && aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_success[0].destination == var.async_invocation.on_success_arn
    && aws_lambda_function_event_invoke_config.this[0].destination_config[0].on_failure[0].destination == var.async_invocation.on_failure_arn)
    error_message = "The alias's asynchronous calls send their results on."
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.connections[0].policy).Statement : statement.Sid => join(" ", concat(statement.Action, ["on"], statement.Resource)) } == {
      SendResultsToEventBuses = "events:PutEvents on arn:aws:events:eu-central-1:222222222222:event-bus/shop"
      SendResultsToBuckets    = "s3:ListBucket s3:PutObject on arn:aws:s3:::shop-failures arn:aws:s3:::shop-failures/*"
    }
    error_message = "The role may send them there, and nowhere else."
  }
}

run "refuses_triggers_that_are_none" {
  command = plan

  variables {
    topic_triggers   = { orders = { topic_arn = "arn:aws:sqs:eu-central-1:222222222222:orders" } }
    bucket_triggers  = { a = { bucket = "shop-uploads" }, b = { bucket = "shop-uploads" } }
    event_rules      = { nightly = { schedule_expression = "every night" } }
    async_invocation = { on_success_arn = "arn:aws:s3:::shop-results" }
  }

  expect_failures = [var.topic_triggers, var.bucket_triggers, var.event_rules, var.async_invocation]
}

run "refuses_a_rule_with_schedule_and_pattern" {
  command = plan

  variables {
    event_rules = { nightly = { schedule_expression = "rate(1 day)", event_pattern = "{}" } }
  }

  expect_failures = [var.event_rules]
}
