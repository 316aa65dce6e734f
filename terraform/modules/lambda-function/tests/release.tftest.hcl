# What a release may look like: images, and what is refused.
mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::222222222222:role/shop-222222222222-dev-hello" }
  }
}

variables {
  name = "shop-222222222222-dev-hello"
  release = {
    version      = "1.4.2"
    architecture = "arm64"
    runtime      = "python3.13"
    handler      = "ingest.app.handle"
    code = {
      sha256    = "3b1f9c55c3f0a2a4c3a3f0b6f0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9"
      image_uri = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/hello@sha256:3b1f9c55c3f0a2a4c3a3f0b6f0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9"
    }
  }
}

run "image_release" {
  command = plan

  assert {
    condition = (aws_lambda_function.this.package_type == "Image"
      && aws_lambda_function.this.image_uri == var.release.code.image_uri
      && aws_lambda_function.this.runtime == null
      && aws_lambda_function.this.handler == null
    && aws_lambda_function.this.s3_key == null)
    error_message = "An image brings its own runtime and handler and comes from the registry by digest."
  }
}

run "refuses_zip_and_image_at_once" {
  command = plan

  variables {
    release = {
      version      = "1.4.2"
      architecture = "arm64"
      runtime      = "python3.13"
      handler      = "ingest.app.handle"
      code = {
        sha256    = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws="
        s3        = { bucket = "b", key = "k" }
        image_uri = "r@sha256:3b1f9c55c3f0a2a4c3a3f0b6f0c1d2e3f4a5b6c7d8e9f0a1b2c3d4e5f6a7b8c9"
      }
    }
  }

  expect_failures = [var.release]
}

run "refuses_neither_zip_nor_image" {
  command = plan

  variables {
    release = {
      version      = "1.4.2"
      architecture = "arm64"
      runtime      = "python3.13"
      handler      = "ingest.app.handle"
      code         = { sha256 = "aHf0ny7UlJ+airBtNfDsinU5CJXnAIYpvQYSyyB5Sws=" }
    }
  }

  expect_failures = [var.release]
}

run "refuses_an_image_by_tag" {
  command = plan

  variables {
    release = {
      version      = "1.4.2"
      architecture = "arm64"
      runtime      = "python3.13"
      handler      = "ingest.app.handle"
      code         = { sha256 = "3b1f", image_uri = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop/hello:1.4.2" }
    }
  }

  expect_failures = [var.release]
}

run "refuses_a_hex_digest_for_a_zip" {
  command = plan

  variables {
    release = {
      version      = "1.4.2"
      architecture = "x86_64"
      runtime      = "provided.al2023"
      handler      = "bootstrap"
      code = {
        sha256 = "6877f49f2ed4949f9a8ab06d35f0ec8a75390895e7008629bd0612cb20794b0b"
        s3     = { bucket = "b", key = "k" }
      }
    }
  }

  expect_failures = [var.release]
}

run "refuses_every_action" {
  command = plan

  variables {
    policy_statements = [{ actions = ["*"], resources = ["*"] }]
  }

  expect_failures = [var.policy_statements]
}
