# The real provider's schema, no AWS: what is computed takes the values given here.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }

  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:222222222222:key/0e000000-0000-4000-8000-000000000000" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-prod-flow-logs" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/shop-222222222222-prod-flow-logs" }
  }
}

variables {
  name   = "shop-222222222222-prod-flow-logs"
  vpc_id = "vpc-0a1b2c3d4e5f60718"
}

run "all_traffic_for_a_year" {
  assert {
    condition = (aws_flow_log.this.vpc_id == "vpc-0a1b2c3d4e5f60718"
      && aws_flow_log.this.traffic_type == "ALL"
      && aws_flow_log.this.max_aggregation_interval == 600
      && aws_flow_log.this.log_destination_type == "cloud-watch-logs"
      && aws_flow_log.this.log_destination == aws_cloudwatch_log_group.this.arn
    && aws_flow_log.this.iam_role_arn == aws_iam_role.this.arn)
    error_message = "All traffic of the VPC goes to the log group, by the role."
  }

  assert {
    condition     = aws_cloudwatch_log_group.this.retention_in_days == 365 && output.log_group_name == "/aws/vpc-flow-logs/shop-222222222222-prod-flow-logs"
    error_message = "Records are kept for a year."
  }
}

run "own_key" {
  assert {
    condition = (aws_cloudwatch_log_group.this.kms_key_id == aws_kms_key.this[0].arn
      && output.kms_key_arn == aws_kms_key.this[0].arn
      && aws_kms_key.this[0].enable_key_rotation
      && aws_kms_key.this[0].deletion_window_in_days == 30
    && aws_kms_alias.this[0].name == "alias/shop-222222222222-prod-flow-logs")
    error_message = "The logs are encrypted with a key of their own, which rotates."
  }

  assert {
    condition = jsonencode(jsondecode(aws_kms_key.this[0].policy).Statement[1]) == jsonencode({
      Sid       = "UsedByLogs"
      Effect    = "Allow"
      Principal = { Service = "logs.eu-central-1.amazonaws.com" }
      Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
      Resource  = "*"
      Condition = { ArnEquals = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/shop-222222222222-prod-flow-logs" } }
    })
    error_message = "The service uses the key for this log group alone."
  }

  assert {
    condition     = length(jsondecode(aws_kms_key.this[0].policy).Statement) == 2 && jsondecode(aws_kms_key.this[0].policy).Statement[0].Principal.AWS == "arn:aws:iam::222222222222:root"
    error_message = "This account administers the key, and nobody else is let in."
  }
}

run "least_privilege" {
  assert {
    condition = jsonencode(jsondecode(aws_iam_role.this.assume_role_policy).Statement) == jsonencode([{
      Sid       = "FlowLogsOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "vpc-flow-logs.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = "222222222222" }
        ArnLike      = { "aws:SourceArn" = "arn:aws:ec2:eu-central-1:222222222222:vpc-flow-log/*" }
      }
    }])
    error_message = "Only flow logs of this account and region assume the role."
  }

  assert {
    condition = jsonencode(jsondecode(aws_iam_role_policy.write.policy).Statement) == jsonencode([
      {
        Sid    = "WriteOwnLogs"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [
          "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/shop-222222222222-prod-flow-logs",
          "arn:aws:logs:eu-central-1:222222222222:log-group:/aws/vpc-flow-logs/shop-222222222222-prod-flow-logs:*",
        ]
      },
      {
        Sid      = "FindOwnLogGroup"
        Effect   = "Allow"
        Action   = "logs:DescribeLogGroups"
        Resource = "*"
      },
    ])
    error_message = "The role writes its own log group and makes none."
  }

  assert {
    condition     = aws_iam_role_policy.write.role == aws_iam_role.this.name && aws_iam_role.this.name == "shop-222222222222-prod-flow-logs"
    error_message = "The policy belongs to the role, which takes the name given."
  }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == null && output.permissions_boundary_arn == null
    error_message = "The role has no boundary unless one is given."
  }
}

run "bounded" {
  variables {
    permissions_boundary_arn = "arn:aws:iam::222222222222:policy/shop-222222222222-prod-boundary"
  }

  assert {
    condition     = aws_iam_role.this.permissions_boundary == "arn:aws:iam::222222222222:policy/shop-222222222222-prod-boundary" && output.permissions_boundary_arn == aws_iam_role.this.permissions_boundary
    error_message = "The role is bounded by the policy given."
  }
}

run "given_key" {
  variables {
    make_key    = false
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  assert {
    condition     = length(aws_kms_key.this) + length(aws_kms_alias.this) == 0 && aws_cloudwatch_log_group.this.kms_key_id == var.kms_key_arn && output.kms_key_arn == var.kms_key_arn
    error_message = "A given key is used and none is made."
  }
}

run "as_asked" {
  variables {
    traffic             = "REJECT"
    aggregation_seconds = 60
    retention_days      = 731
    tags                = { Owner = "platform" }
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "REJECT" && aws_flow_log.this.max_aggregation_interval == 60 && aws_cloudwatch_log_group.this.retention_in_days == 731
    error_message = "Traffic, interval and retention are as asked."
  }

  assert {
    condition = (alltrue([for tags in [aws_kms_key.this[0].tags, aws_cloudwatch_log_group.this.tags, aws_iam_role.this.tags] : tags == tomap({ Owner = "platform" })])
    && aws_flow_log.this.tags == tomap({ Owner = "platform", Name = "shop-222222222222-prod-flow-logs" }))
    error_message = "Everything carries the tags given."
  }
}

run "refuses_a_dotted_name" {
  command = plan

  variables {
    name = "shop.flow/logs"
  }

  expect_failures = [var.name]
}

run "refuses_the_arn_of_a_vpc" {
  command = plan

  variables {
    vpc_id = "arn:aws:ec2:eu-central-1:222222222222:vpc/vpc-0a1b2c3d4e5f60718"
  }

  expect_failures = [var.vpc_id]
}

run "refuses_unknown_traffic" {
  command = plan

  variables {
    traffic = "NONE"
  }

  expect_failures = [var.traffic]
}

run "refuses_an_odd_interval" {
  command = plan

  variables {
    aggregation_seconds = 300
  }

  expect_failures = [var.aggregation_seconds]
}

run "refuses_an_odd_retention" {
  command = plan

  variables {
    retention_days = 0
  }

  expect_failures = [var.retention_days]
}

run "refuses_a_boundary_by_name" {
  command = plan

  variables {
    permissions_boundary_arn = "shop-222222222222-prod-boundary"
  }

  expect_failures = [var.permissions_boundary_arn]
}

run "refuses_logs_without_a_key" {
  command = plan

  variables {
    make_key = false
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_a_second_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  expect_failures = [var.kms_key_arn]
}

run "refuses_the_alias_of_a_key" {
  command = plan

  variables {
    make_key    = false
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/logs"
  }

  expect_failures = [var.kms_key_arn]
}
