variable "bucket" {
  type = string
}

resource "aws_s3_object" "artifact" {
  bucket             = var.bucket
  key                = "artifacts/sha256/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824.zip"
  content            = "hello"
  checksum_algorithm = "SHA256"
}

data "aws_s3_bucket_policy" "this" {
  bucket = var.bucket
}

output "artifact" {
  value = aws_s3_object.artifact
}

output "policy" {
  value = data.aws_s3_bucket_policy.this.policy
}
