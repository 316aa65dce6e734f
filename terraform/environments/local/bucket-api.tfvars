# A machine that reaches no registry of base images can release the zip alone: environment.toml selects it.
serves             = "zip"
memory_size        = 128
timeout            = 10
log_retention_days = 1

access_log_retention_days = 1

# Everything goes at once.
key_deletion_window_days = 7
force_destroy            = true

# No bucket policy, whose conditions the emulator ignores, and no lifecycle rules, which take it a minute.
emulated = true

# Alarms are made and tell nobody: the topic would need one more key, which the emulator makes in 13 seconds.
make_alerts_topic = false
