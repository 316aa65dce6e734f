serves             = "image"
memory_size        = 128
timeout            = 10
log_retention_days = 14

access_log_retention_days = 90

# Whoever applies is the one who may put objects there and change the bucket, and makes no role without the boundary.
deployment_role_arns     = ["arn:aws:iam::333333333333:role/slipway/ci/slipway-333333333333-staging-ci-apply"]
planning_role_arns       = ["arn:aws:iam::333333333333:role/slipway/ci/slipway-333333333333-staging-ci-plan"]
permissions_boundary_arn = "arn:aws:iam::333333333333:policy/slipway-333333333333-staging-boundary"

key_deletion_window_days = 14
noncurrent_version_days  = 30

throttling_rate  = 20
throttling_burst = 40

# Who tries a release here sees its errors.
enable_error_alerts    = false
enable_throttle_alerts = false
enable_api_alerts      = false
enable_log_alerts      = false
enable_dashboard       = false
