github_repository = "slipway/slipway"
ci                = { dev = { github_environment = "dev", plan_reads_secrets = true } }
