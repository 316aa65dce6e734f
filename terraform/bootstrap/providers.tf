provider "aws" {
  region              = var.environment.region
  allowed_account_ids = [var.environment.account_id]

  default_tags {
    tags = {
      Project     = var.environment.project
      Environment = var.environment.name
      Stack       = "bootstrap"
      ManagedBy   = "terraform"
    }
  }
}
