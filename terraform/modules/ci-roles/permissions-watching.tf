# Logs, alarms, topics, budgets, event rules, chat.
locals {
  log_groups = { for environment, prefix in local.prefixes : environment => flatten([
    for group in ["lambda", "vendedlogs/apigateway", "vpc-flow-logs"] :
    ["${local.arns.logs}:log-group:/aws/${group}/${prefix}*", "${local.arns.logs}:log-group:/aws/${group}/${prefix}*:*"]
  ]) }

  watching_permissions = { for environment, prefix in local.prefixes : environment => [
    {
      sid  = "LogGroups"
      read = ["logs:DescribeMetricFilters", "logs:ListTagsForResource", "logs:ListTagsLogGroup"]
      write = [
        "logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteMetricFilter", "logs:DeleteRetentionPolicy",
        "logs:DisassociateKmsKey", "logs:FilterLogEvents", "logs:PutMetricFilter", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource",
      ]
      resources = local.log_groups[environment]
    },
    {
      # Lists can't be narrowed; nor can the delivery of an API's access logs.
      sid  = "LogsOfTheAccount"
      read = ["logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries"]
      write = [
        "logs:CreateLogDelivery", "logs:DeleteLogDelivery", "logs:PutResourcePolicy", "logs:UpdateLogDelivery",
      ]
      resources = ["*"]
    },
    {
      sid   = "AlarmsAndDashboards"
      read  = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
      write = ["cloudwatch:DeleteAlarms", "cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
      resources = [
        "${local.arns.cloudwatch}:alarm:${prefix}*",
        "arn:${local.partition}:cloudwatch::${local.account_id}:dashboard/${prefix}*",
      ]
    },
    {
      # A rollout looks at a version's metrics before it goes on.
      sid       = "Metrics"
      read      = ["cloudwatch:DescribeAlarms", "cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics", "cloudwatch:ListMetrics"]
      resources = ["*"]
    },
    {
      sid       = "Topics"
      read      = ["sns:GetDataProtectionPolicy", "sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"]
      write     = ["sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource"]
      resources = ["${local.arns.sns}:${prefix}*"]
    },
    {
      # A subscription can't be narrowed: AWS asks for no resource.
      sid       = "Subscriptions"
      read      = ["sns:GetSubscriptionAttributes"]
      write     = ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"]
      resources = ["*"]
    },
    {
      sid       = "Budgets"
      read      = ["budgets:ListTagsForResource", "budgets:ViewBudget"]
      write     = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
      resources = ["arn:${local.partition}:budgets::${local.account_id}:budget/${prefix}*"]
    },
    {
      sid       = "EventRules"
      read      = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
      write     = ["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"]
      resources = ["${local.arns.events}:rule/${prefix}*"]
    },
    {
      # What looks and what makes asks for no resource.
      sid       = "FindChat"
      read      = ["chatbot:DescribeSlackChannelConfigurations", "chatbot:GetMicrosoftTeamsChannelConfiguration", "chatbot:ListMicrosoftTeamsChannelConfigurations", "chatbot:ListTagsForResource"]
      write     = ["chatbot:CreateMicrosoftTeamsChannelConfiguration", "chatbot:CreateSlackChannelConfiguration"]
      resources = ["*"]
    },
    {
      sid = "Chat"
      write = [
        "chatbot:DeleteMicrosoftTeamsChannelConfiguration", "chatbot:DeleteSlackChannelConfiguration", "chatbot:TagResource", "chatbot:UntagResource",
        "chatbot:UpdateMicrosoftTeamsChannelConfiguration", "chatbot:UpdateSlackChannelConfiguration",
      ]
      resources = ["arn:${local.partition}:chatbot::${local.account_id}:chat-configuration/*/${prefix}*"]
    },
  ] }
}
