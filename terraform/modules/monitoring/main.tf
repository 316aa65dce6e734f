data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.id
  account_id = data.aws_caller_identity.current.account_id

  own_topic_arn = "arn:${local.partition}:sns:${local.region}:${local.account_id}:${var.name}"

  topic_arn   = var.make_topic ? one(aws_sns_topic.this[*].arn) : var.topic_arn
  kms_key_arn = var.make_key ? one(module.key[*].arn) : var.kms_key_arn

  # CloudWatch publishes for this account's alarms alone, other services for this account alone.
  # https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
  publishers = concat(
    [{
      service = "cloudwatch.amazonaws.com"
      conditions = {
        StringEquals = { "aws:SourceAccount" = [local.account_id] }
        ArnLike      = { "aws:SourceArn" = ["arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${var.name}-*"] }
      }
    }],
    [for service in sort(var.publisher_services) : {
      service    = service
      conditions = { StringEquals = { "aws:SourceAccount" = [local.account_id] } }
    }],
  )

  # Written out rather than read from aws_iam_policy_document: known at the plan, and tested.
  topic_policy = {
    Version = "2012-10-17"
    Statement = [for index, publisher in local.publishers : {
      Sid       = "PublishedByService${index + 1}"
      Effect    = "Allow"
      Principal = { Service = publisher.service }
      Action    = "sns:Publish"
      Resource  = local.own_topic_arn
      Condition = publisher.conditions
    }]
  }
}

module "key" {
  source = "../kms-key"
  count  = var.make_topic && var.make_key ? 1 : 0

  name        = "${var.name}-topic"
  description = "Encrypts what the SNS topic ${var.name} holds until it is delivered"
  services    = ["sns"]
  service_principals = [for publisher in local.publishers : {
    service = publisher.service
    actions = ["kms:Decrypt", "kms:GenerateDataKey*"]
    # EventBridge tells KMS not for whom it calls; SNS itself says for which topic.
    # https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#compatibility-with-aws-services
    conditions = publisher.service == "events.amazonaws.com" ? {
      StringEquals = { "kms:EncryptionContext:aws:sns:topicArn" = [local.own_topic_arn] }
    } : { StringEquals = publisher.conditions.StringEquals }
  }]
  tags = var.tags
}

resource "aws_sns_topic" "this" {
  count = var.make_topic ? 1 : 0

  name              = var.name
  display_name      = var.name
  kms_master_key_id = local.kms_key_arn
  tags              = var.tags
}

resource "aws_sns_topic_policy" "this" {
  count = var.make_topic ? 1 : 0

  arn    = aws_sns_topic.this[0].arn
  policy = jsonencode(local.topic_policy)
}

resource "aws_sns_topic_subscription" "email" {
  for_each = var.make_topic ? var.email_addresses : []

  topic_arn = aws_sns_topic.this[0].arn
  protocol  = "email"
  endpoint  = each.value
}

# An alarm that nobody hears is worse than none: it looks as if somebody watched. Only a warning, because an address may come
# later, and a topic be read by what this module does not know.
check "somebody_is_notified" {
  assert {
    condition     = !var.make_topic || var.subscribed_elsewhere || length(var.email_addresses) > 0 || local.chat
    error_message = "Nobody is subscribed to the topic ${var.name}: its alarms notify nobody. Name email_addresses, slack_channel or teams_channel; set subscribed_elsewhere if others subscribe, or make_topic = false for alarms that only show their state."
  }
}
