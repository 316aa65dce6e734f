# Whether the account can reserve what is asked for at all: asked where `check_quotas` says so. What other functions reserve AWS's
# provider cannot read; `cargo xtask doctor --env` counts it.
data "aws_servicequotas_service_quota" "concurrency" {
  count = var.check_quotas ? 1 : 0

  service_code = "lambda"
  quota_code   = "L-B99A9384"
}

check "concurrency_can_be_reserved" {
  assert {
    # AWS keeps 100 for functions that reserve nothing.
    condition     = !var.check_quotas || var.reserved_concurrent_executions == null ? true : coalesce(var.reserved_concurrent_executions, 0) + 100 <= data.aws_servicequotas_service_quota.concurrency[0].value
    error_message = "The account may not run enough at once to reserve reserved_concurrent_executions and keep 100 unreserved (Service Quotas, AWS Lambda, L-B99A9384): the apply would be refused."
  }
}
