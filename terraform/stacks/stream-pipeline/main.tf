locals {
  name_prefix = "${var.environment.project}-${var.environment.account_id}-${var.environment.name}"
  name        = "${local.name_prefix}-stream"

  expiring_prefixes = var.rejected_days == null ? {} : { "rejected/" = var.rejected_days }
  vpc               = var.subnet_ids == null ? null : { subnet_ids = var.subnet_ids, security_group_ids = var.security_group_ids }

  # Reading the stream and writing to the queue the module allows by itself; what their keys ask for is here.
  statements = [
    {
      sid       = "WriteEvents"
      actions   = ["dynamodb:PutItem"]
      resources = [module.table.arn]
    },
    {
      # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/encryption.usagenotes.html, but for
      # CreateGrant: the table's maker gave the grant.
      sid       = "UseTableKey"
      actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
      resources = [module.table_key.arn]
    },
    {
      sid       = "WriteRecords"
      actions   = ["s3:PutObject"]
      resources = ["${module.bucket.arn}/raw/*", "${module.bucket.arn}/rejected/*"]
    },
    {
      sid       = "EncryptRecords"
      actions   = ["kms:GenerateDataKey"]
      resources = [module.bucket_key.arn]
    },
    {
      sid       = "ReadSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [module.secret.arn]
    },
    {
      sid       = "DecryptSecret"
      actions   = ["kms:Decrypt"]
      resources = [module.secret_key.arn]
    },
    {
      # Records are decrypted; of the queue, messages are encrypted, which takes both.
      # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-key-management.html#send-to-encrypted-queue
      sid       = "UseStreamKey"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [module.stream_key.arn]
    },
  ]

  event_sources = {
    stream = {
      event_source_arn                   = module.stream.arn
      starting_position                  = "TRIM_HORIZON"
      batch_size                         = var.batch_size
      maximum_batching_window_in_seconds = var.batching_window_seconds
      bisect_batch_on_function_error     = true
      maximum_retry_attempts             = var.maximum_retry_attempts
      maximum_record_age_in_seconds      = var.maximum_record_age_seconds
      report_batch_item_failures         = true
      on_failure_destination_arn         = aws_sqs_queue.failures.arn
      enabled                            = var.event_source_enabled
    }
  }

  # Where the function's variables say how much it logs, whatever the format.
  log_level      = var.log_level == null ? {} : { LOG_LEVEL = var.log_level }
  logging_config = var.log_format == null ? null : { log_format = var.log_format, application_log_level = var.log_format == "JSON" ? var.log_level : null }

  # The layer instruments the handler and the AWS SDK: the function knows nothing of traces.
  opentelemetry = var.opentelemetry == null ? null : {
    layer_arn     = var.opentelemetry.layer_arn
    sampled_share = var.opentelemetry.sampled_share
    wrapper       = "/opt/otel-instrument"
  }
}

# A key for each kind of storage: the right to read one is not the right to read all.
module "bucket_key" {
  source = "../../modules/kms-key"

  name                 = "${local.name}-bucket"
  description          = "Encrypts the records in the bucket ${local.name}-records"
  services             = ["s3"]
  deletion_window_days = var.key_deletion_window_days
}

module "table_key" {
  source = "../../modules/kms-key"

  name                 = "${local.name}-table"
  description          = "Encrypts the table ${local.name}-events"
  services             = ["dynamodb"]
  deletion_window_days = var.key_deletion_window_days
}

module "stream_key" {
  source = "../../modules/kms-key"

  name        = "${local.name}-stream"
  description = "Encrypts the stream ${local.name}-events and the queue of its batches that failed for good"
  # The queue holds no record, but tells which ones failed: whoever may read the stream may know.
  services             = ["kinesis", "sqs"]
  deletion_window_days = var.key_deletion_window_days
}

module "secret_key" {
  source = "../../modules/kms-key"

  name                 = "${local.name}-secret"
  description          = "Encrypts the secret ${local.name}-pseudonym-key"
  services             = ["secretsmanager"]
  deletion_window_days = var.key_deletion_window_days
}

module "bucket" {
  source = "../../modules/s3-bucket"

