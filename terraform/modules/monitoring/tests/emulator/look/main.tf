variable "name" {
  type = string
}

data "aws_sns_topic" "this" {
  name = var.name
}

data "aws_kms_key" "this" {
  key_id = "alias/${var.name}-topic"
}

output "topic" {
  value = data.aws_sns_topic.this
}

output "key" {
  value = data.aws_kms_key.this
}
