output "name" {
  description = "Name of the table."
  value       = aws_dynamodb_table.this.name
}

output "arn" {
  description = "ARN of the table."
  value       = aws_dynamodb_table.this.arn
}

output "index_arns" {
  description = "ARN of each index, by its name: a query on an index needs the permission on the index."
  value       = { for name, index in var.global_secondary_indexes : name => "${aws_dynamodb_table.this.arn}/index/${name}" }
}

output "stream_arn" {
  description = "ARN of the table's stream: what an event source binds to a function's alias. Null without a stream."
  value       = var.stream_view_type == null ? null : aws_dynamodb_table.this.stream_arn
}

# One statement whose number is known at the plan; the key's action does nothing on a stream.
output "stream_read_statements" {
  description = "What a function that the stream feeds must be allowed: `policy_statements` of lambda-function. None without a stream."
  value = [for type in var.stream_view_type[*] : {
    sid       = "ReadTableStream"
    actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams", "kms:Decrypt"]
    resources = concat(["${aws_dynamodb_table.this.arn}/stream/*"], var.kms_key_arn[*])
  }]
}
