# What the function is connected to beside its callers: the sources that feed it, a VPC, X-Ray; and
# what its role must be allowed for each.
locals {
  # Known at the plan even where the ARNs are not: by the keys of a map and by switches alone.
  connected = length(var.event_sources) > 0 || var.vpc != null || var.tracing_mode == "Active"

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
      # Neither action can be narrowed: there is no such thing as a trace's owner.
      sid       = "WriteTraces"
      actions   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
      resources = var.tracing_mode == "Active" ? ["*"] : []
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

resource "aws_lambda_event_source_mapping" "this" {
  for_each = var.event_sources

  function_name    = aws_lambda_alias.live.arn
  event_source_arn = each.value.event_source_arn
  # Of a queue there is no beginning to start at.
  starting_position = split(":", each.value.event_source_arn)[2] == "sqs" ? null : each.value.starting_position

  batch_size                         = each.value.batch_size
  maximum_batching_window_in_seconds = each.value.maximum_batching_window_in_seconds
  parallelization_factor             = each.value.parallelization_factor
  bisect_batch_on_function_error     = each.value.bisect_batch_on_function_error
  maximum_retry_attempts             = each.value.maximum_retry_attempts
  maximum_record_age_in_seconds      = each.value.maximum_record_age_in_seconds
  function_response_types            = each.value.report_batch_item_failures ? ["ReportBatchItemFailures"] : []

  # Nothing reaches a version that was not verified. Slipway opens the source once the first one was.
  enabled = false

  dynamic "filter_criteria" {
    for_each = each.value.filter_patterns == null ? [] : [each.value.filter_patterns]

    content {
      dynamic "filter" {
        for_each = filter_criteria.value

        content {
          pattern = filter.value
        }
      }
    }
  }

  dynamic "destination_config" {
    for_each = each.value.on_failure_destination_arn == null ? [] : [each.value.on_failure_destination_arn]

    content {
      on_failure {
        destination_arn = destination_config.value
      }
    }
  }

  tags = var.tags

  lifecycle {
    # Terraform makes the mapping, shut. From then on a rollout opens it.
    ignore_changes = [enabled]
  }
}
