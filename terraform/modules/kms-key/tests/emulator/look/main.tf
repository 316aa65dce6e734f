variable "alias" {
  type = string
}

data "aws_kms_alias" "this" {
  name = var.alias
}

data "aws_kms_key" "this" {
  key_id = data.aws_kms_alias.this.target_key_arn
}

output "key" {
  value = data.aws_kms_key.this
}
