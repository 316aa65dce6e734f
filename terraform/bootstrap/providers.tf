provider "aws" {
  region              = var.account.region
  allowed_account_ids = [var.account.id]
  max_retries         = var.account.max_retries

  default_tags {
    tags = {
      Project   = var.account.project
      Stack     = "bootstrap"
      ManagedBy = "slipway"
    }
  }
}
