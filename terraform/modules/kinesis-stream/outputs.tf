output "name" {
  description = "Name of the stream."
  value       = aws_kinesis_stream.this.name
}

output "arn" {
  description = "ARN of the stream: what an event source binds to a function's alias."
  value       = aws_kinesis_stream.this.arn
}

# One statement each, over stream and key together: their number is known at the plan even where
# the key is made in the same plan, and lambda-function counts them. Kinesis' actions do nothing on
# a key and the key's do nothing on a stream. The key that AWS keeps needs no permission of its own.
output "read_statements" {
  description = "What a function that the stream feeds must be allowed: `policy_statements` of lambda-function."
  value = [{
    sid = "ReadStream"
    actions = [
      "kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
      "kinesis:ListShards", "kinesis:SubscribeToShard", "kms:Decrypt",
    ]
    resources = compact([aws_kinesis_stream.this.arn, var.kms_key_arn])
  }]
}

output "write_statements" {
  description = "What a producer must be allowed, in the same form."
  value = [{
    sid       = "WriteStream"
    actions   = ["kinesis:DescribeStreamSummary", "kinesis:PutRecord", "kinesis:PutRecords", "kms:GenerateDataKey"]
    resources = compact([aws_kinesis_stream.this.arn, var.kms_key_arn])
  }]
}
