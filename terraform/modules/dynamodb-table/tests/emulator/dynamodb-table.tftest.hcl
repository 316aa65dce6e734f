# Makes a table on an emulated AWS, changes it and looks at it. Endpoint, region and credentials come
# from the environment.
provider "aws" {
  max_retries = 2
}

variables {
  name       = "slipway-modules-dynamodb-table"
  hash_key   = "trace_id"
  range_key  = "start_time"
  attributes = { trace_id = "S", start_time = "N" }
  tags       = { Purpose = "emulator" }
}

run "made" {
  assert {
    condition     = endswith(output.arn, ":table/slipway-modules-dynamodb-table")
    error_message = "DynamoDB's own ARN goes out."
  }

  assert {
    condition     = one(aws_dynamodb_table.this.point_in_time_recovery).enabled && aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "The table can be restored, and is paid by the request."
  }
}

run "with_an_index_and_an_end" {
  variables {
    attributes               = { trace_id = "S", start_time = "N", project_id = "S" }
    global_secondary_indexes = { by_project = { hash_key = "project_id", range_key = "start_time", projection = "KEYS_ONLY" } }
    point_in_time_recovery   = false
    ttl_attribute            = "expires_at"
    stream_view_type         = "KEYS_ONLY"
  }

  assert {
    condition     = startswith(output.stream_arn, "${run.made.arn}/stream/")
    error_message = "The stream is the table's."
  }

  assert {
    condition     = output.arn == run.made.arn && output.index_arns == { by_project = "${run.made.arn}/index/by_project" }
    error_message = "The table stays, and its index is named."
  }
}

run "as_dynamodb_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    name = run.with_an_index_and_an_end.name
  }

  assert {
    condition     = output.table.hash_key == "trace_id" && output.table.range_key == "start_time" && output.table.billing_mode == "PAY_PER_REQUEST"
    error_message = "Keys and billing are the ones given."
  }

  assert {
    condition     = [for index in output.table.global_secondary_index : "${index.name} ${index.hash_key} ${index.range_key} ${index.projection_type}"] == ["by_project project_id start_time KEYS_ONLY"]
    error_message = "DynamoDB has the index."
  }

  assert {
    condition     = one(output.table.ttl).enabled && one(output.table.ttl).attribute_name == "expires_at" && !one(output.table.point_in_time_recovery).enabled
    error_message = "Items end, and the table can no longer be restored."
  }

  assert {
    condition     = output.table.stream_enabled && output.table.stream_view_type == "KEYS_ONLY"
    error_message = "DynamoDB has the stream."
  }

  assert {
    condition     = one(output.table.server_side_encryption).enabled && output.table.tags["Purpose"] == "emulator"
    error_message = "The table is encrypted with a key of the account, and tagged."
  }
}
