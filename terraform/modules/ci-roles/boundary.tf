# The most that a role which a deployment makes may ever do: use the environment's own data, never
# change what is there, and nothing of IAM. A function's own policy says less.
locals {
  boundaries = { for environment, prefix in local.prefixes : environment => {
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid    = "UseOwnData"
        Effect = "Allow"
        Action = [
          "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem", "dynamodb:DeleteItem", "dynamodb:DescribeStream",
          "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:PutItem",
          "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem",
          "kinesis:DescribeStream", "kinesis:DescribeStreamConsumer", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator",
          "kinesis:ListShards", "kinesis:PutRecord", "kinesis:PutRecords", "kinesis:SubscribeToShard",
          "lambda:InvokeFunction",
          "s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject",
          "secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue",
          "sns:Publish",
          "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:SendMessage",
        ]
        Resource = [
          "${local.arns.dynamodb}:table/${prefix}*",
          "${local.arns.kinesis}:stream/${prefix}*",
          "${local.arns.lambda}:function:${prefix}*",
          "arn:${local.partition}:s3:::${prefix}*",
          "${local.arns.secretsmanager}:secret:${prefix}*",
          "${local.arns.sns}:${prefix}*",
          "${local.arns.sqs}:${prefix}*",
        ]
      },
      {
        Sid    = "WriteOwnLogs"
        Effect = "Allow"
        Action = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
        Resource = [
          for group in ["lambda", "vpc-flow-logs"] : "${local.arns.logs}:log-group:/aws/${group}/${prefix}*"
        ]
      },
      {
        Sid       = "UseOwnKeys"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"]
        Resource  = "${local.arns.kms}:key/*"
        Condition = { StringEquals = { "aws:ResourceTag/Project" = var.project, "aws:ResourceTag/Environment" = environment } }
      },
      {
        # None of these can be narrowed to a name.
        Sid    = "ShowAndTrace"
        Effect = "Allow"
        Action = [
          "cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage",
          "cloudwatch:ListMetrics", "dynamodb:ListStreams", "logs:DescribeLogGroups", "xray:PutTelemetryRecords", "xray:PutTraceSegments",
        ]
        Resource = "*"
      },
      {
        Sid    = "JoinVpc"
        Effect = "Allow"
        Action = [
          "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = "*"
      },
      {
        # The state bucket begins with the environment's name as well.
        Sid      = "NeverTheState"
        Effect   = "Deny"
        Action   = "s3:*"
        Resource = ["arn:${local.partition}:s3:::${local.state_buckets[environment]}", "arn:${local.partition}:s3:::${local.state_buckets[environment]}/*"]
      },
      ], [for index, statement in var.environments[environment].extra_statements.boundary : {
        for key, value in {
          Sid       = "Extra${index + 1}"
          Effect    = "Allow"
          Action    = sort(statement.actions)
          Resource  = sort(statement.resources)
          Condition = statement.conditions
        } : key => value if value != null
    }])
  } }
}
