memory_size        = 512
timeout            = 10
log_retention_days = 30
