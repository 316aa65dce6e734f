variable "role_arn" {
  type = string
}

variable "policy_arns" {
  type = map(string)
}

variable "provider_arn" {
  type = string
}

data "aws_iam_role" "this" {
  name = reverse(split("/", var.role_arn))[0]
}

data "aws_iam_policy" "this" {
  for_each = var.policy_arns

  arn = each.value
}

data "aws_iam_openid_connect_provider" "github" {
  arn = var.provider_arn
}

output "role" {
  value = data.aws_iam_role.this
}

output "policies" {
  value = data.aws_iam_policy.this
}

output "github" {
  value = data.aws_iam_openid_connect_provider.github
}
