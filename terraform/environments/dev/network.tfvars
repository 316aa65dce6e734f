cidr = "10.20.0.0/16"

# The failure of its zone takes the internet away from all private subnets; three gateways cost three times as much.
nat_gateways = "one"

flow_logs_retention_days = 365

# Development comes and goes.
key_deletion_window_days = 7

# The deploying role makes no role without it.
permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
