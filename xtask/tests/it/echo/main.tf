# A stack without a provider: the function and its versions exist already, one for each code that `versions` names. A release
# changes only the output.

terraform {
  required_version = ">= 1.10, < 2.0"

  backend "s3" {}
}

variable "environment" {
  description = "Where the stack runs."
  type        = object({ name = string, project = string, account_id = string, region = string })
}

variable "releases" {
  description = "What each function runs."
  type        = map(object({ version = string, code = object({ sha256 = string }) }))
}

variable "versions" {
  description = "The published version of each code, by the code's SHA-256 as Lambda reports it."
  type        = map(string)
}

locals {
  code = var.releases["echo"].code.sha256
}

resource "terraform_data" "account" {
  input = var.environment.account_id
}

output "functions" {
  description = "What Slipway verifies and rolls out."
  value = {
    echo = {
      function_name = "${var.environment.project}-${terraform_data.account.output}-${var.environment.name}-echo"
      alias         = "live"
      version       = var.versions[local.code]
      code_sha256   = local.code
    }
  }
}
