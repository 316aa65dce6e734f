# Tables, buckets, streams, queues and secrets by their names; keys by their tags.
locals {
  own_tags = { for environment in keys(var.environments) : environment => { "aws:ResourceTag/Project" = var.project, "aws:ResourceTag/Environment" = environment } }
  new_tags = { for environment in keys(var.environments) : environment => { "aws:RequestTag/Project" = var.project, "aws:RequestTag/Environment" = environment } }

  untagged = { for tag in ["Project", "Environment"] : "aws:ResourceTag/${tag}" => "true" }

  data_permissions = { for environment, prefix in local.prefixes : environment => [
    {
      sid = "Tables"
      read = [
        "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource",
      ]
      write = [
        "dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups",
        "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
      ]
      resources = ["${local.arns.dynamodb}:table/${prefix}*"]
    },
    {
      sid = "Buckets"
      read = [
        "s3:GetAccelerateConfiguration", "s3:GetBucket*", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:ListBucketVersions", "s3:ListTagsForResource",
      ]
      write = [
        "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
        "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
        # Tags of a bucket, from provider 6.23 on.
        "s3:TagResource", "s3:UntagResource",
      ]
      resources = ["arn:${local.partition}:s3:::${prefix}*"]
    },
    {
      # To destroy a bucket that may lose its objects. Reading them is nothing a deployment does.
      sid       = "EmptyBuckets"
      write     = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      resources = ["arn:${local.partition}:s3:::${prefix}*/*"]
    },
    {
      # The statement above reaches the state bucket, whose name begins alike. Projects that share it have keys below a prefix.
      sid    = "KeepStateAndLedger"
      effect = "Deny"
      write  = ["s3:DeleteObject"]
      resources = [for key in ["*.tfstate", "archive/*", "*/archive/*", "configurations/*", "*/configurations/*", "ledger/*", "*/ledger/*"] :
      "arn:${local.partition}:s3:::${local.state_buckets[environment]}/${key}"]
    },
    {
      sid  = "Streams"
      read = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:ListShards", "kinesis:ListStreamConsumers", "kinesis:ListTagsForResource", "kinesis:ListTagsForStream"]
      write = [
        "kinesis:AddTagsToStream", "kinesis:CreateStream", "kinesis:DecreaseStreamRetentionPeriod", "kinesis:DeleteStream", "kinesis:DisableEnhancedMonitoring",
        "kinesis:EnableEnhancedMonitoring", "kinesis:IncreaseStreamRetentionPeriod", "kinesis:RemoveTagsFromStream", "kinesis:StartStreamEncryption",
        "kinesis:StopStreamEncryption", "kinesis:TagResource", "kinesis:UntagResource",
      ]
      resources = ["${local.arns.kinesis}:stream/${prefix}*"]
    },
    {
      # The provider looks at the account's limits when it plans a stream. For none of these AWS lists a resource.
      sid       = "StreamsOfTheAccount"
      read      = ["kinesis:DescribeLimits"]
      write     = ["kinesis:UpdateShardCount", "kinesis:UpdateStreamMode"]
      resources = ["*"]
    },
    {
      # Kinesis asks for the key as well; what may be done with it says KMS.
      sid       = "KeysOfStreams"
      write     = ["kinesis:StartStreamEncryption", "kinesis:StopStreamEncryption"]
      resources = ["${local.arns.kms}:key/*"]
    },
    {
      sid       = "Queues"
      read      = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags"]
      write     = ["sqs:CreateQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
      resources = ["${local.arns.sqs}:${prefix}*"]
    },
    {
      sid  = "Secrets"
      read = ["secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy", "secretsmanager:ListSecretVersionIds"]
      write = [
        "secretsmanager:CreateSecret", "secretsmanager:DeleteSecret", "secretsmanager:PutSecretValue", "secretsmanager:RestoreSecret",
        "secretsmanager:TagResource", "secretsmanager:UntagResource", "secretsmanager:UpdateSecret", "secretsmanager:UpdateSecretVersionStage",
      ]
      resources = ["${local.arns.secretsmanager}:secret:${prefix}*"]
    },
    {
      # The provider fetches a value that Terraform wrote to see that it is there, and keeps nothing of
      # it; so every plan of such a stack reads it.
      sid       = "SecretValues"
      read      = var.environments[environment].plan_reads_secrets ? ["secretsmanager:GetSecretValue"] : []
      write     = ["secretsmanager:GetSecretValue"]
      resources = ["${local.arns.secretsmanager}:secret:${prefix}*"]
    },
  ] }

  key_permissions = { for environment, prefix in local.prefixes : environment => [
    {
      sid       = "MakeKeys"
      write     = ["kms:CreateKey"]
      resources = ["*"]
      condition = { StringEquals = local.new_tags[environment] }
    },
    {
      # A key is tagged as it is made: it has neither a project nor an alias then. Whatever has one of them does not become the
      # environment's.
      sid       = "TagKeys"
      write     = ["kms:TagResource"]
      resources = ["${local.arns.kms}:key/*"]
      condition = {
        StringEquals = local.new_tags[environment]
        Null         = merge(local.untagged, { "kms:ResourceAliases" = "true" })
      }
    },
    {
      sid       = "RetagOwnKeys"
      write     = ["kms:TagResource"]
      resources = ["${local.arns.kms}:key/*"]
      condition = { StringEquals = local.own_tags[environment], StringEqualsIfExists = local.new_tags[environment] }
    },
    {
      sid  = "Keys"
      read = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
      # The state's key carries the same tags.
      write = [
        "kms:CancelKeyDeletion", "kms:CreateAlias", "kms:DeleteAlias", "kms:DisableKey", "kms:DisableKeyRotation", "kms:EnableKey", "kms:EnableKeyRotation",
        "kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
      ]
      resources = ["${local.arns.kms}:key/*"]
      condition = {
        StringEquals                   = local.own_tags[environment]
        "ForAllValues:StringNotEquals" = { "kms:ResourceAliases" = local.kept_aliases[environment] }
      }
    },
    {
      sid       = "Aliases"
      write     = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
      resources = ["${local.arns.kms}:alias/${prefix}*"]
    },
    {
      sid       = "ListAliases"
      read      = ["kms:ListAliases"]
      resources = ["*"]
    },
    {
      # The provider compares a table's key with the one that DynamoDB would take by itself.
      sid       = "AwsKeys"
      read      = ["kms:DescribeKey"]
      resources = ["${local.arns.kms}:key/*"]
      condition = { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = "alias/aws/dynamodb" } }
    },
    {
      # To encrypt with a key what is made with it: variables of functions, secrets, tables, streams.
      sid  = "UseKeysThroughServices"
      read = var.environments[environment].plan_reads_secrets ? ["kms:Decrypt"] : []
      write = [
        "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext",
        "kms:ReEncryptFrom", "kms:ReEncryptTo",
      ]
      resources = ["${local.arns.kms}:key/*"]
      condition = {
        StringEquals = local.own_tags[environment]
        StringLike   = { "kms:ViaService" = "*.${local.region}.${data.aws_partition.current.dns_suffix}" }
      }
    },
  ] }
}
