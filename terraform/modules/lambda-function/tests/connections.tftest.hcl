# What the function is connected to: sources, dead letters, VPC, traces.
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

run "nothing_by_default" {
  assert {
    condition = (length(aws_lambda_event_source_mapping.this) == 0
      && length(aws_lambda_function.this.vpc_config) == 0
    && length(aws_lambda_function.this.dead_letter_config) == 0)
    error_message = "Without more the function has no source, no VPC and no dead letters."
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "PassThrough" && aws_lambda_function.this.ephemeral_storage[0].size == 512
    error_message = "Tracing and storage are Lambda's defaults, written out."
  }

  assert {
    condition     = length(aws_iam_role_policy.connections) == 0
    error_message = "A function without connections is allowed nothing for them."
  }

  assert {
    condition     = !contains(keys(output.function), "event_sources")
    error_message = "Where there are no sources the contract names none."
  }
}

run "stream" {
  variables {
    event_sources = {
      readings = {
        event_source_arn                   = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings"
        batch_size                         = 50
        maximum_batching_window_in_seconds = 5
        parallelization_factor             = 2
        bisect_batch_on_function_error     = true
        maximum_retry_attempts             = 3
        maximum_record_age_in_seconds      = 3600
        filter_patterns                    = ["{\"data\":{\"kind\":[\"reading\"]}}", "{\"data\":{\"kind\":[\"alarm\"]}}"]
        on_failure_destination_arn         = "arn:aws:sqs:eu-central-1:222222222222:failed"
      }
    }
    tags = { Team = "shop" }
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this["readings"].function_name == "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest:live"
    error_message = "A source feeds the alias, never the function's newest code."
  }

  assert {
    condition     = !aws_lambda_event_source_mapping.this["readings"].enabled
    error_message = "A source is made shut: the first version is not verified yet."
  }

  assert {
    condition = (aws_lambda_event_source_mapping.this["readings"].event_source_arn == "arn:aws:kinesis:eu-central-1:222222222222:stream/readings"
      && aws_lambda_event_source_mapping.this["readings"].starting_position == "TRIM_HORIZON"
      && aws_lambda_event_source_mapping.this["readings"].batch_size == 50
      && aws_lambda_event_source_mapping.this["readings"].maximum_batching_window_in_seconds == 5
      && aws_lambda_event_source_mapping.this["readings"].parallelization_factor == 2
      && aws_lambda_event_source_mapping.this["readings"].bisect_batch_on_function_error
      && aws_lambda_event_source_mapping.this["readings"].maximum_retry_attempts == 3
    && aws_lambda_event_source_mapping.this["readings"].maximum_record_age_in_seconds == 3600)
    error_message = "What the stack asks for reaches the mapping, and a stream is read from its oldest record."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this["readings"].function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "A batch reports which of its records failed, unless told otherwise."
  }

  assert {
    condition     = toset([for filter in one(aws_lambda_event_source_mapping.this["readings"].filter_criteria).filter : filter.pattern]) == toset(var.event_sources.readings.filter_patterns)
    error_message = "Every pattern becomes a filter."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this["readings"].destination_config[0].on_failure[0].destination_arn == "arn:aws:sqs:eu-central-1:222222222222:failed"
    error_message = "What failed for good is kept."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this["readings"].tags == tomap({ Team = "shop" })
    error_message = "The mapping is tagged."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.connections[0].policy).Statement == [
      {
        Sid      = "ReadStreams"
        Effect   = "Allow"
        Action   = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
        Resource = ["arn:aws:kinesis:eu-central-1:222222222222:stream/readings"]
      },
      {
        Sid      = "KeepFailedBatchesInQueues"
        Effect   = "Allow"
        Action   = ["sqs:SendMessage"]
        Resource = ["arn:aws:sqs:eu-central-1:222222222222:failed"]
      },
    ]
    error_message = "The role may read this stream and write to this queue, and no more."
  }

  assert {
    condition     = jsonencode(output.function.event_sources) == jsonencode([{ uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2", enabled = true }])
    error_message = "Slipway learns which mapping it is to open."
  }
}

run "sources_of_every_kind" {
  variables {
    event_sources = {
      b-queue    = { event_source_arn = "arn:aws:sqs:eu-central-1:222222222222:orders", report_batch_item_failures = false }
      a-table    = { event_source_arn = "arn:aws:dynamodb:eu-central-1:222222222222:table/orders/stream/2026-11-22T00:00:00.000", starting_position = "LATEST", enabled = false, on_failure_destination_arn = "arn:aws:s3:::shop-222222222222-dev-failed" }
      c-consumer = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings/consumer/ingest:1700000000", on_failure_destination_arn = "arn:aws:sns:eu-central-1:222222222222:failed" }
    }
  }

  assert {
    condition = { for statement in jsondecode(aws_iam_role_policy.connections[0].policy).Statement : statement.Sid => join(" ", concat(statement.Action, ["on"], statement.Resource)) } == {
      ReadStreams                = "kinesis:DescribeStream kinesis:DescribeStreamSummary kinesis:GetRecords kinesis:GetShardIterator kinesis:ListShards on arn:aws:kinesis:eu-central-1:222222222222:stream/readings"
      SubscribeToStreams         = "kinesis:DescribeStreamConsumer kinesis:SubscribeToShard on arn:aws:kinesis:eu-central-1:222222222222:stream/readings/consumer/ingest:1700000000"
      ReadTableStreams           = "dynamodb:DescribeStream dynamodb:GetRecords dynamodb:GetShardIterator on arn:aws:dynamodb:eu-central-1:222222222222:table/orders/stream/2026-11-22T00:00:00.000"
      ListTableStreams           = "dynamodb:ListStreams on *"
      ReadQueues                 = "sqs:DeleteMessage sqs:GetQueueAttributes sqs:ReceiveMessage on arn:aws:sqs:eu-central-1:222222222222:orders"
      KeepFailedBatchesInTopics  = "sns:Publish on arn:aws:sns:eu-central-1:222222222222:failed"
      KeepFailedBatchesInBuckets = "s3:ListBucket s3:PutObject on arn:aws:s3:::shop-222222222222-dev-failed arn:aws:s3:::shop-222222222222-dev-failed/*"
    }
    error_message = "Each kind of source and destination brings its own statement, on its own resource."
  }

  assert {
    condition = (aws_lambda_event_source_mapping.this["b-queue"].starting_position == null
    && aws_lambda_event_source_mapping.this["a-table"].starting_position == "LATEST")
    error_message = "A queue has no starting position; a stream has the one asked for."
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.this["b-queue"].function_response_types) == 0 && length(aws_lambda_event_source_mapping.this["b-queue"].filter_criteria) == 0 && length(aws_lambda_event_source_mapping.this["b-queue"].destination_config) == 0
    error_message = "What was not asked for is left out."
  }

  assert {
    condition     = [for source in output.function.event_sources : source.enabled] == [false, true, true]
    error_message = "The sources go out by key, each as it is to be once the function is verified."
  }
}

run "dead_letters_in_a_queue" {
  variables {
    dead_letter_target_arn = "arn:aws:sqs:eu-central-1:222222222222:dead"
  }

  assert {
    condition     = aws_lambda_function.this.dead_letter_config[0].target_arn == "arn:aws:sqs:eu-central-1:222222222222:dead"
    error_message = "The target reaches the function."
  }

  assert {
    condition = (length(jsondecode(aws_iam_role_policy.logs[0].policy).Statement) == 3
      && jsondecode(aws_iam_role_policy.logs[0].policy).Statement[2].Action == "sqs:SendMessage"
    && jsondecode(aws_iam_role_policy.logs[0].policy).Statement[2].Resource == "arn:aws:sqs:eu-central-1:222222222222:dead")
    error_message = "The role may send to this queue."
  }
}

run "dead_letters_in_a_topic" {
  variables {
    dead_letter_target_arn = "arn:aws:sns:eu-central-1:222222222222:dead"
  }

  assert {
    condition = (jsondecode(aws_iam_role_policy.logs[0].policy).Statement[2].Action == "sns:Publish"
    && jsondecode(aws_iam_role_policy.logs[0].policy).Statement[2].Resource == "arn:aws:sns:eu-central-1:222222222222:dead")
    error_message = "The role may publish to this topic."
  }
}

run "vpc" {
  variables {
    vpc = { subnet_ids = ["subnet-0a", "subnet-0b"], security_group_ids = ["sg-0a"] }
  }

  assert {
    condition = (aws_lambda_function.this.vpc_config[0].subnet_ids == toset(["subnet-0a", "subnet-0b"])
    && aws_lambda_function.this.vpc_config[0].security_group_ids == toset(["sg-0a"]))
    error_message = "The function joins the VPC through the subnets and groups given."
  }

  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.connections[0].policy).Statement : "${statement.Effect} ${statement.Sid}"] == ["Allow JoinVpc", "Deny JoinVpcByLambdaAlone"]
    error_message = "Lambda may make the interfaces."
  }

  assert {
    condition = (jsondecode(aws_iam_role_policy.connections[0].policy).Statement[0].Action == jsondecode(aws_iam_role_policy.connections[0].policy).Statement[1].Action
    && jsondecode(aws_iam_role_policy.connections[0].policy).Statement[1].Condition.ArnEquals["lambda:SourceFunctionArn"] == "arn:aws:lambda:eu-central-1:222222222222:function:shop-222222222222-dev-ingest")
    error_message = "The function's code may not."
  }
}

