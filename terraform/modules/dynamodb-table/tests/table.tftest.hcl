mock_provider "aws" {
  mock_resource "aws_dynamodb_table" {
    defaults = { arn = "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces" }
  }
}

variables {
  name       = "shop-222222222222-dev-traces"
  hash_key   = "trace_id"
  attributes = { trace_id = "S" }
}

run "safe_by_default" {
  assert {
    condition = (aws_dynamodb_table.this.name == "shop-222222222222-dev-traces"
      && aws_dynamodb_table.this.hash_key == "trace_id"
      && aws_dynamodb_table.this.range_key == null
    && [for attribute in aws_dynamodb_table.this.attribute : "${attribute.name} ${attribute.type}"] == ["trace_id S"])
    error_message = "Name and keys are the ones given."
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PAY_PER_REQUEST"
    error_message = "A table is paid by the request unless it has a capacity."
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].enabled
    error_message = "The table is encrypted with a KMS key of the account even where none is given."
  }

  assert {
    condition     = aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "Every state of the last 35 days can be restored."
  }

  assert {
    condition     = length(aws_dynamodb_table.this.ttl) == 0 && length(aws_dynamodb_table.this.global_secondary_index) == 0 && !aws_dynamodb_table.this.deletion_protection_enabled
    error_message = "Nothing expires, nothing is indexed and nothing holds a destroy back unless asked."
  }

  assert {
    condition     = output.arn == "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces" && output.name == "shop-222222222222-dev-traces" && output.index_arns == {}
    error_message = "Name and ARN go out."
  }
}

run "indexes" {
  variables {
    range_key  = "start_time"
    attributes = { trace_id = "S", start_time = "N", project_id = "S" }
    global_secondary_indexes = {
      by-project = { hash_key = "project_id", range_key = "start_time" }
      by-time    = { hash_key = "start_time", projection = "INCLUDE", non_key_attributes = ["name"] }
    }
  }

  assert {
    condition     = aws_dynamodb_table.this.range_key == "start_time" && toset([for attribute in aws_dynamodb_table.this.attribute : "${attribute.name} ${attribute.type}"]) == toset(["trace_id S", "start_time N", "project_id S"])
    error_message = "The keys of the table and of the indexes are declared with their types."
  }

  assert {
    condition = one([for index in aws_dynamodb_table.this.global_secondary_index :
    "${index.hash_key} ${index.range_key} ${index.projection_type}" if index.name == "by-project"]) == "project_id start_time ALL"
    error_message = "An index copies whole items unless told otherwise."
  }

  assert {
    condition = one([for index in aws_dynamodb_table.this.global_secondary_index :
    index.range_key == null && index.projection_type == "INCLUDE" && index.non_key_attributes == toset(["name"]) if index.name == "by-time"])
    error_message = "An index copies the attributes it was told to."
  }

  assert {
    condition     = output.index_arns["by-project"] == "arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces/index/by-project" && length(output.index_arns) == 2
    error_message = "The ARN of each index goes out for the policies of whoever queries it."
  }
}

run "switches" {
  variables {
    kms_key_arn            = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    point_in_time_recovery = false
    ttl_attribute          = "expires_at"
    deletion_protection    = true
    tags                   = { Purpose = "traces" }
  }

  assert {
    condition     = aws_dynamodb_table.this.server_side_encryption[0].kms_key_arn == "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
    error_message = "A given key is used."
  }

  assert {
    condition     = !aws_dynamodb_table.this.point_in_time_recovery[0].enabled
    error_message = "Recovery can be switched off."
  }

  assert {
    condition     = aws_dynamodb_table.this.ttl[0].enabled && aws_dynamodb_table.this.ttl[0].attribute_name == "expires_at"
    error_message = "Items expire by the attribute given, which is no key and needs no type."
  }

  assert {
    condition     = aws_dynamodb_table.this.deletion_protection_enabled && aws_dynamodb_table.this.tags == tomap({ Purpose = "traces" })
    error_message = "Protection and tags reach the table."
  }
}

run "provisioned" {
  variables {
    provisioned = { read_capacity = 5, write_capacity = 2 }
    attributes  = { trace_id = "S", project_id = "S" }
    global_secondary_indexes = {
      as-the-table = { hash_key = "project_id" }
      of-its-own   = { hash_key = "project_id", projection = "KEYS_ONLY", read_capacity = 1, write_capacity = 3 }
    }
  }

  assert {
    condition     = aws_dynamodb_table.this.billing_mode == "PROVISIONED" && aws_dynamodb_table.this.read_capacity == 5 && aws_dynamodb_table.this.write_capacity == 2
    error_message = "A capacity makes a provisioned table."
  }

  assert {
    condition = { for index in aws_dynamodb_table.this.global_secondary_index : index.name => "${index.read_capacity}/${index.write_capacity}" } == {
      as-the-table = "5/2"
      of-its-own   = "1/3"
    }
    error_message = "An index has the table's capacity unless it was given its own."
  }
}

