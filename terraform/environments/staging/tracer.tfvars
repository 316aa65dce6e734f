memory_size        = 256
timeout            = 10
log_retention_days = 14

# The keys are put into the secret by whoever owns them; none stands in a file.
enable_pitr          = false
secret_recovery_days = 14

# Costs are watched everywhere; who tries a release here sees its errors.
enable_cost_alerts     = true
enable_error_alerts    = false
enable_dynamodb_alerts = false
monthly_budget         = 10

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::333333333333:policy/slipway-333333333333-staging-boundary"
