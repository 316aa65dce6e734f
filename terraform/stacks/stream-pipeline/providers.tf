provider "aws" {
  region              = var.environment.region
  allowed_account_ids = [var.environment.account_id]
  max_retries         = var.environment.max_retries

  default_tags {
    tags = {
      Project     = var.environment.project
      Environment = var.environment.name
      Stack       = "stream-pipeline"
      ManagedBy   = "slipway"
    }
  }
}
