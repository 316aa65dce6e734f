# The same: a test destroys what it made.
resource "aws_dynamodb_table" "locks" {
  #checkov:skip=CKV_AWS_28: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV_AWS_119: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV2_AWS_16: an override says only what differs; main.tf has the rest
  deletion_protection_enabled = var.deletion_protection

  lifecycle {
    prevent_destroy = false
  }
}
