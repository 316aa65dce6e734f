# The stack's side of the contract with Slipway, and what it makes of its values, without AWS.
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
    defaults = { arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-stream-ingest" }
  }
  mock_resource "aws_kinesis_stream" {
    defaults = { arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/slipway-222222222222-dev-stream-events" }
  }
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-central-1:222222222222:table/slipway-222222222222-dev-stream-events" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::slipway-222222222222-dev-stream-records" }
  }
  mock_resource "aws_secretsmanager_secret" {
    defaults = { arn = "arn:aws:secretsmanager:eu-central-1:222222222222:secret:slipway-222222222222-dev-stream-pseudonym-key-AbCdEf" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:222222222222:slipway-222222222222-dev-stream-failures" }
  }
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-central-1:222222222222:slipway-222222222222-dev-stream" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0c000000-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-central-1:222222222222:function:slipway-222222222222-dev-stream-ingest:live" }
  }
}

# Four keys that differ, or the assertions could not tell one from the other.
override_resource {
  target = module.bucket_key.aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0b000000-0000-4000-8000-000000000000" }
}

override_resource {
  target = module.table_key.aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0d000000-0000-4000-8000-000000000000" }
}

override_resource {
  target = module.stream_key.aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0a000000-0000-4000-8000-000000000000" }
}

override_resource {
  target = module.secret_key.aws_kms_key.this
  values = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0e000000-0000-4000-8000-000000000000" }
}

variables {
  alert_email_addresses = ["ops@example.com"]

  environment = {
    name       = "dev"
    project    = "slipway"
    account_id = "222222222222"
    region     = "eu-central-1"
  }
  releases = {
    stream-ingest = {
      version      = "0.1.0"
      architecture = "x86_64"
      runtime      = "python3.13"
      handler      = "stream_ingest.app.handle"
      code = {
        sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
        s3     = { bucket = "slipway-111111111111-artifacts", key = "artifacts/sha256/6877.zip" }
      }
    }
  }
}

run "contract" {
  assert {
    condition     = keys(output.functions) == ["stream-ingest"] && length(setsubtract(["alias", "code_sha256", "function_name", "version"], keys(output.functions.stream-ingest))) == 0
    error_message = "`functions` names each function of the stack with its name, alias, version and digest."
  }

  assert {
    condition     = output.functions.stream-ingest.function_name == "slipway-222222222222-dev-stream-ingest" && output.functions.stream-ingest.alias == "live"
    error_message = "Names are <project>-<account id>-<environment>-<resource>."
  }

  assert {
    condition = ([output.stream_name, output.table_name, output.bucket_name, output.secret_name, aws_sqs_queue.failures.name]
      == ["slipway-222222222222-dev-stream-events", "slipway-222222222222-dev-stream-events", "slipway-222222222222-dev-stream-records", "slipway-222222222222-dev-stream-pseudonym-key", "slipway-222222222222-dev-stream-failures"]
    && output.stream_ingest_log_group_name == "/aws/lambda/slipway-222222222222-dev-stream-ingest")
    error_message = "Everything else is named so too."
  }
}

run "one_key_for_each_storage" {
  assert {
    condition = output.key_arns == {
      bucket = "arn:aws:kms:eu-central-1:222222222222:key/0b000000-0000-4000-8000-000000000000"
      table  = "arn:aws:kms:eu-central-1:222222222222:key/0d000000-0000-4000-8000-000000000000"
      stream = "arn:aws:kms:eu-central-1:222222222222:key/0a000000-0000-4000-8000-000000000000"
      secret = "arn:aws:kms:eu-central-1:222222222222:key/0e000000-0000-4000-8000-000000000000"
    }
    error_message = "Bucket, table, stream and secret have a key each."
  }

  assert {
    condition = ({ for name, policy in { bucket = module.bucket_key.policy, table = module.table_key.policy, stream = module.stream_key.policy, secret = module.secret_key.policy } :
      name => one([for statement in jsondecode(policy).Statement : statement.Condition.StringEquals["kms:ViaService"] if statement.Sid == "UsedThroughServices"]) }
      == {
        bucket = ["s3.eu-central-1.amazonaws.com"]
        table  = ["dynamodb.eu-central-1.amazonaws.com"]
        stream = ["kinesis.eu-central-1.amazonaws.com", "sqs.eu-central-1.amazonaws.com"]
        secret = ["secretsmanager.eu-central-1.amazonaws.com"]
    })
    error_message = "Each key is used through its own service alone; the stream's through the queue of failures too."
  }

  assert {
    condition     = aws_sqs_queue.failures.kms_master_key_id == output.key_arns.stream && aws_sqs_queue.failures.message_retention_seconds == 1209600
    error_message = "The queue is encrypted with the stream's key and keeps its messages for 14 days."
  }
}

