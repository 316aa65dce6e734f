variable "name" {
  type = string
}

data "aws_iam_role" "this" {
  name = var.name
}

output "role" {
  value = data.aws_iam_role.this
}
