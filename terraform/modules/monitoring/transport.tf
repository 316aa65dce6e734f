# Alarms on what lies between producers and functions: streams, queues, event source mappings, NAT gateways.
locals {
  # https://docs.aws.amazon.com/streams/latest/dev/monitoring-with-cloudwatch.html
  stream_alarms = merge([for key, stream in var.streams : {
    "${key}-iterator-age" = {
      enabled     = var.enable_stream_alerts
      description = "What is read of ${key} is older than ${stream.iterator_age_seconds} s: a shard stands still, or its reader is too slow"
      threshold   = stream.iterator_age_seconds * 1000
      metrics     = { age = { namespace = "AWS/Kinesis", name = "GetRecords.IteratorAgeMilliseconds", stat = "Maximum", dimensions = { StreamName = stream.stream_name } } }
    }
    "${key}-write-throttles" = {
      enabled     = var.enable_stream_alerts
      description = "Records for ${key} are turned away: it has too few shards"
      threshold   = stream.throttle_threshold
      metrics     = { throttles = { namespace = "AWS/Kinesis", name = "WriteProvisionedThroughputExceeded", stat = "Sum", dimensions = { StreamName = stream.stream_name } } }
    }
  }]...)

  # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
  queue_alarms = merge([for key, queue in var.queues : {
    "${key}-messages" = {
      enabled     = var.enable_queue_alerts && queue.maximum_messages != null
      description = queue.maximum_messages == 0 ? "Something lies in ${key}" : "More than ${coalesce(queue.maximum_messages, 0)} messages lie in ${key}"
      threshold   = queue.maximum_messages
      # The first batch that failed for good is one too many, and no later one need come.
      datapoints = 1
      metrics    = { messages = { namespace = "AWS/SQS", name = "ApproximateNumberOfMessagesVisible", stat = "Maximum", dimensions = { QueueName = queue.queue_name } } }
    }
    "${key}-age" = {
      enabled     = var.enable_queue_alerts && queue.maximum_age_seconds != null
      description = "A message has been in ${key} for more than ${coalesce(queue.maximum_age_seconds, 0)} s"
      threshold   = queue.maximum_age_seconds
      metrics     = { age = { namespace = "AWS/SQS", name = "ApproximateAgeOfOldestMessage", stat = "Maximum", dimensions = { QueueName = queue.queue_name } } }
    }
  }]...)

  # The age is Lambda's own, of the last record of a batch: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html.
  # Counts are kept by Lambda where the mapping asks for them (`metrics_config`), by its id.
  mapping_alarms = merge([for key, mapping in var.event_source_mappings : {
    "${key}-behind" = {
      enabled     = var.enable_event_source_alerts && mapping.iterator_age_seconds != null
      description = "${key} reads what is older than ${coalesce(mapping.iterator_age_seconds, 0)} s: a batch fails again and again, or too few run"
      threshold   = mapping.iterator_age_seconds == null ? null : mapping.iterator_age_seconds * 1000
      metrics = { age = { namespace = "AWS/Lambda", name = "IteratorAge", stat = "Maximum", dimensions = {
        FunctionName = mapping.function_name
        Resource     = "${mapping.function_name}:${mapping.alias}"
      } } }
    }
    "${key}-dropped" = {
      enabled     = var.enable_event_source_alerts && mapping.counted_uuid != null
      description = "Records of ${key} are dropped or given to its failure destination"
      threshold   = 0
      datapoints  = 1
      expression  = "FILL(dropped, 0) + FILL(destined, 0)"
      metrics = { for id, name in { dropped = "DroppedEventCount", destined = "OnFailureDestinationDeliveredEventCount" } : id =>
      { namespace = "AWS/Lambda", name = name, stat = "Sum", dimensions = { EventSourceMappingUUID = mapping.counted_uuid } } }
    }
  }]...)

  # https://docs.aws.amazon.com/vpc/latest/userguide/metrics-dimensions-nat-gateway.html
  nat_alarms = merge([for key, gateway in var.nat_gateways : {
    "${key}-ports" = {
      enabled     = var.enable_nat_alerts
      description = "The NAT gateway ${key} has no port left for a connection: too many go to one address"
      threshold   = 0
      metrics     = { errors = { namespace = "AWS/NATGateway", name = "ErrorPortAllocation", stat = "Sum", dimensions = { NatGatewayId = gateway.nat_gateway_id } } }
    }
    "${key}-dropped-packets" = {
      enabled     = var.enable_nat_alerts
      description = "The NAT gateway ${key} drops packets"
      threshold   = gateway.dropped_packets
      metrics     = { dropped = { namespace = "AWS/NATGateway", name = "PacketsDropCount", stat = "Sum", dimensions = { NatGatewayId = gateway.nat_gateway_id } } }
    }
  }]...)

  transport_widgets = concat(
    [for key, stream in var.streams : {
      title   = "${key}: age of what is read, ms"
      stat    = "Maximum"
      metrics = [["AWS/Kinesis", "GetRecords.IteratorAgeMilliseconds", "StreamName", stream.stream_name]]
    }],
    [for key, stream in var.streams : {
      title   = "${key}: records"
      stat    = "Sum"
      metrics = [for metric in ["IncomingRecords", "WriteProvisionedThroughputExceeded", "ReadProvisionedThroughputExceeded"] : ["AWS/Kinesis", metric, "StreamName", stream.stream_name]]
    }],
    [for key, queue in var.queues : {
      title   = "${key}: messages"
      stat    = "Maximum"
      metrics = [["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", queue.queue_name]]
    }],
    [for key, mapping in var.event_source_mappings : {
      title   = "${key}: age of its batches, ms"
      stat    = "Maximum"
      metrics = [["AWS/Lambda", "IteratorAge", "FunctionName", mapping.function_name, "Resource", "${mapping.function_name}:${mapping.alias}"]]
    } if mapping.iterator_age_seconds != null],
    [for key, gateway in var.nat_gateways : {
      title   = "${key}: what fails"
      stat    = "Sum"
      metrics = [for metric in ["ErrorPortAllocation", "PacketsDropCount"] : ["AWS/NATGateway", metric, "NatGatewayId", gateway.nat_gateway_id]]
    }],
  )
}
