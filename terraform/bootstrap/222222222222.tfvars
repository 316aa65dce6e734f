github_repository = "slipway/slipway"
ci                = { dev = { github_environment = "dev", plan_reads_secrets = true, suites = { buckets = ["objects"], tables = ["traces", "spans"] } } }

# The administrator makes tracer's role here, and the deploying role passes it: function_role_arn in dev's tracer.tfvars.
function_roles = { dev = ["tracer"] }