run "refuses_a_name_with_a_slash" {
  command = plan

  variables {
    name = "shop/traces"
  }

  expect_failures = [var.name]
}

run "refuses_an_unknown_type" {
  command = plan

  variables {
    attributes = { trace_id = "string" }
  }

  expect_failures = [var.attributes]
}

run "refuses_a_key_without_type" {
  command = plan

  variables {
    range_key = "start_time"
  }

  expect_failures = [var.attributes]
}

run "refuses_a_type_without_key" {
  command = plan

  variables {
    attributes = { trace_id = "S", status = "S" }
  }

  expect_failures = [var.attributes]
}

run "refuses_an_unknown_projection" {
  command = plan

  variables {
    attributes               = { trace_id = "S", project_id = "S" }
    global_secondary_indexes = { by-project = { hash_key = "project_id", projection = "SOME" } }
  }

  expect_failures = [var.global_secondary_indexes]
}

run "refuses_include_of_nothing" {
  command = plan

  variables {
    attributes               = { trace_id = "S", project_id = "S" }
    global_secondary_indexes = { by-project = { hash_key = "project_id", projection = "INCLUDE" } }
  }

  expect_failures = [var.global_secondary_indexes]
}

run "refuses_the_capacity_of_an_index_on_demand" {
  command = plan

  variables {
    attributes               = { trace_id = "S", project_id = "S" }
    global_secondary_indexes = { by-project = { hash_key = "project_id", read_capacity = 1 } }
  }

  expect_failures = [var.global_secondary_indexes]
}

run "refuses_no_capacity" {
  command = plan

  variables {
    provisioned = { read_capacity = 0, write_capacity = 1 }
  }

  expect_failures = [var.provisioned]
}

run "refuses_a_key_by_alias" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-central-1:222222222222:alias/shop"
  }

  expect_failures = [var.kms_key_arn]
}

run "without_stream_and_limits" {
  assert {
    condition     = !aws_dynamodb_table.this.stream_enabled && output.stream_arn == null && output.stream_read_statements == [] && length(aws_dynamodb_table.this.on_demand_throughput) == 0
    error_message = "No stream and no limits unless asked."
  }
}

run "stream" {
  variables {
    stream_view_type = "NEW_AND_OLD_IMAGES"
    kms_key_arn      = "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"
  }

  assert {
    condition     = aws_dynamodb_table.this.stream_enabled && aws_dynamodb_table.this.stream_view_type == "NEW_AND_OLD_IMAGES" && output.stream_arn == aws_dynamodb_table.this.stream_arn
    error_message = "The stream holds what was asked for."
  }

  assert {
    condition = output.stream_read_statements == [{
      sid       = "ReadTableStream"
      actions   = ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams", "kms:Decrypt"]
      resources = ["arn:aws:dynamodb:eu-central-1:222222222222:table/shop-222222222222-dev-traces/stream/*", "arn:aws:kms:eu-central-1:222222222222:key/4c1a2b3d-0000-4000-8000-000000000000"]
    }]
    error_message = "A function reads the streams of this table, and decrypts with its key."
  }
}

run "limits" {
  variables {
    attributes               = { trace_id = "S", project_id = "S" }
    global_secondary_indexes = { by-project = { hash_key = "project_id" } }
    on_demand_limits         = { write_request_units = 40 }
  }

  assert {
    condition = (one(aws_dynamodb_table.this.on_demand_throughput).max_write_request_units == 40
      && one(aws_dynamodb_table.this.on_demand_throughput).max_read_request_units == -1
    && one(one(aws_dynamodb_table.this.global_secondary_index).on_demand_throughput).max_write_request_units == 40)
    error_message = "Table and index are limited alike; what is not named is not limited."
  }
}

run "refuses_limits_of_a_provisioned_table" {
  command = plan

  variables {
    provisioned      = { read_capacity = 1, write_capacity = 1 }
    on_demand_limits = { write_request_units = 40 }
  }

  expect_failures = [var.on_demand_limits]
}

run "refuses_a_limit_of_nothing" {
  command = plan

  variables {
    on_demand_limits = { read_request_units = 0 }
  }

  expect_failures = [var.on_demand_limits]
}

run "refuses_an_unknown_view" {
  command = plan

  variables {
    stream_view_type = "EVERYTHING"
  }

  expect_failures = [var.stream_view_type]
}
