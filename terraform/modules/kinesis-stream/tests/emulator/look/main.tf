variable "name" {
  type = string
}

data "aws_kinesis_stream" "this" {
  name = var.name
}

output "stream" {
  value = data.aws_kinesis_stream.this
}
