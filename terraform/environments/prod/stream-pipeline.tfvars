shard_count        = 3
memory_size        = 1024
timeout            = 60
log_retention_days = 90

# What is deleted by mistake can be brought back for as long as AWS allows.
secret_recovery_window_days = 30
key_deletion_window_days    = 30
table_deletion_protection   = true
noncurrent_version_days     = 90
rejected_days               = 90

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::444444444444:policy/slipway-444444444444-prod-boundary"

# Whoever shall be notified is named by alert_email_addresses.
enable_error_alerts = true
enable_dashboard    = true
