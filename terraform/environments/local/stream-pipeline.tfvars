shard_count        = 1
memory_size        = 512
timeout            = 30
log_retention_days = 1

# Nothing here is secret. Elsewhere whoever owns the key puts it into the secret.
pseudonym_key         = "local-pseudonym-key-0123456789abcdef"
pseudonym_key_version = 1

# Everything goes at once, and its names can be taken again.
secret_recovery_window_days = 0
key_deletion_window_days    = 7
force_destroy               = true

# What failed is told soon: somebody is waiting for it.
batching_window_seconds = 0
maximum_retry_attempts  = 2

# No bucket policy, whose condition the emulator ignores, and no lifecycle rules, which take it a minute.
emulated = true

# Alarms are made and notify nobody: the topic would need one more key, which the emulator makes in 13 seconds.
make_alerts_topic = false
