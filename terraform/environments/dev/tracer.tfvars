memory_size        = 256
timeout            = 10
log_retention_days = 7

# The keys are put into the secret by whoever owns them; none stands in a file.
enable_pitr        = false
cors_allow_origins = ["http://localhost:3000"]

# Errors and throttled tables are nothing unusual while something is being built.
enable_cost_alerts     = true
enable_error_alerts    = false
enable_dynamodb_alerts = false
monthly_budget         = 10

# Made by terraform/bootstrap (function_roles); in the other environments this stack makes it.
function_role_arn = "arn:aws:iam::222222222222:role/slipway-222222222222-dev-tracer"

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"

# Development comes and goes: the secret does not keep its name from the next deployment.
secret_recovery_days = 0
