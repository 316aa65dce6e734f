cidr = "10.30.0.0/16"

# The failure of its zone takes the internet away from all private subnets; three gateways cost three times as much.
nat_gateways = "one"

flow_logs_retention_days = 365
key_deletion_window_days = 14

# The deploying role makes no role without it.
permissions_boundary_arn = "arn:aws:iam::333333333333:policy/slipway-333333333333-staging-boundary"
