# Amazon Q Developer in chat applications, by its older name AWS Chatbot: the topic's messages in a
# channel. What the channel may do in return is read the metrics that an alarm shows.
locals {
  chat = var.slack_channel != null || var.teams_channel != null

  chat_trust_policy = {
    Version = "2012-10-17"
    Statement = [{
      Sid       = "ChatOfThisAccount"
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "chatbot.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account_id }
        ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:chatbot::${local.account_id}:chat-configuration/*/${var.name}" }
      }
    }]
  }

  chat_policy = {
    Version = "2012-10-17"
    Statement = [{
      # None of them can be narrowed to some metrics.
      # https://docs.aws.amazon.com/chatbot/latest/adminguide/chatbot-iam-policies.html
      Sid      = "ShowMetrics"
      Effect   = "Allow"
      Action   = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:GetMetricWidgetImage", "cloudwatch:ListMetrics"]
      Resource = "*"
    }]
  }
}

resource "aws_iam_role" "chat" {
  count = local.chat ? 1 : 0

  name                 = "${var.name}-chat"
  description          = "What may be done from the chat channel of ${var.name}"
  assume_role_policy   = jsonencode(local.chat_trust_policy)
  permissions_boundary = var.permissions_boundary_arn
  tags                 = var.tags
}

# A policy with an ARN of its own, because it is the channel's guardrail as well: left out, that is
# AdministratorAccess.
resource "aws_iam_policy" "chat" {
  #checkov:skip=CKV_AWS_355: reading metrics can't be narrowed to some of them
  count = local.chat ? 1 : 0

  name        = "${var.name}-chat"
  description = "What may be done from the chat channel of ${var.name}"
  policy      = jsonencode(local.chat_policy)
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "chat" {
  count = local.chat ? 1 : 0

  role       = aws_iam_role.chat[0].name
  policy_arn = aws_iam_policy.chat[0].arn
}

resource "aws_chatbot_slack_channel_configuration" "this" {
  count = var.slack_channel == null ? 0 : 1

  configuration_name          = var.name
  iam_role_arn                = aws_iam_role.chat[0].arn
  guardrail_policy_arns       = [aws_iam_policy.chat[0].arn]
  slack_team_id               = var.slack_channel.workspace_id
  slack_channel_id            = var.slack_channel.channel_id
  sns_topic_arns              = [local.topic_arn]
  logging_level               = "ERROR"
  user_authorization_required = false
  tags                        = var.tags
}

resource "aws_chatbot_teams_channel_configuration" "this" {
  count = var.teams_channel == null ? 0 : 1

  configuration_name          = "${var.name}-teams"
  iam_role_arn                = aws_iam_role.chat[0].arn
  guardrail_policy_arns       = [aws_iam_policy.chat[0].arn]
  tenant_id                   = var.teams_channel.tenant_id
  team_id                     = var.teams_channel.team_id
  team_name                   = var.teams_channel.team_name
  channel_id                  = var.teams_channel.channel_id
  sns_topic_arns              = [local.topic_arn]
  logging_level               = "ERROR"
  user_authorization_required = false
  tags                        = var.tags
}
