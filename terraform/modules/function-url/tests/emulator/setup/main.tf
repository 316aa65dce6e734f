# A function with its alias, made by the module that makes them.
variable "name" {
  type = string
}

module "code" {
  source = "../../../../lambda-function/tests/emulator/setup"

  name = var.name
}

module "function" {
  source = "../../../../lambda-function"

  name    = var.name
  release = module.code.releases["one"]
}

output "function" {
  value = module.function.function
}

output "alias_arn" {
  value = module.function.alias_arn
}

output "invoke_arn" {
  value = module.function.invoke_arn
}
