# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_resource "aws_kinesis_stream" {
    defaults = { arn = "arn:aws:kinesis:eu-central-1:222222222222:stream/shop-222222222222-dev-records" }
  }
}

variables {
  name = "shop-222222222222-dev-records"
}

run "one_shard_by_default" {
  assert {
    condition = (aws_kinesis_stream.this.name == "shop-222222222222-dev-records"
      && aws_kinesis_stream.this.shard_count == 1
      && aws_kinesis_stream.this.retention_period == 24
    && aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "PROVISIONED")
    error_message = "A stream has one shard and keeps its records for a day unless asked otherwise."
  }

  assert {
    condition     = aws_kinesis_stream.this.encryption_type == "KMS" && aws_kinesis_stream.this.kms_key_id == "alias/aws/kinesis"
    error_message = "Without a key given the stream is encrypted all the same."
  }

  assert {
    condition     = !aws_kinesis_stream.this.enforce_consumer_deletion && length(aws_kinesis_stream.this.shard_level_metrics) == 0
    error_message = "Consumers protect the stream, and no metric is paid for unasked."
  }

  assert {
    condition = jsonencode(output.read_statements) == jsonencode([{
      sid = "ReadStream"
      actions = [
        "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
        "kinesis:ListShards", "kinesis:SubscribeToShard", "kms:Decrypt",
      ]
      resources = ["arn:aws:kinesis:eu-central-1:222222222222:stream/shop-222222222222-dev-records"]
    }])
    error_message = "A reader reads this stream and nothing else."
  }

  assert {
    condition = jsonencode(output.write_statements) == jsonencode([{
      sid       = "WriteStream"
      actions   = ["kinesis:DescribeStreamSummary", "kinesis:PutRecord", "kinesis:PutRecords", "kms:GenerateDataKey"]
      resources = ["arn:aws:kinesis:eu-central-1:222222222222:stream/shop-222222222222-dev-records"]
    }])
    error_message = "A producer writes this stream and nothing else."
  }
}

run "three_shards_with_a_key" {
  variables {
    shard_count         = 3
    retention_hours     = 168
    kms_key_arn         = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    shard_level_metrics = ["IteratorAgeMilliseconds"]
    tags                = { Owner = "orders" }
  }

  assert {
    condition = (aws_kinesis_stream.this.shard_count == 3
      && aws_kinesis_stream.this.retention_period == 168
    && aws_kinesis_stream.this.shard_level_metrics == toset(["IteratorAgeMilliseconds"]))
    error_message = "Shards, retention and metrics are the ones asked for."
  }

  assert {
    condition     = aws_kinesis_stream.this.kms_key_id == var.kms_key_arn
    error_message = "A given key is used."
  }

  assert {
    condition = alltrue([for statements in [output.read_statements, output.write_statements] :
      one(statements).resources == tolist(["arn:aws:kinesis:eu-central-1:222222222222:stream/shop-222222222222-dev-records", var.kms_key_arn])
    ])
    error_message = "Readers decrypt and producers encrypt, with this key alone."
  }

  assert {
    condition     = aws_kinesis_stream.this.tags == tomap({ Owner = "orders" })
    error_message = "The stream carries the tags given."
  }
}

# A plan: made up, an on-demand stream would answer a number of shards all the same.
run "on_demand" {
  command = plan

  variables {
    shard_count = null
  }

  assert {
    condition     = aws_kinesis_stream.this.stream_mode_details[0].stream_mode == "ON_DEMAND" && aws_kinesis_stream.this.shard_count == null
    error_message = "Without a number of shards the stream is on demand and names none."
  }
}

run "refuses_a_name_with_a_slash" {
  command = plan

  variables {
    name = "shop/records"
  }

  expect_failures = [var.name]
}

run "refuses_no_shards" {
  command = plan

  variables {
    shard_count = 0
  }

  expect_failures = [var.shard_count]
}

run "refuses_half_a_shard" {
  command = plan

  variables {
    shard_count = 1.5
  }

  expect_failures = [var.shard_count]
}

run "refuses_too_short_a_retention" {
  command = plan

  variables {
    retention_hours = 12
  }

  expect_failures = [var.retention_hours]
}

run "refuses_too_long_a_retention" {
  command = plan

  variables {
    retention_hours = 8761
  }

  expect_failures = [var.retention_hours]
}

run "refuses_a_bare_key_id" {
  command = plan

  variables {
    kms_key_arn = "4c1a2b3d-0000-4000-8000-000000000000"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_an_unknown_metric" {
  command = plan

  variables {
    shard_level_metrics = ["ALL"]
  }

  expect_failures = [var.shard_level_metrics]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
