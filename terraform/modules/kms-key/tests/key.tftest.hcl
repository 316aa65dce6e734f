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
    defaults = {
      arn    = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
      key_id = "4c1a2b3d-0000-4000-8000-000000000000"
      # What KMS chooses where nothing is asked for; no number that could be asked for.
      rotation_period_in_days = 2561
    }
  }
}

variables {
  name        = "shop-222222222222-dev-stream"
  description = "Encrypts the stream of the shop in dev"
}

run "serves_nobody_by_default" {
  assert {
    condition     = aws_kms_key.this.enable_key_rotation && aws_kms_key.this.deletion_window_in_days == 30
    error_message = "The key rotates, and a deleted one can be brought back for 30 days."
  }

  assert {
    condition     = aws_kms_key.this.rotation_period_in_days == 2561
    error_message = "How often it rotates is left to KMS."
  }

  assert {
    condition     = aws_kms_alias.this.name == "alias/shop-222222222222-dev-stream" && aws_kms_alias.this.target_key_id == aws_kms_key.this.key_id
    error_message = "The alias takes the key's name and leads to it."
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["AdministeredThroughIam"]
    error_message = "Nobody uses a key that was given no service, service principal or user."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[0].Principal.AWS == "arn:aws:iam::222222222222:root"
    error_message = "The account's own IAM policies say who administers the key; without this statement it could be locked for good."
  }

  assert {
    condition = alltrue([for action in jsondecode(output.policy).Statement[0].Action :
    !strcontains(action, "*") && !contains(["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:CreateGrant"], action)])
    error_message = "Whoever administers the key neither encrypts nor decrypts with it, nor grants it to anybody."
  }

  assert {
    condition = alltrue([for action in ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:EnableKeyRotation", "kms:DescribeKey", "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:CreateAlias", "kms:DeleteAlias"] :
    contains(jsondecode(output.policy).Statement[0].Action, action)])
    error_message = "Terraform can read, change and delete the key."
  }

  assert {
    condition     = output.arn == "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000" && output.alias == "alias/shop-222222222222-dev-stream"
    error_message = "ARN and alias go out."
  }
}

run "through_services_only" {
  variables {
    services = ["s3", "dynamodb"]
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : statement.Sid] == ["AdministeredThroughIam", "UsedThroughServices", "GrantedToServices"]
    error_message = "Services bring the use and the grants, and nothing else."
  }

  assert {
    condition = (jsondecode(output.policy).Statement[1].Action == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      && jsondecode(output.policy).Statement[1].Principal.AWS == "arn:aws:iam::222222222222:root"
      && jsonencode(jsondecode(output.policy).Statement[1].Condition) == jsonencode({
        StringEquals = { "kms:ViaService" = ["dynamodb.eu-central-1.amazonaws.com", "s3.eu-central-1.amazonaws.com"] }
    }))
    error_message = "The principals of this account use the key through the services named, in this region."
  }

  assert {
    condition = (jsondecode(output.policy).Statement[2].Action == "kms:CreateGrant"
      && jsondecode(output.policy).Statement[2].Condition.Bool["kms:GrantIsForAWSResource"] == "true"
    && jsondecode(output.policy).Statement[2].Condition.StringEquals["kms:ViaService"] == ["dynamodb.eu-central-1.amazonaws.com", "s3.eu-central-1.amazonaws.com"])
    error_message = "Grants are made for AWS resources alone, through the same services."
  }
}

run "services_in_their_own_name" {
  variables {
    service_principals = [
      {
        service    = "logs.eu-central-1.amazonaws.com"
        conditions = { ArnLike = { "kms:EncryptionContext:aws:logs:arn" = ["arn:aws:logs:eu-central-1:222222222222:log-group:/vpc/shop"] } }
      },
      {
        service    = "cloudwatch.amazonaws.com"
        actions    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        conditions = { StringEquals = { "aws:SourceAccount" = ["222222222222"] } }
      },
    ]
  }

  assert {
    condition     = [for statement in jsondecode(output.policy).Statement : try(statement.Principal.Service, "none")] == ["none", "logs.eu-central-1.amazonaws.com", "cloudwatch.amazonaws.com"]
    error_message = "Each service principal has a statement of its own."
  }

  assert {
    condition = (jsondecode(output.policy).Statement[1].Condition.ArnLike["kms:EncryptionContext:aws:logs:arn"] == ["arn:aws:logs:eu-central-1:222222222222:log-group:/vpc/shop"]
    && jsondecode(output.policy).Statement[2].Condition.StringEquals["aws:SourceAccount"] == ["222222222222"])
    error_message = "A service uses the key only for what its condition names."
  }

  assert {
    condition     = jsondecode(output.policy).Statement[2].Action == ["kms:Decrypt", "kms:GenerateDataKey*"] && contains(jsondecode(output.policy).Statement[1].Action, "kms:DescribeKey")
    error_message = "A service gets the actions it was given, else the use of the key."
  }
}