run "least_privilege" {
  assert {
    condition = jsonencode([for statement in local.statements : [statement.sid, statement.actions, statement.resources]]) == jsonencode([
      ["WriteEvents", ["dynamodb:PutItem"], [output.table_arn]],
      ["UseTableKey", ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"], [output.key_arns.table]],
      ["WriteRecords", ["s3:PutObject"], ["${output.bucket_arn}/raw/*", "${output.bucket_arn}/rejected/*"]],
      ["EncryptRecords", ["kms:GenerateDataKey"], [output.key_arns.bucket]],
      ["ReadSecret", ["secretsmanager:GetSecretValue"], [output.secret_arn]],
      ["DecryptSecret", ["kms:Decrypt"], [output.key_arns.secret]],
      ["UseStreamKey", ["kms:Decrypt", "kms:GenerateDataKey"], [output.key_arns.stream]],
    ])
    error_message = "The function writes its table and two prefixes of its bucket and reads its secret, with the keys of these, and no more."
  }
}

run "fed_by_the_stream" {
  assert {
    condition = local.event_sources == { stream = {
      event_source_arn                   = output.stream_arn
      starting_position                  = "TRIM_HORIZON"
      batch_size                         = 100
      maximum_batching_window_in_seconds = 1
      bisect_batch_on_function_error     = true
      maximum_retry_attempts             = -1
      maximum_record_age_in_seconds      = 43200
      report_batch_item_failures         = true
      on_failure_destination_arn         = output.failures_queue_arn
      enabled                            = true
    } }
    error_message = "The stream feeds the function from its oldest record on; what fails for good is told to the queue."
  }

  assert {
    condition     = length(output.functions.stream-ingest.event_sources) == 1 && output.functions.stream-ingest.event_sources[0].enabled
    error_message = "A rollout is told to open the event source."
  }
}

run "not_fed" {
  command = plan

  variables {
    event_source_enabled = false
  }

  assert {
    condition     = !local.event_sources.stream.enabled
    error_message = "Switched off, no rollout opens the event source."
  }
}

run "bucket_takes_https_alone" {
  assert {
    condition     = [for statement in jsondecode(module.bucket.policy).Statement : [statement.Sid, statement.Effect]] == [["HttpsOnly", "Deny"]]
    error_message = "The bucket refuses calls without TLS."
  }
}

run "emulator" {
  variables {
    emulated = true
  }

  assert {
    condition     = module.bucket.policy == null
    error_message = "Without the condition the bucket needs no policy."
  }
}

run "expiry_of_rejected_records" {
  command = plan

  assert {
    condition     = local.expiring_prefixes == tomap({ "rejected/" = 90 })
    error_message = "Rejected records go after 90 days; those taken in stay."
  }
}

run "rejected_records_kept" {
  command = plan

  variables {
    rejected_days = null
  }

  assert {
    condition     = length(local.expiring_prefixes) == 0
    error_message = "Null keeps them."
  }
}

run "outside_a_vpc" {
  command = plan

  assert {
    condition     = local.vpc == null
    error_message = "Not asked to join, the function stays outside a VPC."
  }
}

run "within_a_vpc" {
  command = plan

  variables {
    subnet_ids         = ["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"]
    security_group_ids = ["sg-0a1b2c3d4e5f60718"]
  }

  assert {
    condition = local.vpc == {
      subnet_ids         = tolist(["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"])
      security_group_ids = tolist(["sg-0a1b2c3d4e5f60718"])
    }
    error_message = "The function joins the VPC by the subnets and groups given."
  }
}

run "secret_with_a_value" {
  variables {
    pseudonym_key         = "0123456789abcdef0123456789abcdef"
    pseudonym_key_version = 1
  }

  assert {
    condition     = issensitive(var.pseudonym_key) && !issensitive(output.secret_arn)
    error_message = "A value given is written, and nothing that goes out was made of it."
  }
}

run "needs_a_release" {
  command = plan

  variables {
    releases = {}
  }

  expect_failures = [var.releases]
}

run "refuses_a_wrong_account" {
  command = plan

  variables {
    environment = { name = "dev", project = "slipway", account_id = "2222", region = "eu-central-1" }
  }

  expect_failures = [var.environment]
}

run "refuses_a_short_time_limit" {
  command = plan

  variables {
    timeout = 9
  }

  expect_failures = [var.timeout]
}

run "refuses_an_empty_batch_size" {
  command = plan

  variables {
    batch_size = 0
  }

  expect_failures = [var.batch_size]
}

run "refuses_a_long_window" {
  command = plan

  variables {
    batching_window_seconds = 301
  }

  expect_failures = [var.batching_window_seconds]
}

run "refuses_half_a_retry" {
  command = plan

  variables {
    maximum_retry_attempts = 0.5
  }

  expect_failures = [var.maximum_retry_attempts]
}

run "refuses_to_try_longer_than_the_stream_keeps" {
  command = plan

  variables {
    maximum_record_age_seconds = 86400
  }

  expect_failures = [var.maximum_record_age_seconds]
}

run "refuses_a_short_key" {
  command = plan

  variables {
    pseudonym_key         = "hunter2"
    pseudonym_key_version = 1
  }

  expect_failures = [var.pseudonym_key]
}

run "refuses_a_key_without_version" {
  command = plan

  variables {
    pseudonym_key = "0123456789abcdef0123456789abcdef"
  }

  expect_failures = [var.pseudonym_key_version]
}

run "refuses_subnets_without_a_group" {
  command = plan

  variables {
    subnet_ids = ["subnet-0a1b2c3d4e5f60718"]
  }

  expect_failures = [var.subnet_ids]
}

run "log_level" {
  command = plan

  variables {
    log_level  = "DEBUG"
    log_format = "JSON"
  }

  assert {
    condition     = jsonencode(local.log_level) == jsonencode({ LOG_LEVEL = "DEBUG" }) && jsonencode(local.logging_config) == jsonencode({ log_format = "JSON", application_log_level = "DEBUG" })
    error_message = "The level reaches the function as a variable, and with the format JSON Lambda too."
  }
}

run "opentelemetry" {
  command = plan

  variables {
    opentelemetry = { layer_arn = "arn:aws:lambda:eu-central-1:901920570463:layer:aws-otel-python-amd64-ver-1-0-0:1", sampled_share = 0.1 }
  }

  assert {
    condition     = jsonencode(local.opentelemetry) == jsonencode({ layer_arn = "arn:aws:lambda:eu-central-1:901920570463:layer:aws-otel-python-amd64-ver-1-0-0:1", sampled_share = 0.1, wrapper = "/opt/otel-instrument" })
    error_message = "The layer instruments the function."
  }
}

run "refuses_an_unknown_log_level" {
  command = plan

  variables {
    log_level  = "LOUD"
    log_format = "XML"
  }

  expect_failures = [var.log_level, var.log_format]
}

run "watched" {
  assert {
    condition = output.alarm_names == tolist([for name in [
      "events-iterator-age", "events-throttles", "events-write-throttles", "failures-messages",
      "stream-behind", "stream-ingest-concurrency", "stream-ingest-duration", "stream-ingest-errors", "stream-ingest-throttles",
    ] : "slipway-222222222222-dev-stream-${name}"])
    error_message = "Stream, queue, mapping, table and function are watched."
  }

  assert {
    condition     = output.alerts_topic_arn == "arn:aws:sns:eu-central-1:222222222222:slipway-222222222222-dev-stream"
    error_message = "The alarms notify a topic."
  }
}

run "a_standing_shard_is_seen_without_a_topic" {
  variables {
    alert_email_addresses = []
    make_alerts_topic     = false
    enable_error_alerts   = false
    enable_dashboard      = false
  }

  assert {
    condition     = output.alarm_names == tolist([for name in ["events-iterator-age", "events-write-throttles", "failures-messages", "stream-behind"] : "slipway-222222222222-dev-stream-${name}"]) && output.alerts_topic_arn == null
    error_message = "As in dev and staging: the stream's alarms alone, which show their state."
  }
}

run "refuses_an_alarm_after_the_records_are_given_up" {
  command = plan

  variables {
    iterator_age_alert_seconds = 43200
  }

  expect_failures = [var.iterator_age_alert_seconds]
}

run "role_of_the_account" {
  variables {
    function_role_arn        = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-stream-ingest"
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
  }

  assert {
    condition     = module.stream_ingest.role_arn == var.function_role_arn && module.stream_ingest.role_name == "slipway-222222222222-dev-stream-ingest"
    error_message = "A role that the account's administrator made is taken, and none is made."
  }
}
