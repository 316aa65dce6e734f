# Lies beside main.tf in the copy that the emulator's tests run on, and nowhere else: a test destroys
# what it made.
resource "aws_kms_key" "this" {
  #checkov:skip=CKV_AWS_7: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV2_AWS_64: an override says only what differs; main.tf has the rest
  deletion_window_in_days = 7

  lifecycle {
    prevent_destroy = false
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV_AWS_21: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV_AWS_144: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV_AWS_145: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV2_AWS_6: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV2_AWS_61: an override says only what differs; main.tf has the rest
  #checkov:skip=CKV2_AWS_62: an override says only what differs; main.tf has the rest
  force_destroy = true

  lifecycle {
    prevent_destroy = false
  }
}
