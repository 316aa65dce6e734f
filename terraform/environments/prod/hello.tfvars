memory_size        = 512
timeout            = 5
log_retention_days = 7
log_level          = "INFO"

# Roles are made under it alone: the role that applies may make no others.
permissions_boundary_arn = "arn:aws:iam::444444444444:policy/slipway-444444444444-prod-boundary"
