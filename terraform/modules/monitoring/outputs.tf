output "topic_arn" {
  description = "ARN of the topic that the alarms notify; null where they notify nobody."
  value       = local.topic_arn
}

output "kms_key_arn" {
  description = "ARN of the key that encrypts the topic; null where there is no topic of its own."
  value       = var.make_topic ? local.kms_key_arn : null
}

output "alarm_names" {
  description = "Names of all alarms, sorted."
  value       = sort([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_name])
}

output "dashboard_name" {
  description = "Name of the dashboard; null without one."
  value       = one(aws_cloudwatch_dashboard.this[*].dashboard_name)
}
