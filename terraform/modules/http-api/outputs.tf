output "url" {
  description = "Where the API answers, without a closing slash."
  value       = aws_apigatewayv2_api.this.api_endpoint

  # Whoever is given the URL can call it.
  depends_on = [aws_apigatewayv2_stage.this, aws_apigatewayv2_route.this, aws_lambda_permission.api]
}

output "api_id" {
  description = "Id of the API: the dimension ApiId of its metrics."
  value       = aws_apigatewayv2_api.this.id
}

output "execution_arn" {
  description = "ARN of the API as permissions name it."
  value       = aws_apigatewayv2_api.this.execution_arn
}

output "invoke_statements" {
  description = "What a caller must be allowed: `policy_statements` of lambda-function, or statements of any policy."
  value = [{
    sid       = "InvokeApi"
    actions   = ["execute-api:Invoke"]
    resources = ["${aws_apigatewayv2_api.this.execution_arn}/*/*"]
  }]
}

output "log_group_name" {
  description = "Name of the log group that holds the access logs."
  value       = aws_cloudwatch_log_group.access.name
}

output "domain_target" {
  description = "What an alias record of the domain refers to: `name` and `zone_id`; null without a domain."
  value = one([for domain in aws_apigatewayv2_domain_name.this : {
    name    = domain.domain_name_configuration[0].target_domain_name
    zone_id = domain.domain_name_configuration[0].hosted_zone_id
  }])
}
