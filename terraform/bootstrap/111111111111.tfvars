github_repository = "slipway/slipway"
publisher         = { github_environment = "release" }
