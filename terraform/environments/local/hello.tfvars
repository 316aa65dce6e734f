memory_size        = 128
timeout            = 3
log_retention_days = 1
log_level          = "INFO"