run "traces_and_storage" {
  variables {
    tracing_mode         = "Active"
    ephemeral_storage_mb = 2048
  }

  assert {
    condition     = aws_lambda_function.this.tracing_config[0].mode == "Active" && aws_lambda_function.this.ephemeral_storage[0].size == 2048
    error_message = "Mode and size reach the function."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.connections[0].policy).Statement == [{
      Sid      = "WriteTraces"
      Effect   = "Allow"
      Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      Resource = ["*"]
    }]
    error_message = "The role may write traces."
  }
}

run "opentelemetry" {
  variables {
    environment_variables = { OTEL_SERVICE_NAME = "orders" }
    layers                = ["arn:aws:lambda:eu-central-1:222222222222:layer:fonts:3"]
    opentelemetry = {
      layer_arn     = "arn:aws:lambda:eu-central-1:901920570463:layer:aws-otel-python-amd64-ver-1-32-0:1"
      sampled_share = 0.1
      wrapper       = "/opt/otel-instrument"
    }
  }

  assert {
    condition     = aws_lambda_function.this.layers[1] == "arn:aws:lambda:eu-central-1:901920570463:layer:aws-otel-python-amd64-ver-1-32-0:1" && length(aws_lambda_function.this.layers) == 2
    error_message = "The collector lies over the other layers."
  }

  assert {
    condition = aws_lambda_function.this.environment[0].variables == tomap({
      AWS_LAMBDA_EXEC_WRAPPER     = "/opt/otel-instrument"
      OTEL_EXPORTER_OTLP_ENDPOINT = "http://localhost:4318"
      OTEL_SERVICE_NAME           = "orders"
      OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
      OTEL_TRACES_SAMPLER_ARG     = "0.1"
    })
    error_message = "The function knows its collector."
  }

  assert {
    condition     = jsondecode(aws_iam_role_policy.connections[0].policy).Statement[*].Sid == ["WriteTraces"]
    error_message = "The collector sends with the function's role."
  }
}

