locals {
  notifications = merge(
    { for percent in var.actual_percents : "ACTUAL/${percent}" => { type = "ACTUAL", percent = percent } },
    { for percent in var.forecast_percents : "FORECASTED/${percent}" => { type = "FORECASTED", percent = percent } },
  )
}

resource "aws_budgets_budget" "this" {
  count = var.enabled ? 1 : 0

  name         = var.name
  budget_type  = "COST"
  limit_amount = tostring(var.limit)
  limit_unit   = var.currency
  time_unit    = var.period

  # What is used, not what is paid: a credit would hide the first until it is spent.
  cost_types {
    include_credit = false
    include_refund = false
  }

  dynamic "cost_filter" {
    for_each = length(var.cost_tags) == 0 ? [] : [var.cost_tags]

    content {
      name = "TagKeyValue"
      # AWS's own way to write a tag that a user gave.
      # https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_Budget.html
      values = [for key, value in cost_filter.value : format("user:%s$%s", key, value)]
    }
  }

  dynamic "notification" {
    for_each = local.notifications

    content {
      notification_type          = notification.value.type
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value.percent
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.email_addresses
      subscriber_sns_topic_arns  = var.topic_arns
    }
  }

  tags = var.tags
}
