shard_count        = 1
memory_size        = 512
timeout            = 60
log_retention_days = 30

# Development comes and goes: its names are free again soon.
secret_recovery_window_days = 7
key_deletion_window_days    = 7
