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
