# Who moves the alias and opens the sources: Slipway, or Terraform.
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

  mock_resource "aws_lambda_function" {
    defaults = {
      arn           = "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest"
      qualified_arn = "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest:7"
      version       = "7"
    }
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

run "external_by_default" {
  variables {
    event_sources = { orders = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders" } }
  }

  assert {
    condition     = length(aws_lambda_alias.live) == 1 && length(aws_lambda_alias.following) == 0
    error_message = "Without more the alias is the one that Terraform leaves where it points."
  }

  assert {
    condition     = !aws_lambda_event_source_mapping.this["orders"].enabled && length(aws_lambda_event_source_mapping.following) == 0
    error_message = "Without more a source is made disabled."
  }
}

run "terraform" {
  variables {
    rollout = "terraform"
    event_sources = {
      orders  = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders", maximum_concurrency = 5 }
      refunds = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:refunds", enabled = false }
    }
  }

  assert {
    condition     = length(aws_lambda_alias.live) == 0 && aws_lambda_alias.following[0].name == "live" && aws_lambda_alias.following[0].function_version == "7"
    error_message = "The alias has the same name, and points to the version that was published."
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this) == 0 && aws_lambda_event_source_mapping.following["orders"].enabled && !aws_lambda_event_source_mapping.following["refunds"].enabled
    error_message = "A source is enabled as asked."
  }

  assert {
    condition = (aws_lambda_event_source_mapping.following["orders"].scaling_config[0].maximum_concurrency == 5
      && length(aws_lambda_event_source_mapping.following["refunds"].scaling_config) == 0
    && aws_lambda_event_source_mapping.following["orders"].function_name == output.alias_arn)
    error_message = "A queue feeds the alias, as many batches at a time as asked."
  }

  assert {
    condition     = [for source in output.function.event_sources : source.enabled] == [true, false] && output.function.alias == "live"
    error_message = "The output `function` is the same in both ways."
  }

  assert {
    condition = (output.function_name == "shop-222222222222-dev-ingest"
      && output.function_arn == "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest"
    && output.qualified_arn == "${output.function_arn}:7" && output.version == "7")
    error_message = "Function, version and both ARNs go out."
  }
}

run "refuses_a_concurrency_for_a_stream" {
  command = plan

  variables {
    event_sources = { readings = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings", maximum_concurrency = 5 } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_window_for_a_queue" {
  command = plan

  variables {
    event_sources = { orders = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders", tumbling_window_in_seconds = 30 } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_batch_of_nothing" {
  command = plan

  variables {
    event_sources = { orders = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders", batch_size = 0 } }
  }

  expect_failures = [var.event_sources]
}
