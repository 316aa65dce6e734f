# Makes a function on an emulated AWS, gives it a new release and looks at what serves. Endpoint,
# region and credentials come from the environment. The provider waits five seconds for each change.
provider "aws" {
  max_retries       = 2
  s3_use_path_style = true
}

variables {
  name               = "slipway-modules-lambda-function"
  log_retention_days = 7
  tags               = { Purpose = "emulator" }
}

run "code" {
  module {
    source = "./tests/emulator/setup"
  }
}

run "first_release" {
  variables {
    release = run.code.releases["one"]
    event_sources = {
      feed = { event_source_arn = run.code.stream_arn, batch_size = 5 }
    }
  }

  assert {
    condition     = output.function.version == "1" && output.function.code_sha256 == run.code.releases["one"].code.sha256
    error_message = "Lambda published the first version, and its digest of the code is the release's."
  }

  assert {
    condition     = aws_lambda_alias.live[0].function_version == "1" && endswith(output.alias_arn, ":function:slipway-modules-lambda-function:live")
    error_message = "The alias of a new function serves its first version."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this["feed"].state == "Disabled" && aws_lambda_event_source_mapping.this["feed"].function_arn == output.alias_arn && one(output.function.event_sources).uuid != ""
    error_message = "Lambda made the mapping on the alias, and it is shut."
  }
}

run "second_release" {
  variables {
    release     = run.code.releases["two"]
    memory_size = 256
    event_sources = {
      feed = { event_source_arn = run.code.stream_arn, batch_size = 5 }
    }
  }

  assert {
    condition     = output.function.version == "2" && output.function.code_sha256 == run.code.releases["two"].code.sha256
    error_message = "The new release is a version of its own, with its own code."
  }

  assert {
    condition     = output.alias_arn == run.first_release.alias_arn && output.function.event_sources[0].uuid == run.first_release.function.event_sources[0].uuid
    error_message = "Alias and mapping are the same as before."
  }
}

run "as_lambda_tells_it" {
  module {
    source = "./tests/emulator/look"
  }

  variables {
    function = run.second_release.function
  }

  assert {
    condition     = output.alias.function_version == "1"
    error_message = "A release does not move the alias: Slipway does."
  }

  assert {
    condition     = output.serving.code_sha256 == run.code.releases["one"].code.sha256 && output.serving.memory_size == 128
    error_message = "What serves is the first release's code, with the configuration of then."
  }

  assert {
    condition     = output.newest.code_sha256 == run.code.releases["two"].code.sha256 && output.newest.memory_size == 256 && output.newest.handler == "index.handle" && output.newest.runtime == "python3.13"
    error_message = "The newest version is the second release's."
  }

  assert {
    condition     = output.role.arn == run.second_release.role_arn && jsondecode(output.role.assume_role_policy).Statement[0].Principal.Service == "lambda.amazonaws.com"
    error_message = "The function runs as the role made for it, which Lambda alone assumes."
  }

  assert {
    condition     = output.log_group.retention_in_days == 7 && output.log_group.tags["Purpose"] == "emulator"
    error_message = "The logs are kept for a week."
  }
}
