# Makes a URL of a function's alias on an emulated AWS, opens it to everyone and looks at it. Endpoint,
# region and credentials come from the environment. The second permission is off: the emulator asks
# for none, and it needs a CloudFormation stack.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  emulated = true
}

run "behind" {
  module {
    source = "./tests/emulator/setup"
  }

  variables {
    name = "slipway-modules-function-url"
  }
}

run "signed" {
  variables {
    function = run.behind.function
    invokers = { Partner = "444444444444" }
  }

  assert {
    condition     = can(regex("^https://[^/]+/$", output.url)) && output.url == "https://${output.host}/"
    error_message = "Lambda gave the alias a URL."
  }

  assert {
    condition     = aws_lambda_function_url.this.authorization_type == "AWS_IAM" && keys(aws_lambda_permission.url) == ["Partner"]
    error_message = "Requests are signed, and the partner is let in."
  }
}

run "opened" {
  variables {
    function      = run.behind.function
    authorization = "NONE"
    cors          = { allow_origins = ["https://shop.example"], max_age = 60 }
  }

  assert {
    condition     = keys(aws_lambda_permission.url) == ["Everyone"] && aws_lambda_permission.url["Everyone"].qualifier == "live"
    error_message = "Everyone is let in, by the alias."
  }
}

run "as_lambda_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    function = run.behind.function
  }

  assert {
    condition     = output.url.function_url == run.opened.url && output.url.authorization_type == "NONE"
    error_message = "The URL is the one that goes out, and open."
  }

  assert {
    condition     = output.url.cors[0].allow_origins == tolist(["https://shop.example"]) && output.url.cors[0].max_age == 60
    error_message = "Pages of the shop may call it."
  }
}
