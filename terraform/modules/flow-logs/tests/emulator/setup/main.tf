resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11: it stands for the length of a test, on an emulator
  #checkov:skip=CKV2_AWS_12: it stands for the length of a test, on an emulator
  cidr_block = "10.99.0.0/24"
}

output "vpc_id" {
  value = aws_vpc.this.id
}
