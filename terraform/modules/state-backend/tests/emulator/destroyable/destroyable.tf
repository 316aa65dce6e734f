# Lies beside main.tf in the copy that the emulator's tests run on, and nowhere else: the service
# itself refuses to delete the table until its protection is off.
variable "deletion_protection" {
  type    = bool
  default = true
}