  name                    = "${local.name}-records"
  kms_key_arn             = module.bucket_key.arn
  emulated                = var.emulated
  noncurrent_version_days = var.noncurrent_version_days
  expiring_prefixes       = local.expiring_prefixes
  force_destroy           = var.force_destroy
}

module "table" {
  source = "../../modules/dynamodb-table"

  name                   = "${local.name}-events"
  hash_key               = "id"
  attributes             = { id = "S" }
  kms_key_arn            = module.table_key.arn
  point_in_time_recovery = true
  deletion_protection    = var.table_deletion_protection
}

module "stream" {
  source = "../../modules/kinesis-stream"

  name            = "${local.name}-events"
  shard_count     = var.shard_count
  retention_hours = var.stream_retention_hours
  kms_key_arn     = module.stream_key.arn
}

module "secret" {
  source = "../../modules/secret"

  name                 = "${local.name}-pseudonym-key"
  description          = "Key by which stream-ingest replaces subjects by pseudonyms"
  kms_key_arn          = module.secret_key.arn
  recovery_window_days = var.secret_recovery_window_days
  value                = var.pseudonym_key
  value_version        = var.pseudonym_key_version
}

# What Lambda writes here of a batch is where it lies in the stream, for as long as the stream keeps it.
resource "aws_sqs_queue" "failures" {
  name                      = "${local.name}-failures"
  kms_master_key_id         = module.stream_key.arn
  message_retention_seconds = 14 * 24 * 60 * 60
}

module "stream_ingest" {
  source = "../../modules/lambda-function"

  name                     = "${local.name_prefix}-stream-ingest"
  release                  = var.releases["stream-ingest"]
  role_arn                 = var.function_role_arn
  permissions_boundary_arn = var.function_role_arn == null ? var.permissions_boundary_arn : null
  memory_size              = var.memory_size
  timeout                  = var.timeout
  log_retention_days       = var.log_retention_days
  logging_config           = local.logging_config
  tracing_mode             = var.tracing_mode
  opentelemetry            = local.opentelemetry
  vpc                      = local.vpc

  environment_variables = merge(local.log_level, {
    TABLE_NAME  = module.table.name
    BUCKET_NAME = module.bucket.bucket
    SECRET_ARN  = module.secret.arn
  })

  # A role from outside has its own.
  policy_statements = var.function_role_arn != null ? [] : local.statements
  event_sources     = local.event_sources
}

# A shard stands still while one of its batches fails again and again, and no call fails that did not fail before: what is read
# late is seen, and what was given up on.
module "monitoring" {
  source = "../../modules/monitoring"

  name = local.name

  functions = {
    stream-ingest = {
      function_name   = module.stream_ingest.function.function_name
      alias           = module.stream_ingest.function.alias
      timeout_seconds = var.timeout
    }
  }
  streams = { events = { stream_name = module.stream.name, iterator_age_seconds = var.iterator_age_alert_seconds } }
  queues  = { failures = { queue_name = aws_sqs_queue.failures.name, maximum_messages = 0 } }
  event_source_mappings = {
    stream = {
      function_name        = module.stream_ingest.function.function_name
      alias                = module.stream_ingest.function.alias
      iterator_age_seconds = var.iterator_age_alert_seconds
    }
  }
  tables = { events = { table_name = module.table.name } }

  enable_error_alerts        = var.enable_error_alerts
  enable_duration_alerts     = var.enable_error_alerts
  enable_throttle_alerts     = var.enable_error_alerts
  enable_concurrency_alerts  = var.enable_error_alerts
  enable_dynamodb_alerts     = var.enable_error_alerts
  enable_stream_alerts       = var.enable_stream_alerts
  enable_event_source_alerts = var.enable_stream_alerts
  enable_queue_alerts        = var.enable_stream_alerts
  enable_dashboard           = var.enable_dashboard

  make_topic               = var.make_alerts_topic
  email_addresses          = var.make_alerts_topic ? var.alert_email_addresses : []
  subscribed_elsewhere     = var.alerts_subscribed_elsewhere
  permissions_boundary_arn = var.permissions_boundary_arn
}
