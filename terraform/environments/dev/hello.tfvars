memory_size        = 256
timeout            = 5
log_retention_days = 7
log_level          = "DEBUG"

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"
