memory_size        = 512
timeout            = 5
log_retention_days = 7
