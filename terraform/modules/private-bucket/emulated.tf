# `emulated` leaves out what protects on a real account, so that a real account refuses it. S3 tells the two apart: an
# account's canonical user id has 64 hexadecimal digits on AWS. moto's is shorter, and LocalStack's is that of AWS's documentation.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/finding-canonical-user-id.html
data "aws_canonical_user_id" "emulated" {
  count = var.emulated ? 1 : 0
}

locals {
  # Also where `emulated` is off: then nothing is asked.
  may_be_emulated = alltrue([for user in data.aws_canonical_user_id.emulated :
    !can(regex("^[0-9a-f]{64}$", user.id)) || user.id == "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
  ])
}