run "refuses_a_collector_elsewhere" {
  command = plan

  variables {
    opentelemetry = { layer_arn = "aws-otel", endpoint = "https://collector.example", sampled_share = 2, wrapper = "otel-instrument" }
  }

  expect_failures = [var.opentelemetry]
}

run "refuses_a_source_that_is_none" {
  command = plan

  variables {
    event_sources = { topic = { event_source_arn = "arn:aws:sns:eu-central-1:222222222222:orders" } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_an_unknown_position" {
  command = plan

  variables {
    event_sources = { stream = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings", starting_position = "YESTERDAY" } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_destination_that_is_none" {
  command = plan

  variables {
    event_sources = { stream = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings", on_failure_destination_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/failed" } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_filter_of_nothing" {
  command = plan

  variables {
    event_sources = { stream = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings", filter_patterns = [] } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_filter_that_is_no_object" {
  command = plan

  variables {
    event_sources = { stream = { event_source_arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/readings", filter_patterns = ["kind = reading"] } }
  }

  expect_failures = [var.event_sources]
}

run "refuses_a_dead_letter_by_name" {
  command = plan

  variables {
    dead_letter_target_arn = "dead"
  }

  expect_failures = [var.dead_letter_target_arn]
}

run "refuses_a_vpc_without_groups" {
  command = plan

  variables {
    vpc = { subnet_ids = ["subnet-0a"], security_group_ids = [] }
  }

  expect_failures = [var.vpc]
}

run "refuses_an_unknown_tracing_mode" {
  command = plan

  variables {
    tracing_mode = "On"
  }

  expect_failures = [var.tracing_mode]
}

run "refuses_too_much_storage" {
  command = plan

  variables {
    ephemeral_storage_mb = 20480
  }

  expect_failures = [var.ephemeral_storage_mb]
}
