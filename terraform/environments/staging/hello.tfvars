memory_size        = 256
timeout            = 5
log_retention_days = 7
