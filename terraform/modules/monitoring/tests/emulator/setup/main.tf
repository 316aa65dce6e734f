resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158: it stands for the length of a test, on an emulator
  #checkov:skip=CKV_AWS_338: it stands for the length of a test, on an emulator
  name              = "slipway-modules-monitoring"
  retention_in_days = 1
}

output "log_group_name" {
  value = aws_cloudwatch_log_group.this.name
}
