memory_size        = 256
timeout            = 5
log_retention_days = 7
log_level          = "INFO"

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::333333333333:policy/slipway-333333333333-staging-boundary"
