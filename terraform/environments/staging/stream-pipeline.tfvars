shard_count        = 2
memory_size        = 512
timeout            = 60
log_retention_days = 30

secret_recovery_window_days = 14
key_deletion_window_days    = 14

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::333333333333:policy/slipway-333333333333-staging-boundary"

# A shard that stands still is seen everywhere; who tries a release here sees its errors and the alarms themselves.
enable_error_alerts = false
enable_dashboard    = false
make_alerts_topic   = false
