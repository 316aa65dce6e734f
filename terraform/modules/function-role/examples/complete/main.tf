# A role that two functions share, with policies, a path and a boundary. Region and credentials come from the
# environment.
terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}

provider "aws" {}

variable "name" {
  description = "Name of the role, and the beginning of the functions' names."
  type        = string
  default     = "example-complete"
}

data "aws_partition" "current" {}

resource "aws_dynamodb_table" "orders" {
  #checkov:skip=CKV_AWS_28: an example; take the module dynamodb-table
  #checkov:skip=CKV_AWS_119: an example; take the module dynamodb-table
  name         = "${var.name}-orders"
  billing_mode = "PAY_PER_REQUEST"
  hash_key     = "id"

  attribute {
    name = "id"
    type = "S"
  }
}

# Whatever is attached to the role: it never does more than this.
resource "aws_iam_policy" "boundary" {
  name = "${var.name}-boundary"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["dynamodb:*Item", "dynamodb:Query"], Resource = aws_dynamodb_table.orders.arn },
      { Effect = "Allow", Action = ["logs:CreateLogStream", "logs:PutLogEvents"], Resource = "arn:${data.aws_partition.current.partition}:logs:*:*:log-group:/aws/lambda/${var.name}-*" },
    ]
  })
}

module "role" {
  source = "../.."

  name                     = var.name
  path                     = "/example/"
  function_names           = ["${var.name}-read", "${var.name}-write"]
  permissions_boundary_arn = aws_iam_policy.boundary.arn

  policies = {
    orders = [
      {
        sid       = "ReadAndWriteOrders"
        actions   = ["dynamodb:GetItem", "dynamodb:PutItem"]
        resources = [aws_dynamodb_table.orders.arn]
      },
      {
        sid        = "NeverWithoutTls"
        effect     = "Deny"
        actions    = ["dynamodb:*"]
        resources  = [aws_dynamodb_table.orders.arn]
        conditions = { Bool = { "aws:SecureTransport" = ["false"] } }
      },
    ]
  }

  tags = { Team = "shop" }
}

output "arn" {
  description = "The role, for the functions."
  value       = module.role.arn
}
