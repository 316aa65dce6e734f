terraform {
  required_version = ">= 1.10, < 2.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.88, < 7.0"
    }
  }

  # `cargo xtask bootstrap` names the bucket: <project>-<account id>-bootstrap-tfstate, which no Terraform makes.
  backend "s3" {}
}
