terraform {
  # Write-only arguments came with Terraform 1.11 and, for secrets, with provider 5.88.
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }
}
