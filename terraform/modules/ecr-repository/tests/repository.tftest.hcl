mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111111111111" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = {
      arn            = "arn:aws:ecr:eu-central-1:111111111111:repository/shop/lister"
      repository_url = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/lister"
    }
  }
}

variables {
  name = "shop/lister"
}

run "immutable_and_scanned" {
  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "A version's tag never moves to other bytes."
  }

  assert {
    condition     = aws_ecr_repository.this.image_scanning_configuration[0].scan_on_push
    error_message = "Each image is scanned when it is pushed."
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].encryption_type == "KMS" && !aws_ecr_repository.this.force_delete
    error_message = "Images are encrypted with a KMS key of the account, and a repository with images can't be destroyed."
  }

  assert {
    condition     = output.name == "shop/lister" && output.arn == "arn:aws:ecr:eu-central-1:111111111111:repository/shop/lister" && output.url == "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/lister"
    error_message = "Name, ARN and URL go out."
  }
}

run "releases_are_spared" {
  assert {
    condition = jsondecode(aws_ecr_lifecycle_policy.this[0].policy).rules == [{
      rulePriority = 1
      description  = "Images without a tag go after 14 days"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 14 }
      action       = { type = "expire" }
    }]
    error_message = "The one rule there is takes untagged images only: a tagged one is a release."
  }
}

run "this_account_alone" {
  assert {
    condition = jsondecode(output.policy).Statement == [{
      Sid       = "RunByLambda"
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Condition = { StringLike = { "aws:SourceArn" = ["arn:aws:lambda:eu-central-1:111111111111:function:*"] } }
    }]
    error_message = "Without readers Lambda pulls for this account's functions, and nobody else does."
  }
}

run "readers" {
  variables {
    reader_account_ids   = ["222222222222", "333333333333"]
    function_name_prefix = "shop-"
  }

  assert {
    condition = jsonencode(jsondecode(output.policy).Statement[0].Condition) == jsonencode({ StringLike = { "aws:SourceArn" = [
      "arn:aws:lambda:eu-central-1:111111111111:function:shop-*",
      "arn:aws:lambda:eu-central-1:222222222222:function:shop-*",
      "arn:aws:lambda:eu-central-1:333333333333:function:shop-*",
    ] } })
    error_message = "Lambda pulls for the project's functions in the accounts named."
  }

  assert {
    condition = (jsondecode(output.policy).Statement[1].Principal.AWS == ["arn:aws:iam::222222222222:root", "arn:aws:iam::333333333333:root"]
    && length(jsondecode(output.policy).Statement) == 2)
    error_message = "The accounts that pull are the ones named."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[1].Action == ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability", "ecr:DescribeImages", "ecr:ListImages"]
    error_message = "Readers pull and look: they push, tag and delete nothing."
  }
}

run "switches" {
  variables {
    kms_key_arn   = "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
    untagged_days = 3
    force_delete  = true
    tags          = { Purpose = "images" }
  }

  assert {
    condition     = aws_ecr_repository.this.encryption_configuration[0].kms_key == "arn:aws:kms:eu-central-1:111111111111:key/4c1a2b3d-0000-4000-8000-000000000000"
    error_message = "A given key is used."
  }

  assert {
    condition     = jsondecode(aws_ecr_lifecycle_policy.this[0].policy).rules[0].selection.countNumber == 3
    error_message = "Untagged images stay as long as asked."
  }

  assert {
    condition     = aws_ecr_repository.this.force_delete && aws_ecr_repository.this.tags == tomap({ Purpose = "images" })
    error_message = "The switch and the tags reach the repository."
  }
}

run "nothing_expires" {
  variables {
    untagged_days = null
  }

  assert {
    condition     = length(aws_ecr_lifecycle_policy.this) == 0
    error_message = "null keeps untagged images too."
  }
}

run "refuses_capitals" {
  command = plan

  variables {
    name = "Shop/Lister"
  }

  expect_failures = [var.name]
}

run "refuses_images_that_go_at_once" {
  command = plan

  variables {
    untagged_days = 0
  }

  expect_failures = [var.untagged_days]
}

run "refuses_a_short_account_id" {
  command = plan

  variables {
    reader_account_ids = ["333"]
  }

  expect_failures = [var.reader_account_ids]
}

run "refuses_a_pattern_as_prefix" {
  command = plan

  variables {
    function_name_prefix = "*:function:"
  }

  expect_failures = [var.function_name_prefix]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}
