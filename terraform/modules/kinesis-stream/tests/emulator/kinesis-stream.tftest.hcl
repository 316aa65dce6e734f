# Makes a stream on an emulated AWS, changes it and looks at it. Endpoint, region and credentials come
# from the environment. The stream takes moto half a minute. No default tags: with them it converges
# at the second apply only.
provider "aws" {
  max_retries = 2
}

variables {
  name = "slipway-modules-kinesis-stream"
  tags = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = endswith(output.arn, ":stream/slipway-modules-kinesis-stream") && aws_kinesis_stream.this.shard_count == 1 && aws_kinesis_stream.this.retention_period == 24
    error_message = "Kinesis has the stream: one shard, one day."
  }

  assert {
    condition     = aws_kinesis_stream.this.encryption_type == "KMS" && aws_kinesis_stream.this.kms_key_id == "alias/aws/kinesis"
    error_message = "Records are encrypted with the key that AWS keeps."
  }
}

run "grown" {
  variables {
    shard_count     = 2
    retention_hours = 48
  }

  assert {
    condition     = output.arn == run.made.arn
    error_message = "The stream stays, with the records in it."
  }
}

run "as_kinesis_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    name = run.grown.name
  }

  assert {
    condition     = output.stream.status == "ACTIVE" && length(output.stream.open_shards) == 2 && output.stream.retention_period == 48
    error_message = "Two shards are open, and records are kept for two days."
  }

  assert {
    condition     = one(output.stream.stream_mode_details).stream_mode == "PROVISIONED" && output.stream.tags["Purpose"] == "emulator"
    error_message = "The stream counts shards, and is tagged."
  }
}
