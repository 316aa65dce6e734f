# What GuardDuty finds belongs to the account: a stack that made its detector would take it away from all others as it is
# destroyed, and the roles of CI have no rights over it. Stacks notify its findings by a rule of their own.
resource "aws_guardduty_detector" "this" {
  #checkov:skip=CKV2_AWS_3: whether the organization manages detectors is not this configuration's to say
  count = var.guardduty ? 1 : 0

  enable                       = true
  finding_publishing_frequency = "FIFTEEN_MINUTES"
  tags                         = local.no_environment
}

# Reads S3's data events, without a trail.
resource "aws_guardduty_detector_feature" "s3" {
  count = var.guardduty ? 1 : 0

  detector_id = aws_guardduty_detector.this[0].id
  name        = "S3_DATA_EVENTS"
  status      = "ENABLED"
}
