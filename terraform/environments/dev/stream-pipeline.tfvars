shard_count        = 1
memory_size        = 512
timeout            = 60
log_retention_days = 30

# Development comes and goes, with its records: no secret keeps its name from the next deployment. Keys wait for AWS's
# shortest time; their aliases are free at once.
secret_recovery_window_days = 0
key_deletion_window_days    = 7
force_destroy               = true

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"

# A shard that stands still is seen everywhere; errors of one call are nothing unusual while something is being built, and
# whoever builds it looks at the alarms themselves.
enable_error_alerts = false
enable_dashboard    = false
make_alerts_topic   = false
