locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
  name        = "${local.name_prefix}-tracer"

  # An emulator leaves the slash out.
  api_url = "${trimsuffix(module.url.url, "/")}/"

  # Whether keys were given is no secret, and decides what is made.
  writes_keys = nonsensitive(var.api_keys != null)
  makes_topic = var.make_alerts_topic && (var.enable_cost_alerts || var.enable_error_alerts || var.enable_dynamodb_alerts)

  # Where the function's variables say how much it logs, whatever the format.
  log_level      = var.log_level == null ? {} : { RUST_LOG = lower(var.log_level) }
  logging_config = var.log_format == null ? null : { log_format = var.log_format, application_log_level = var.log_format == "JSON" ? var.log_level : null }
}

module "traces" {
  source = "../../modules/dynamodb-table"

  name       = coalesce(var.traces_table_name, "${local.name_prefix}-traces")
  hash_key   = "trace_id"
  attributes = { trace_id = "S", project_id = "S", start_time = "S" }

  global_secondary_indexes = {
    by-project = { hash_key = "project_id", range_key = "start_time" }
  }

  ttl_attribute          = "expires_at"
  point_in_time_recovery = var.enable_pitr
}

module "spans" {
  source = "../../modules/dynamodb-table"

  name       = coalesce(var.spans_table_name, "${local.name_prefix}-spans")
  hash_key   = "span_id"
  attributes = { span_id = "S", trace_id = "S", start_time = "S" }

  # The range key lets a trace list its spans in their order, page by page.
  global_secondary_indexes = {
    by-trace = { hash_key = "trace_id", range_key = "start_time" }
  }

  ttl_attribute          = "expires_at"
  point_in_time_recovery = var.enable_pitr
}

module "api_keys" {
  source = "../../modules/secret"

  name                 = "${local.name}-api-keys"
  description          = "Keys of the clients of the tracer's API: a JSON array of strings"
  value                = local.writes_keys ? jsonencode(var.api_keys) : null
  value_version        = local.writes_keys ? var.api_keys_version : null
  recovery_window_days = var.secret_recovery_days
}

module "tracer" {
  source = "../../modules/lambda-function"

  name                           = local.name
  release                        = var.releases["tracer"]
  permissions_boundary_arn       = var.function_role_arn == null ? var.permissions_boundary_arn : null
  memory_size                    = var.memory_size
  timeout                        = var.timeout
  log_retention_days             = var.log_retention_days
  logging_config                 = local.logging_config
  reserved_concurrent_executions = var.reserved_concurrent_executions
  check_quotas                   = var.check_quotas
  role_arn                       = var.function_role_arn
  opentelemetry                  = var.opentelemetry

  environment_variables = merge(
    local.log_level,
    {
      TRACES_TABLE    = module.traces.name
      SPANS_TABLE     = module.spans.name
      API_KEYS_SECRET = module.api_keys.arn
    },
    length(var.cors_allow_origins) == 0 ? {} : { CORS_ALLOW_ORIGINS = join(",", sort(var.cors_allow_origins)) },
  )

  # A role from outside has its own.
  policy_statements = var.function_role_arn != null ? [] : [
    {
      sid       = "WriteAndReadRecords"
      actions   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
      resources = [module.traces.arn, module.spans.arn]
    },
    {
      sid       = "ListRecords"
      actions   = ["dynamodb:Query"]
      resources = [module.traces.index_arns["by-project"], module.spans.index_arns["by-trace"]]
    },
    {
      sid       = "ReadApiKeys"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [module.api_keys.arn]
    },
  ]
}

# Everyone may call; the function checks the header X-API-Key. Without `cors`: the function answers
# browsers itself, and Lambda would set the same headers once more.
module "url" {
  source = "../../modules/function-url"

  function      = module.tracer.function
  authorization = "NONE"
  emulated      = var.emulated
}

module "monitoring" {
  source = "../../modules/monitoring"

  name = local.name

  functions = {
    tracer = {
      function_name     = module.tracer.function.function_name
      alias             = module.tracer.function.alias
      timeout_seconds   = var.timeout
      concurrency_limit = coalesce(var.reserved_concurrent_executions, 1000)
    }
  }
  tables = {
    traces = { table_name = module.traces.name, index_names = ["by-project"] }
    spans  = { table_name = module.spans.name, index_names = ["by-trace"] }
  }
  # An answer of 502 or 503 is no error of Lambda's. The function logs its cause.
  log_filters = {
    failed-requests = {
      log_group_name = module.tracer.log_group_name
      pattern        = "{ $.level = \"ERROR\" }"
      description    = "The tracer could not answer a request, for a reason that is not the caller's"
    }
  }

  enable_error_alerts       = var.enable_error_alerts
  enable_duration_alerts    = var.enable_error_alerts
  enable_throttle_alerts    = var.enable_error_alerts
  enable_concurrency_alerts = var.enable_error_alerts
  enable_log_alerts         = var.enable_error_alerts
  enable_dynamodb_alerts    = var.enable_dynamodb_alerts
  enable_dashboard          = var.enable_dashboard

  make_topic         = local.makes_topic
  publisher_services = var.enable_cost_alerts ? ["budgets.amazonaws.com"] : []
  email_addresses    = local.makes_topic ? var.alert_email_addresses : []
}

module "budget" {
  source = "../../modules/budget"

  name       = "${local.name}-cost"
  enabled    = var.enable_cost_alerts
  limit      = var.monthly_budget
  cost_tags  = { Stack = "tracer" }
  topic_arns = local.makes_topic ? [module.monitoring.topic_arn] : []
  # Who is told by the topic is not told twice.
  email_addresses = local.makes_topic ? [] : var.alert_email_addresses
}
