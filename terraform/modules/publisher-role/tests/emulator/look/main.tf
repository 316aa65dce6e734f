variable "role" {
  type = string
}

variable "policy" {
  type = string
}

data "aws_iam_role" "this" {
  name = element(split("/", var.role), -1)
}

data "aws_iam_policy" "this" {
  arn = replace(var.role, ":role/", ":policy/")
}

output "role" {
  value = data.aws_iam_role.this
}

output "policy" {
  value = data.aws_iam_policy.this
}
