# Streams, queues, event source mappings and NAT gateways.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "222222222222" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { id = "eu-central-1" }
  }
}

variables {
  name       = "shop-222222222222-prod-stream"
  make_topic = false
  streams    = { events = { stream_name = "shop-222222222222-prod-stream-events" } }
  queues = {
    failures = { queue_name = "shop-222222222222-prod-stream-failures", maximum_messages = 0 }
    work     = { queue_name = "shop-222222222222-prod-work", maximum_age_seconds = 300 }
  }
  event_source_mappings = {
    ingest = { function_name = "shop-222222222222-prod-ingest", iterator_age_seconds = 900, counted_uuid = "14e0db71-5d35-4eb5-b481-8945cf9d10c2" }
    orders = { function_name = "shop-222222222222-prod-orders", counted_uuid = "24e0db71-5d35-4eb5-b481-8945cf9d10c2" }
  }
  nat_gateways = { a = { nat_gateway_id = "nat-0123456789abcdef0" } }
}

run "names" {
  assert {
    condition = output.alarm_names == tolist([for name in [
      "a-dropped-packets", "a-ports", "events-iterator-age", "events-write-throttles", "failures-messages",
      "ingest-behind", "ingest-dropped", "orders-dropped", "work-age",
    ] : "shop-222222222222-prod-stream-${name}"])
    error_message = "Each thing has its alarms, and none that was left out."
  }
}

run "streams" {
  assert {
    condition = (aws_cloudwatch_metric_alarm.this["stream/events-iterator-age"].threshold == 600000
    && [for query in aws_cloudwatch_metric_alarm.this["stream/events-iterator-age"].metric_query : [for metric in query.metric : "${metric.namespace} ${metric.metric_name} ${metric.stat} ${metric.dimensions["StreamName"]}"]] == [["AWS/Kinesis GetRecords.IteratorAgeMilliseconds Maximum shop-222222222222-prod-stream-events"]])
    error_message = "What is read late alarms, in milliseconds of the stream's own metric: the maximum over the shards."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["stream/events-write-throttles"].threshold == 0
    error_message = "A record that is turned away is one too many."
  }
}

run "queues" {
  assert {
    condition = (aws_cloudwatch_metric_alarm.this["queue/failures-messages"].threshold == 0
      && aws_cloudwatch_metric_alarm.this["queue/failures-messages"].datapoints_to_alarm == 1
      && aws_cloudwatch_metric_alarm.this["queue/failures-messages"].comparison_operator == "GreaterThanThreshold"
    && [for query in aws_cloudwatch_metric_alarm.this["queue/failures-messages"].metric_query : [for metric in query.metric : "${metric.metric_name} ${metric.dimensions["QueueName"]}"]] == [["ApproximateNumberOfMessagesVisible shop-222222222222-prod-stream-failures"]])
    error_message = "The first batch that failed for good alarms at once."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["queue/work-age"].threshold == 300 && aws_cloudwatch_metric_alarm.this["queue/work-age"].datapoints_to_alarm == 3
    error_message = "A message that waits for too long alarms."
  }
}

run "event_source_mappings" {
  assert {
    condition = (aws_cloudwatch_metric_alarm.this["mapping/ingest-behind"].threshold == 900000
    && [for query in aws_cloudwatch_metric_alarm.this["mapping/ingest-behind"].metric_query : [for metric in query.metric : metric.dimensions]] == [[tomap({ FunctionName = "shop-222222222222-prod-ingest", Resource = "shop-222222222222-prod-ingest:live" })]])
    error_message = "A mapping is behind by the age that Lambda tells for the alias."
  }

  assert {
    condition = toset(flatten([for query in aws_cloudwatch_metric_alarm.this["mapping/orders-dropped"].metric_query : [for metric in query.metric : "${metric.metric_name} ${metric.dimensions["EventSourceMappingUUID"]}"]])) == toset([
      "DroppedEventCount 24e0db71-5d35-4eb5-b481-8945cf9d10c2", "OnFailureDestinationDeliveredEventCount 24e0db71-5d35-4eb5-b481-8945cf9d10c2",
    ])
    error_message = "A mapping that counts its events alarms on each that is lost."
  }
}

run "nat" {
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["nat/a-ports"].threshold == 0 && aws_cloudwatch_metric_alarm.this["nat/a-dropped-packets"].threshold == 100
    error_message = "A gateway without ports alarms at once; some packets AWS drops by itself."
  }
}

run "dashboard" {
  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.title] == ["events: age of what is read, ms", "events: records", "failures: messages", "work: messages", "ingest: age of its batches, ms", "a: what fails"]
    error_message = "Each has its row."
  }
}

run "switched_off" {
  variables {
    enable_stream_alerts       = false
    enable_queue_alerts        = false
    enable_event_source_alerts = false
    enable_nat_alerts          = false
  }

  assert {
    condition     = length(output.alarm_names) == 0
    error_message = "Each kind can be switched off."
  }
}

run "refuses_an_age_of_nothing" {
  command = plan

  variables {
    streams = { events = { stream_name = "events", iterator_age_seconds = 0 } }
  }

  expect_failures = [var.streams]
}

run "refuses_a_queue_that_is_not_watched" {
  command = plan

  variables {
    queues = { failures = { queue_name = "failures" } }
  }

  expect_failures = [var.queues]
}

run "refuses_a_message_that_never_waits" {
  command = plan

  variables {
    queues = { failures = { queue_name = "failures", maximum_age_seconds = 0 } }
  }

  expect_failures = [var.queues]
}

run "refuses_a_mapping_that_is_not_watched" {
  command = plan

  variables {
    event_source_mappings = { ingest = { function_name = "ingest" } }
  }

  expect_failures = [var.event_source_mappings]
}

run "refuses_less_than_no_packet" {
  command = plan

  variables {
    nat_gateways = { a = { nat_gateway_id = "nat-0123456789abcdef0", dropped_packets = -1 } }
  }

  expect_failures = [var.nat_gateways]
}
