terraform {
  # Write-only arguments, by which the API keys stay out of the state, came with 1.11.
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }

  # Bucket, key, region and account come from the environment: `init -backend-config=<file>`.
  backend "s3" {}
}
