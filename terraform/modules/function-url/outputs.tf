output "url" {
  description = "The URL, with its closing slash."
  value       = aws_lambda_function_url.this.function_url

  # Whoever is given the URL can call it.
  depends_on = [aws_lambda_permission.url, aws_cloudformation_stack.invoke]
}

output "host" {
  description = "The host of the URL, as a distribution in front of it needs it."
  value       = trimsuffix(trimprefix(aws_lambda_function_url.this.function_url, "https://"), "/")
}
