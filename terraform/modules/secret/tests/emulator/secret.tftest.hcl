# Makes a secret on an emulated AWS, by way of a module that calls this one: the test command does not
# hand an ephemeral variable on to an apply. Endpoint, region and credentials come from the environment.
provider "aws" {
  max_retries = 2
}

variables {
  value         = "first"
  value_version = 1
}

run "written" {
  module {
    source = "./tests/emulator/written"
  }

  assert {
    condition     = output.told.name == "slipway-modules-secret-value" && output.told.arn == output.arn && output.told.description == "Opens nothing"
    error_message = "Secrets Manager has the secret under its name."
  }

  assert {
    condition     = output.stored == "first" && output.told.tags["Purpose"] == "emulator"
    error_message = "Secrets Manager holds the value that the state does not."
  }
}

run "same_number" {
  module {
    source = "./tests/emulator/written"
  }

  variables {
    value = "second"
  }

  assert {
    condition     = output.stored == "first"
    error_message = "A value is not written again while its number stays."
  }
}

run "next_number" {
  module {
    source = "./tests/emulator/written"
  }

  variables {
    value         = "second"
    value_version = 2
  }

  assert {
    condition     = output.stored == "second" && output.arn == run.written.arn
    error_message = "The next number writes the new value to the same secret."
  }
}
