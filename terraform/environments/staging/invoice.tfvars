memory_size        = 256
timeout            = 10
log_retention_days = 14
