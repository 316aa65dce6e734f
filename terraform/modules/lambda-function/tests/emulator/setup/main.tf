# Two releases of one function in a bucket, and a table whose stream feeds it.
variable "name" {
  type = string
}

locals {
  # Zips with one file, index.py, whose `handle` answers "one" or "two"; and their SHA-256 as Lambda
  # reports it. Written out because nothing here may build.
  zips = {
    one = {
      bytes  = "UEsDBBQAAAAAAAAAIQBicoKSLQAAAC0AAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiAib25lIgpQSwECFAMUAAAAAAAAACEAYnKCki0AAAAtAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUwAAAAAA"
      sha256 = "cM8JLoWiEnL+5Eh+qMksOMO6s8g+e+MKCOODbLiJQfk="
    }
    two = {
      bytes  = "UEsDBBQAAAAAAAAAIQAySTSlLQAAAC0AAAAIAAAAaW5kZXgucHlkZWYgaGFuZGxlKGV2ZW50LCBjb250ZXh0KToKICAgIHJldHVybiAidHdvIgpQSwECFAMUAAAAAAAAACEAMkk0pS0AAAAtAAAACAAAAAAAAAAAAAAApAEAAAAAaW5kZXgucHlQSwUGAAAAAAEAAQA2AAAAUwAAAAAA"
      sha256 = "knFrxYLcahHy2SkvySCz3EZFcoquDJNiJhJ6gJEM/+E="
    }
  }
}

resource "aws_s3_bucket" "code" {
  #checkov:skip=CKV_AWS_18: it stands for the length of a test, on an emulator
  #checkov:skip=CKV_AWS_21: it stands for the length of a test, on an emulator
  #checkov:skip=CKV_AWS_144: it stands for the length of a test, on an emulator
  #checkov:skip=CKV_AWS_145: it stands for the length of a test, on an emulator
  #checkov:skip=CKV2_AWS_6: it stands for the length of a test, on an emulator
  #checkov:skip=CKV2_AWS_61: it stands for the length of a test, on an emulator
  #checkov:skip=CKV2_AWS_62: it stands for the length of a test, on an emulator
  bucket        = "${var.name}-code"
  force_destroy = true
}

resource "aws_s3_object" "code" {
  for_each = local.zips

  bucket         = aws_s3_bucket.code.bucket
  key            = "${each.key}.zip"
  content_base64 = each.value.bytes
}

resource "aws_dynamodb_table" "feed" {
  #checkov:skip=CKV_AWS_28: it stands for the length of a test, on an emulator
  #checkov:skip=CKV_AWS_119: it stands for the length of a test, on an emulator
  name             = "${var.name}-feed"
  billing_mode     = "PAY_PER_REQUEST"
  hash_key         = "id"
  stream_enabled   = true
  stream_view_type = "NEW_IMAGE"

  attribute {
    name = "id"
    type = "S"
  }
}

output "releases" {
  value = { for name, zip in local.zips : name => {
    version      = name == "one" ? "0.1.0" : "0.2.0"
    architecture = "x86_64"
    runtime      = "python3.13"
    handler      = "index.handle"
    code = {
      sha256 = zip.sha256
      s3     = { bucket = aws_s3_object.code[name].bucket, key = aws_s3_object.code[name].key }
    }
  } }
}

output "stream_arn" {
  value = aws_dynamodb_table.feed.stream_arn
}
