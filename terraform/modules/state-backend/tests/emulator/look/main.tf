variable "bucket" {
  type = string
}

variable "lock_table" {
  type = string
}

# As the backend writes a state.
resource "aws_s3_object" "state" {
  bucket  = var.bucket
  key     = "hello.tfstate"
  content = jsonencode({ version = 4 })
}

data "aws_dynamodb_table" "locks" {
  name = var.lock_table
}

output "state" {
  value = aws_s3_object.state
}

output "locks" {
  value = data.aws_dynamodb_table.locks
}
