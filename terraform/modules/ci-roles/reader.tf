# Who looks at an environment without deploying to it: an environment that promotes from it, and people. What serves, what was
# deployed and with which files; neither states nor saved plans, which have the values of secrets, nor the code of functions.
locals {
  readers = { for environment, settings in var.environments : environment => sort(setunion(settings.read_by, settings.reader_role_arns))
  if length(settings.read_by) + length(settings.reader_role_arns) > 0 }

  reader_policies = { for environment, readers in local.readers : environment => {
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "ListStateAndLedger"
        Effect   = "Allow"
        Action   = ["s3:GetBucketLocation", "s3:ListBucket"]
        Resource = ["arn:${local.partition}:s3:::${local.state_buckets[environment]}"]
      },
      {
        # A lock says who has it; a state has secrets.
        Sid      = "ReadLedger"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [for key in ["*.tfstate.tflock", "configurations/*", "ledger/*", "leases/*"] : "${local.state_objects[environment]}${key}"]
      },
      {
        Sid      = "DecryptLedger"
        Effect   = "Allow"
        Action   = ["kms:Decrypt"]
        Resource = ["${local.arns.kms}:key/*"]
        Condition = {
          "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = ["alias/${local.state_buckets[environment]}"] }
          StringEquals               = { "kms:ViaService" = ["s3.${local.region}.${data.aws_partition.current.dns_suffix}"] }
        }
      },
      {
        # lambda:GetFunction would give an address of the code.
        Sid      = "ReadFunctions"
        Effect   = "Allow"
        Action   = ["lambda:GetAlias", "lambda:GetFunctionConfiguration", "lambda:ListAliases", "lambda:ListVersionsByFunction"]
        Resource = ["${local.arns.lambda}:function:${local.prefixes[environment]}*"]
      },
      {
        Sid      = "ReadEventSources"
        Effect   = "Allow"
        Action   = ["lambda:GetEventSourceMapping", "lambda:ListEventSourceMappings"]
        Resource = ["*"]
      },
      ],
      # What serves is compared with what was released, and quotas with what the stacks ask for.
      [for statement in concat(local.artifact_permissions[environment], local.quota_permissions[environment]) : {
        for key, value in {
          Sid       = statement.sid
          Effect    = "Allow"
          Action    = statement.read
          Resource  = statement.resources
          Condition = try(statement.condition, null)
        } : key => value if value != null
      } if statement.sid != "ReadEarlierEnvironment"],
    )
  } }

  # By the role's ARN and not as a principal: IAM refuses a principal that is not made yet, and forgets one that is made again.
  reader_trusts = { for environment, readers in local.readers : environment => {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Readers"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = sort(distinct([for reader in readers : "arn:${local.partition}:iam::${split(":", reader)[4]}:root"])) }
      Condition = { ArnEquals = { "aws:PrincipalArn" = readers } }
    }]
  } }
}

resource "aws_iam_role" "read" {
  for_each = local.readers

  path                 = local.path
  permissions_boundary = aws_iam_policy.ci_boundary[each.key].arn
  name                 = "${local.prefixes[each.key]}ci-read"
  description          = "Reads what serves in ${each.key} of ${var.project} and what was deployed"
  assume_role_policy   = jsonencode(local.reader_trusts[each.key])
  max_session_duration = var.session_seconds
  tags                 = var.tags
}

resource "aws_iam_policy" "read" {
  for_each = local.readers

  path        = local.path
  name        = "${local.prefixes[each.key]}ci-read"
  description = "What the role that may read has to do with ${each.key}"
  policy      = jsonencode(local.reader_policies[each.key])
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "read" {
  for_each = local.readers

  role       = aws_iam_role.read[each.key].name
  policy_arn = aws_iam_policy.read[each.key].arn
}
