serves             = "zip"
memory_size        = 128
timeout            = 10
log_retention_days = 7

access_log_retention_days = 30

# Whoever applies is the one who may put objects there and change the bucket, and makes no role without the boundary.
deployment_role_arns     = ["arn:aws:iam::222222222222:role/slipway/ci/slipway-222222222222-dev-ci-apply"]
planning_role_arns       = ["arn:aws:iam::222222222222:role/slipway/ci/slipway-222222222222-dev-ci-plan"]
permissions_boundary_arn = "arn:aws:iam::222222222222:policy/slipway-222222222222-dev-boundary"

key_deletion_window_days = 7
noncurrent_version_days  = 7

throttling_rate  = 20
throttling_burst = 40

# While something is being built, wrong requests are nothing unusual.
enable_error_alerts    = false
enable_throttle_alerts = false
enable_api_alerts      = false
enable_log_alerts      = false
enable_dashboard       = false

# Development comes and goes, with the objects in its bucket.
force_destroy = true
