data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  account_id = data.aws_caller_identity.current.account_id
  name       = "${var.project}-${local.account_id}-publisher"

  # Where roles of CI are: the policies of the store, of its key and of the release key know them by it, and no deployment
  # reaches it by a pattern of names.
  path = "/slipway/ci/"

  github_issuer       = "token.actions.githubusercontent.com"
  github_provider_arn = var.make_github_provider ? one(aws_iam_openid_connect_provider.github[*].arn) : var.github_provider_arn

  # One identity alone. A job in a GitHub environment says that environment in `sub`, and no branch; so the branch is a
  # condition of its own, which no setting on GitHub changes.
  # https://docs.github.com/en/actions/reference/security/oidc#example-subject-claims
  # https://aws.amazon.com/about-aws/whats-new/2026/01/aws-sts-supports-validation-identity-provider-claims/
  trust_policy = {
    Version = "2012-10-17"
    Statement = concat(
      [for name in var.github_environment[*] : {
        Sid       = "GitHubEnvironment"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = local.github_provider_arn }
        Condition = { StringEquals = merge(
          {
            "${local.github_issuer}:aud" = ["sts.amazonaws.com"]
            "${local.github_issuer}:sub" = ["repo:${var.github_repository}:environment:${name}"]
          },
          var.github_branch == "" ? {} : { "${local.github_issuer}:ref" = ["refs/heads/${var.github_branch}"] },
          var.github_repository_id == null ? {} : { "${local.github_issuer}:repository_id" = [var.github_repository_id] },
        ) }
      }],
      [for jenkins in var.jenkins[*] : {
        Sid       = "JenkinsJob"
        Effect    = "Allow"
        Action    = "sts:AssumeRoleWithWebIdentity"
        Principal = { Federated = jenkins.provider_arn }
        Condition = { StringEquals = {
          "${jenkins.issuer}:aud" = [jenkins.audience]
          "${jenkins.issuer}:sub" = [jenkins.subject]
        } }
      }],
    )
  }

  # What a release puts, and the parts of an upload that was cut off, which the next run continues: nothing of it is a state, a
  # ledger or a plan, and nothing is deleted. That nothing is replaced says the bucket's policy, to everybody.
  policy = {
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "ListReleases"
          Effect   = "Allow"
          Action   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
          Resource = ["arn:${local.partition}:s3:::${var.bucket}"]
        },
        {
          Sid      = "ReadAndPublish"
          Effect   = "Allow"
          Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
          Resource = ["arn:${local.partition}:s3:::${var.bucket}/${var.prefix}*"]
        },
        {
          Sid       = "EncryptReleases"
          Effect    = "Allow"
          Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
          Resource  = [var.kms_key_arn]
          Condition = { StringEquals = { "kms:ViaService" = "s3.${data.aws_region.current.id}.${data.aws_partition.current.dns_suffix}" } }
        },
      ],
      length(var.repository_arns) == 0 ? [] : [
        {
          Sid    = "PushImages"
          Effect = "Allow"
          Action = [
            "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
            "ecr:InitiateLayerUpload", "ecr:ListImages", "ecr:PutImage", "ecr:UploadLayerPart",
          ]
          Resource = var.repository_arns
        },
        {
          # A token for a registry can't be narrowed to a repository.
          Sid      = "LogInToRegistry"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
      ],
      [for arn in var.signing_key_arn[*] : {
        Sid       = "SignReleases"
        Effect    = "Allow"
        Action    = ["kms:Sign"]
        Resource  = [arn]
        Condition = { StringEquals = { "kms:SigningAlgorithm" = "ECDSA_SHA_256", "kms:MessageType" = ["DIGEST", "RAW"] } }
      }],
      [for arn in var.signing_key_arn[*] : {
        Sid      = "ReadPublicKey"
        Effect   = "Allow"
        Action   = ["kms:DescribeKey", "kms:GetPublicKey"]
        Resource = [arn]
      }],
    )
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.github_environment != null && var.make_github_provider ? 1 : 0

  url            = "https://${local.github_issuer}"
  client_id_list = ["sts.amazonaws.com"]
  tags           = var.tags
}

# The most that the role may ever do is what it does: whoever could give it another policy gains nothing.
resource "aws_iam_policy" "this" {
  name        = local.name
  path        = local.path
  description = "What the role that publishes releases of ${var.project} does, and its boundary"
  policy      = jsonencode(local.policy)
  tags        = var.tags

  lifecycle {
    precondition {
      condition     = length(jsonencode(local.policy)) <= 6144
      error_message = "The policy has ${length(jsonencode(local.policy))} characters, and IAM takes 6144: name fewer or shorter registries."
    }
  }
}

resource "aws_iam_role" "this" {
  name                 = local.name
  path                 = local.path
  description          = "Publishes and signs the releases of ${var.project}; runs no code of the project"
  assume_role_policy   = jsonencode(local.trust_policy)
  max_session_duration = var.session_seconds
  permissions_boundary = aws_iam_policy.this.arn
  tags                 = var.tags
}

resource "aws_iam_role_policy_attachment" "this" {
  role       = aws_iam_role.this.name
  policy_arn = aws_iam_policy.this.arn
}
