github_repository = "slipway/slipway"
ci                = { staging = { github_environment = "staging" } }
