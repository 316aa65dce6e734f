output "functions" {
  description = "The functions that this stack runs: what Slipway verifies and rolls out."
  value = {
    stream-ingest = module.stream_ingest.function
  }
}

output "stream_ingest_alias_arn" {
  description = "ARN of the alias that serves."
  value       = module.stream_ingest.alias_arn
}

output "stream_ingest_role_arn" {
  description = "ARN of the role that the function runs as."
  value       = module.stream_ingest.role_arn
}

output "stream_ingest_log_group_name" {
  description = "Log group that the function writes to."
  value       = module.stream_ingest.log_group_name
}

output "stream_name" {
  description = "Name of the stream that producers write to."
  value       = module.stream.name
}

output "stream_arn" {
  description = "ARN of the stream."
  value       = module.stream.arn
}

output "producer_statements" {
  description = "What a producer must be allowed: `policy_statements` of lambda-function."
  value       = module.stream.write_statements
}

output "table_name" {
  description = "Name of the table with the events."
  value       = module.table.name
}

output "table_arn" {
  description = "ARN of the table."
  value       = module.table.arn
}

output "bucket_name" {
  description = "Name of the bucket with the records as they came (raw/) and those that could not be taken (rejected/)."
  value       = module.bucket.bucket
}

output "bucket_arn" {
  description = "ARN of the bucket."
  value       = module.bucket.arn
}

output "secret_name" {
  description = "Name of the secret with the pseudonyms' key."
  value       = module.secret.name
}

output "secret_arn" {
  description = "ARN of the secret."
  value       = module.secret.arn
}

output "failures_queue_url" {
  description = "URL of the queue that tells which batches failed for good."
  value       = aws_sqs_queue.failures.url
}

output "failures_queue_arn" {
  description = "ARN of that queue."
  value       = aws_sqs_queue.failures.arn
}

output "key_arns" {
  description = "ARN of each key, by what it encrypts."
  value = {
    bucket = module.bucket_key.arn
    table  = module.table_key.arn
    stream = module.stream_key.arn
    secret = module.secret_key.arn
  }
}

output "alarm_names" {
  description = "Names of the alarms, sorted."
  value       = module.monitoring.alarm_names
}

output "alerts_topic_arn" {
  description = "ARN of the topic that the alarms notify; null without one."
  value       = module.monitoring.topic_arn
}
