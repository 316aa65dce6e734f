# What the function is connected to beside its callers: the sources that feed it, destinations, a VPC, a file
# system, X-Ray; and what its role must be allowed for each.
locals {
  # Known at the plan even where the ARNs are not: by the keys of a map and by switches alone.
  connected = length(var.event_sources) > 0 || var.vpc != null || var.tracing_mode == "Active" || var.opentelemetry != null || var.file_system != null || var.async_invocation != null

  sources = values(var.event_sources)
  source_arns = { for service in ["dynamodb", "kinesis", "sqs"] : service => distinct([
    for source in local.sources : source.event_source_arn if split(":", source.event_source_arn)[2] == service
  ]) }

  # A consumer of a stream (enhanced fan-out) is read through a permission of its own, and its stream
  # is still described.
  stream_arns   = distinct([for arn in local.source_arns.kinesis : split("/consumer/", arn)[0]])
  consumer_arns = [for arn in local.source_arns.kinesis : arn if strcontains(arn, "/consumer/")]

  destination_arns = distinct([for source in local.sources : source.on_failure_destination_arn if source.on_failure_destination_arn != null])
  destinations = { for service in ["s3", "sns", "sqs"] : service => [
    for arn in local.destination_arns : arn if split(":", arn)[2] == service
  ] }

  # Of asynchronous calls.
  result_arns = compact(flatten([for config in var.async_invocation[*] : [config.on_success_arn, config.on_failure_arn]]))
  result_destinations = { for service in ["events", "lambda", "s3", "sns", "sqs"] : service => distinct([
    for arn in local.result_arns : arn if split(":", arn)[2] == service
  ]) }

  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.id}:${data.aws_caller_identity.current.account_id}:function:${var.name}"

  # Lambda's own, for the interfaces by which it joins the VPC.
  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
  interface_actions = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs", "ec2:UnassignPrivateIpAddresses",
  ]

  connection_statements = [for statement in [
    {
      sid       = "ReadStreams"
      actions   = ["kinesis:DescribeStream", "kinesis:DescribeStreamSummary", "kinesis:GetRecords", "kinesis:GetShardIterator", "kinesis:ListShards"]
      resources = local.stream_arns
    },
    {
      sid       = "SubscribeToStreams"
      actions   = ["kinesis:DescribeStreamConsumer", "kinesis:SubscribeToShard"]
      resources = local.consumer_arns
    },
    {
      sid       = "ReadTableStreams"
      actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"]
      resources = local.source_arns.dynamodb
    },
    {
      # A list of streams can't be narrowed to one of them.
      sid       = "ListTableStreams"
      actions   = ["dynamodb:ListStreams"]
      resources = [for arn in slice(local.source_arns.dynamodb, 0, min(1, length(local.source_arns.dynamodb))) : "*"]
    },
    {
      sid       = "ReadQueues"
      actions   = ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
      resources = local.source_arns.sqs
    },
    {
      sid       = "KeepFailedBatchesInQueues"
      actions   = ["sqs:SendMessage"]
      resources = local.destinations.sqs
    },
    {
      sid       = "KeepFailedBatchesInTopics"
      actions   = ["sns:Publish"]
      resources = local.destinations.sns
    },
    {
      sid       = "KeepFailedBatchesInBuckets"
      actions   = ["s3:ListBucket", "s3:PutObject"]
      resources = flatten([for arn in local.destinations.s3 : [arn, "${arn}/*"]])
    },
    {
      sid       = "SendResultsToQueues"
      actions   = ["sqs:SendMessage"]
      resources = local.result_destinations.sqs
    },
    {
      sid       = "SendResultsToTopics"
      actions   = ["sns:Publish"]
      resources = local.result_destinations.sns
    },
    {
      sid       = "SendResultsToFunctions"
      actions   = ["lambda:InvokeFunction"]
      resources = local.result_destinations.lambda
    },
    {
      sid       = "SendResultsToEventBuses"
      actions   = ["events:PutEvents"]
      resources = local.result_destinations.events
    },
    {
      sid       = "SendResultsToBuckets"
      actions   = ["s3:ListBucket", "s3:PutObject"]
      resources = flatten([for arn in local.result_destinations.s3 : [arn, "${arn}/*"]])
    },
    {
      # Through the access point alone, which decides user and folder.
      sid       = "UseFileSystem"
      actions   = concat(["elasticfilesystem:ClientMount"], try(var.file_system.read_only, true) ? [] : ["elasticfilesystem:ClientWrite"])
      resources = var.file_system[*].file_system_arn
      condition = { StringEquals = { "elasticfilesystem:AccessPointArn" = one(var.file_system[*].access_point_arn) } }
    },
    {
      # Neither action can be narrowed: there is no such thing as a trace's owner.
      sid       = "WriteTraces"
      actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      resources = var.tracing_mode == "Active" || var.opentelemetry != null ? ["*"] : []
    },
    {
      sid       = "JoinVpc"
      actions   = local.interface_actions
      resources = var.vpc == null ? [] : ["*"]
    },
    {
      # What Lambda needs to join the VPC the code itself must not do.
      sid       = "JoinVpcByLambdaAlone"
      effect    = "Deny"
      actions   = local.interface_actions
      resources = var.vpc == null ? [] : ["*"]
      condition = { ArnEquals = { "lambda:SourceFunctionArn" = local.function_arn } }
    },
    ] : {
    for key, value in {
      Sid       = statement.sid
      Effect    = try(statement.effect, "Allow")
      Action    = statement.actions
      Resource  = statement.resources
      Condition = try(statement.condition, null)
    } : key => value if value != null
  } if length(statement.resources) > 0]
}

resource "aws_lambda_function_event_invoke_config" "this" {
  count = var.async_invocation == null ? 0 : 1

  function_name                = aws_lambda_function.this.function_name
  qualifier                    = local.alias.name
  maximum_event_age_in_seconds = var.async_invocation.maximum_event_age_in_seconds
  maximum_retry_attempts       = var.async_invocation.maximum_retry_attempts

  dynamic "destination_config" {
    for_each = var.async_invocation.on_success_arn == null && var.async_invocation.on_failure_arn == null ? [] : [var.async_invocation]

    content {
      dynamic "on_success" {
        for_each = destination_config.value.on_success_arn == null ? [] : [destination_config.value.on_success_arn]

        content {
          destination = on_success.value
        }
      }

      dynamic "on_failure" {
        for_each = destination_config.value.on_failure_arn == null ? [] : [destination_config.value.on_failure_arn]

        content {
          destination = on_failure.value
        }
      }
    }
  }

  # Lambda refuses a destination that the role may not write to.
  depends_on = [aws_iam_role_policy.connections]
}
