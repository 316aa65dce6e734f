variable "bucket" {
  type = string
}

variable "content" {
  type = string
}

resource "aws_s3_object" "this" {
  bucket       = var.bucket
  key          = "probe.txt"
  content      = var.content
  content_type = "text/plain"
}

data "aws_kms_key" "this" {
  key_id = "alias/${var.bucket}"
}


output "object" {
  value = aws_s3_object.this
}

output "key" {
  value = data.aws_kms_key.this
}