run "direct_users" {
  variables {
    user_arns = ["arn:aws:iam::222222222222:role/shop-222222222222-dev-tracer"]
  }

  assert {
    condition = (jsondecode(output.policy).Statement[1].Principal.AWS == ["arn:aws:iam::222222222222:role/shop-222222222222-dev-tracer"]
    && jsondecode(output.policy).Statement[1].Action == ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"])
    error_message = "The roles named use the key directly; they don't administer it."
  }
}

run "periods_and_tags" {
  variables {
    rotation_period_days = 90
    deletion_window_days = 7
    tags                 = { Purpose = "stream" }
  }

  assert {
    condition     = aws_kms_key.this.rotation_period_in_days == 90 && aws_kms_key.this.deletion_window_in_days == 7 && aws_kms_key.this.tags == tomap({ Purpose = "stream" })
    error_message = "Periods and tags are the ones given."
  }
}

run "refuses_an_alias_of_aws" {
  command = plan

  variables {
    name = "aws/s3"
  }

  expect_failures = [var.name]
}

run "refuses_a_host_as_service" {
  command = plan

  variables {
    services = ["s3.eu-central-1.amazonaws.com"]
  }

  expect_failures = [var.services]
}

run "refuses_a_foreign_service_principal" {
  command = plan

  variables {
    service_principals = [{ service = "*", conditions = { StringEquals = { "aws:SourceAccount" = ["222222222222"] } } }]
  }

  expect_failures = [var.service_principals]
}

run "refuses_a_service_principal_without_condition" {
  command = plan

  variables {
    service_principals = [{ service = "cloudwatch.amazonaws.com", conditions = {} }]
  }

  expect_failures = [var.service_principals]
}

run "refuses_administration_by_a_service" {
  command = plan

  variables {
    service_principals = [{
      service    = "cloudwatch.amazonaws.com"
      actions    = ["kms:*"]
      conditions = { StringEquals = { "aws:SourceAccount" = ["222222222222"] } }
    }]
  }

  expect_failures = [var.service_principals]
}

run "refuses_a_whole_account_as_user" {
  command = plan

  variables {
    user_arns = ["arn:aws:iam::222222222222:root"]
  }

  expect_failures = [var.user_arns]
}

run "refuses_a_short_rotation" {
  command = plan

  variables {
    rotation_period_days = 30
  }

  expect_failures = [var.rotation_period_days]
}

run "refuses_a_long_rotation" {
  command = plan

  variables {
    rotation_period_days = 2561
  }

  expect_failures = [var.rotation_period_days]
}

run "refuses_a_short_deletion_window" {
  command = plan

  variables {
    deletion_window_days = 1
  }

  expect_failures = [var.deletion_window_days]
}

run "china" {
  variables {
    services = ["s3"]
    service_principals = [{
      service    = "logs.cn-north-1.amazonaws.com.cn"
      conditions = { StringEquals = { "aws:SourceAccount" = ["222222222222"] } }
    }]
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn" }
  }

  override_data {
    target = data.aws_region.current
    values = { id = "cn-north-1" }
  }

  assert {
    condition     = strcontains(output.policy, "\"s3.cn-north-1.amazonaws.com.cn\"") && strcontains(output.policy, "\"arn:aws-cn:iam::222222222222:root\"")
    error_message = "In another partition services and ARNs are that partition's."
  }
}

run "refuses_a_service_of_another_partition" {
  command = plan

  variables {
    service_principals = [{
      service    = "logs.cn-north-1.amazonaws.com.cn"
      conditions = { StringEquals = { "aws:SourceAccount" = ["222222222222"] } }
    }]
  }

  expect_failures = [var.service_principals]
}
