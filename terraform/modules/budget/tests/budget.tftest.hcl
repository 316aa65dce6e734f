mock_provider "aws" {
  mock_resource "aws_budgets_budget" {
    defaults = { arn = "arn:aws:budgets::222222222222:budget/shop-222222222222-prod-cost" }
  }
}

variables {
  name            = "shop-222222222222-prod-cost"
  limit           = 50
  cost_tags       = { Project = "shop", Environment = "prod" }
  email_addresses = ["ops@example.com"]
}

run "project_by_the_month" {
  assert {
    condition = (aws_budgets_budget.this[0].name == "shop-222222222222-prod-cost"
      && aws_budgets_budget.this[0].budget_type == "COST"
      && aws_budgets_budget.this[0].limit_amount == "50"
      && aws_budgets_budget.this[0].limit_unit == "USD"
    && aws_budgets_budget.this[0].time_unit == "MONTHLY")
    error_message = "The budget is for a month's cost, in dollars unless told otherwise."
  }

  assert {
    condition     = one(aws_budgets_budget.this[0].cost_filter).name == "TagKeyValue" && toset(one(aws_budgets_budget.this[0].cost_filter).values) == toset(["user:Environment$prod", "user:Project$shop"])
    error_message = "Only what carries the project's tags is counted."
  }

  assert {
    condition     = !aws_budgets_budget.this[0].cost_types[0].include_credit && !aws_budgets_budget.this[0].cost_types[0].include_refund
    error_message = "A credit must not hide what is used."
  }

  assert {
    condition     = toset([for notification in aws_budgets_budget.this[0].notification : "${notification.notification_type} ${notification.threshold} ${notification.threshold_type} ${notification.comparison_operator}"]) == toset(["ACTUAL 80 PERCENTAGE GREATER_THAN", "ACTUAL 100 PERCENTAGE GREATER_THAN", "FORECASTED 100 PERCENTAGE GREATER_THAN"])
    error_message = "It tells at 80 and 100 percent spent, and when 100 percent are foreseen."
  }

  assert {
    condition     = alltrue([for notification in aws_budgets_budget.this[0].notification : notification.subscriber_email_addresses == toset(["ops@example.com"]) && length(coalesce(notification.subscriber_sns_topic_arns, [])) == 0])
    error_message = "Each goes to everybody named."
  }

  assert {
    condition     = output.name == "shop-222222222222-prod-cost" && output.arn == "arn:aws:budgets::222222222222:budget/shop-222222222222-prod-cost"
    error_message = "Name and ARN go out."
  }
}

run "whole_account_through_a_topic" {
  variables {
    limit             = 1200.5
    currency          = "EUR"
    period            = "ANNUALLY"
    cost_tags         = {}
    actual_percents   = [50]
    forecast_percents = []
    email_addresses   = []
    topic_arns        = ["arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"]
    tags              = { Team = "shop" }
  }

  assert {
    condition = (length(aws_budgets_budget.this[0].cost_filter) == 0
      && aws_budgets_budget.this[0].limit_amount == "1200.5"
      && aws_budgets_budget.this[0].limit_unit == "EUR"
    && aws_budgets_budget.this[0].time_unit == "ANNUALLY")
    error_message = "Without tags the whole account is counted."
  }

  assert {
    condition     = one(aws_budgets_budget.this[0].notification).threshold == 50 && one(aws_budgets_budget.this[0].notification).notification_type == "ACTUAL" && one(aws_budgets_budget.this[0].notification).subscriber_sns_topic_arns == toset(["arn:aws:sns:eu-central-1:222222222222:shop-222222222222-prod-alarms"])
    error_message = "Shares and topic are the caller's choice."
  }

  assert {
    condition     = aws_budgets_budget.this[0].tags == tomap({ Team = "shop" })
    error_message = "The budget is tagged."
  }
}

run "switched_off" {
  variables {
    enabled         = false
    email_addresses = []
  }

  assert {
    condition     = length(aws_budgets_budget.this) == 0 && output.name == null && output.arn == null
    error_message = "Switched off there is no budget, and nobody need be named."
  }
}

run "refuses_a_name_with_a_space" {
  command = plan

  variables {
    name = "shop cost"
  }

  expect_failures = [var.name]
}

run "refuses_a_budget_of_nothing" {
  command = plan

  variables {
    limit = 0
  }

  expect_failures = [var.limit]
}

run "refuses_a_currency_by_its_sign" {
  command = plan

  variables {
    currency = "$"
  }

  expect_failures = [var.currency]
}

run "refuses_a_day" {
  command = plan

  variables {
    period = "DAILY"
  }

  expect_failures = [var.period]
}

run "refuses_a_tag_without_a_value" {
  command = plan

  variables {
    cost_tags = { Project = "" }
  }

  expect_failures = [var.cost_tags]
}

run "refuses_a_share_of_nothing_spent" {
  command = plan

  variables {
    actual_percents = [0]
  }

  expect_failures = [var.actual_percents]
}

run "refuses_a_share_of_nothing_foreseen" {
  command = plan

  variables {
    forecast_percents = [0]
  }

  expect_failures = [var.forecast_percents]
}

run "refuses_to_tell_never" {
  command = plan

  variables {
    actual_percents   = []
    forecast_percents = []
  }

  expect_failures = [var.forecast_percents]
}

run "refuses_an_address_without_an_at" {
  command = plan

  variables {
    email_addresses = ["ops"]
  }

  expect_failures = [var.email_addresses]
}

run "refuses_two_topics" {
  command = plan

  variables {
    topic_arns = ["arn:aws:sns:eu-central-1:222222222222:a", "arn:aws:sns:eu-central-1:222222222222:b"]
  }

  expect_failures = [var.topic_arns]
}

run "refuses_to_tell_nobody" {
  command = plan

  variables {
    email_addresses = []
  }

  expect_failures = [var.topic_arns]
}
