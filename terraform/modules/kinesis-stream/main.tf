resource "aws_kinesis_stream" "this" {
  name             = var.name
  shard_count      = var.shard_count
  retention_period = var.retention_hours

  # A provisioned stream counts shards; an on-demand one may not name a number.
  stream_mode_details {
    stream_mode = var.shard_count == null ? "ON_DEMAND" : "PROVISIONED"
  }

  # Always encrypted: without a key of the caller's the one that AWS keeps for Kinesis does it.
  encryption_type = "KMS"
  kms_key_id      = var.kms_key_arn == null ? "alias/aws/kinesis" : var.kms_key_arn

  shard_level_metrics = var.shard_level_metrics

  # A stream that somebody still reads by enhanced fan-out is not taken away under them.
  enforce_consumer_deletion = false

  tags = var.tags
}
