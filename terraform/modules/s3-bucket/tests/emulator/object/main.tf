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

data "aws_s3_object" "this" {
  bucket = aws_s3_object.this.bucket
  key    = aws_s3_object.this.key

  # Reads what this run wrote, not what the one before did.
  depends_on = [aws_s3_object.this]
}

output "object" {
  value = aws_s3_object.this
}

output "read" {
  value = data.aws_s3_object.this.body
}
