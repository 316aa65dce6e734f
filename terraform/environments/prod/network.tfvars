cidr = "10.40.0.0/16"

# Where a zone fails, the other two go on: 124.83 dollars a month instead of 41.61. The network is off in prod until a stack
# joins it (environment.toml).
nat_gateways = "one_per_zone"

flow_logs_retention_days = 365
key_deletion_window_days = 30

# The deploying role makes no role without it.
permissions_boundary_arn = "arn:aws:iam::444444444444:policy/slipway-444444444444-prod-boundary"
