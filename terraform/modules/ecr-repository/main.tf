data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  # What a pull takes, and nothing that pushes, tags or deletes.
  pull_actions = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  # https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#configuration-images-xaccount-permissions
  repository_statements = concat(
    [{
      # With this statement missing Lambda would add one by itself, for whoever creates a function:
      # a change behind Terraform's back.
      Sid       = "RunByLambda"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = local.pull_actions
      Condition = {
        StringLike = {
          "aws:SourceArn" = [
            # Lambda pulls only from the registry of its own region.
            for id in concat([data.aws_caller_identity.current.account_id], tolist(var.reader_account_ids)) :
            "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.id}:${id}:function:${var.function_name_prefix}*"
          ]
        }
      }
    }],
    [for statement in [{
      Sid       = "PulledByOtherAccounts"
      Effect    = "Allow"
      Principal = { AWS = [for id in var.reader_account_ids : "arn:${data.aws_partition.current.partition}:iam::${id}:root"] }
      # Whoever creates or updates a function pulls; Slipway also looks at digests and tags before it deploys.
      Action = concat(local.pull_actions, ["ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:ListImages"])
    }] : statement if length(var.reader_account_ids) > 0],
  )

  lifecycle_rules = [for days in var.untagged_days[*] : {
    rulePriority = 1
    description  = "Images without a tag go after ${days} days"
    selection = {
      tagStatus   = "untagged"
      countType   = "sinceImagePushed"
      countUnit   = "days"
      countNumber = days
    }
    action = { type = "expire" }
  }]
}

resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"
  force_delete         = var.force_delete
  tags                 = var.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_repository_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy     = jsonencode({ Version = "2012-10-17", Statement = local.repository_statements })
}

resource "aws_ecr_lifecycle_policy" "this" {
  count = length(local.lifecycle_rules) == 0 ? 0 : 1

  repository = aws_ecr_repository.this.name
  policy     = jsonencode({ rules = local.lifecycle_rules })
}
