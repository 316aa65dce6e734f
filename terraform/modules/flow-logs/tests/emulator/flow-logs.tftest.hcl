# Records a VPC's traffic on an emulated AWS, changes what is recorded and looks at it. Endpoint, region
# and credentials come from the environment. The key takes moto a quarter of a minute.
provider "aws" {
  max_retries = 2
}

variables {
  name = "slipway-modules-flow-logs"
  tags = { Purpose = "emulator" }
}

run "network" {
  module {
    source = "./tests/emulator/setup"
  }
}

run "made" {
  variables {
    vpc_id = run.network.vpc_id
  }

  assert {
    condition     = startswith(output.flow_log_id, "fl-") && aws_flow_log.this.vpc_id == run.network.vpc_id && aws_flow_log.this.traffic_type == "ALL"
    error_message = "EC2 has the flow log, of all that goes through the VPC."
  }

  assert {
    condition     = trimsuffix(aws_flow_log.this.log_destination, ":*") == trimsuffix(output.log_group_arn, ":*") && aws_flow_log.this.iam_role_arn == output.role_arn
    error_message = "It is written to the group, by the role."
  }
}

run "refused_traffic_for_a_month" {
  variables {
    vpc_id         = run.network.vpc_id
    traffic        = "REJECT"
    retention_days = 30
  }

  assert {
    condition     = aws_flow_log.this.traffic_type == "REJECT" && output.flow_log_id != run.made.flow_log_id
    error_message = "A flow log can't be changed: there is a new one."
  }

  assert {
    condition     = output.log_group_arn == run.made.log_group_arn && output.kms_key_arn == run.made.kms_key_arn
    error_message = "What was recorded stays, under the same key."
  }
}

run "as_the_services_tell_it" {
  module {
    source = "./tests/emulator/look"
  }

  assert {
    condition     = output.log_group.retention_in_days == 30 && output.log_group.kms_key_id == run.made.kms_key_arn
    error_message = "The group is encrypted with the key, and kept for a month."
  }

  assert {
    condition     = output.key.arn == run.made.kms_key_arn && output.key.enabled
    error_message = "The alias leads to the key, which is enabled."
  }

  assert {
    condition     = jsondecode(output.role.assume_role_policy).Statement[0].Principal.Service == "vpc-flow-logs.amazonaws.com"
    error_message = "The flow logs alone assume the role."
  }
}
