github_repository = "slipway/slipway"
ci                = { prod = { github_environment = "prod" } }
