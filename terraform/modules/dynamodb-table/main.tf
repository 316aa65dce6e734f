locals {
  key_attributes = toset([for attribute in concat(
    [var.hash_key, var.range_key],
    flatten([for index in var.global_secondary_indexes : [index.hash_key, index.range_key]]),
  ) : attribute if attribute != null])
}

resource "aws_dynamodb_table" "this" {
  #checkov:skip=CKV_AWS_119: the key is the caller's choice; a customer key costs a monthly fee, and without one the table is encrypted with aws/dynamodb
  #checkov:skip=CKV_AWS_28: on by default; where it is off the caller says so, as tracer does outside prod for its short-lived traces
  #checkov:skip=CKV2_AWS_16: on demand by default, which needs no scaling; a provisioned table is one whose load is known
  name         = var.name
  billing_mode = var.provisioned == null ? "PAY_PER_REQUEST" : "PROVISIONED"
  hash_key     = var.hash_key
  range_key    = var.range_key

  read_capacity  = one(var.provisioned[*].read_capacity)
  write_capacity = one(var.provisioned[*].write_capacity)

  stream_enabled   = var.stream_view_type != null
  stream_view_type = var.stream_view_type

  deletion_protection_enabled = var.deletion_protection
  tags                        = var.tags

  dynamic "on_demand_throughput" {
    for_each = var.on_demand_limits[*]

    content {
      max_read_request_units  = on_demand_throughput.value.read_request_units
      max_write_request_units = on_demand_throughput.value.write_request_units
    }
  }

  dynamic "attribute" {
    for_each = var.attributes

    content {
      name = attribute.key
      type = attribute.value
    }
  }

  dynamic "global_secondary_index" {
    for_each = var.global_secondary_indexes

    content {
      name               = global_secondary_index.key
      hash_key           = global_secondary_index.value.hash_key
      range_key          = global_secondary_index.value.range_key
      projection_type    = global_secondary_index.value.projection
      non_key_attributes = global_secondary_index.value.non_key_attributes

      # An index that is slower to write than its table holds the table back: the same unless told otherwise.
      read_capacity  = var.provisioned == null ? null : coalesce(global_secondary_index.value.read_capacity, var.provisioned.read_capacity)
      write_capacity = var.provisioned == null ? null : coalesce(global_secondary_index.value.write_capacity, var.provisioned.write_capacity)

      # Every write of an item that an index holds is a write of the index, too: a limit of the table alone would be
      # half of one.
      dynamic "on_demand_throughput" {
        for_each = var.on_demand_limits[*]

        content {
          max_read_request_units  = on_demand_throughput.value.read_request_units
          max_write_request_units = on_demand_throughput.value.write_request_units
        }
      }
    }
  }

  # Off would still mean encryption, with a key of DynamoDB's that no account sees or audits.
  server_side_encryption {
    enabled     = true
    kms_key_arn = var.kms_key_arn
  }

  point_in_time_recovery {
    enabled = var.point_in_time_recovery
  }

  dynamic "ttl" {
    for_each = var.ttl_attribute[*]

    content {
      attribute_name = ttl.value
      enabled        = true
    }
  }
}
