variable "name" {
  type = string
}

data "aws_ecr_repository" "this" {
  name = var.name
}

output "repository" {
  value = data.aws_ecr_repository.this
}
