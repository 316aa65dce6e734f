memory_size        = 512
timeout            = 10
log_retention_days = 30

# The keys are put into the secret by whoever owns them; none stands in a file.
enable_pitr          = true
secret_recovery_days = 30

# The only limit on what a public URL may cost. AWS takes it from the account's own, 1,000 unless it is new, and
# leaves 100 to all other functions.
reserved_concurrent_executions = 50

# Whoever shall be told is named by alert_email_addresses.
enable_cost_alerts     = true
enable_error_alerts    = true
enable_dynamodb_alerts = true
enable_dashboard       = true
monthly_budget         = 50

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::444444444444:policy/slipway-444444444444-prod-boundary"
