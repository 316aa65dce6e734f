variable "environment" {
  description = "The account and region to prepare, and the environment that will run there."
  type = object({
    name       = string
    project    = string
    account_id = string
    region     = string
  })

  validation {
    condition     = can(regex("^[0-9]{12}$", var.environment.account_id))
    error_message = "The account id has twelve digits."
  }
}

variable "artifact_store" {
  description = "Makes the project's one artifact store in this account, read by the accounts named; null where it is elsewhere."
  type = object({
    reader_account_ids = set(string)
  })
  default = null
}

variable "plan_days" {
  description = "Days after which saved plans are deleted."
  type        = number
  default     = 14
}

variable "emulated" {
  description = "The account is an emulator's: leaves out the bucket policies, whose conditions it ignores, and the lifecycle rules, which take it a minute."
  type        = bool
  default     = false
}
