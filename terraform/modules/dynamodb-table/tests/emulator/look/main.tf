variable "name" {
  type = string
}

data "aws_dynamodb_table" "this" {
  name = var.name
}

output "table" {
  value = data.aws_dynamodb_table.this
}
