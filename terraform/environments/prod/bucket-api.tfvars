serves             = "zip"
memory_size        = 256
timeout            = 10
log_retention_days = 30

access_log_retention_days = 365

# Whoever applies is the one who may put objects there and change the bucket, and makes no role without the boundary.
deployment_role_arns     = ["arn:aws:iam::444444444444:role/slipway/ci/slipway-444444444444-prod-ci-apply"]
planning_role_arns       = ["arn:aws:iam::444444444444:role/slipway/ci/slipway-444444444444-prod-ci-plan"]
permissions_boundary_arn = "arn:aws:iam::444444444444:policy/slipway-444444444444-prod-boundary"

key_deletion_window_days = 30
noncurrent_version_days  = 90

throttling_rate  = 50
throttling_burst = 100

# Whoever shall be told is named by alert_email_addresses, slack_channel or teams_channel.
enable_error_alerts       = true
enable_duration_alerts    = true
enable_throttle_alerts    = true
enable_concurrency_alerts = true
enable_api_alerts         = true
enable_log_alerts         = true
enable_dashboard          = true

# The detector is the account's (terraform/bootstrap): on where it has one.
notify_guardduty_findings = false
