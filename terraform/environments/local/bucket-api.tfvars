# A machine that reaches no registry of base images can release the zip alone: environment.toml selects it.
serves             = "zip"
memory_size        = 128
timeout            = 10
log_retention_days = 1

access_log_retention_days = 1

# Everything goes at once.
key_deletion_window_days = 7
force_destroy            = true

# The emulator ignores the conditions of a bucket's policy and would refuse every call to it.
require_https              = false
require_allowed_principals = false

# Setting the rules takes the emulator a minute.
manage_lifecycle = false

# Alarms are made and tell nobody: the topic would need one more key, which the emulator makes in 13 seconds.
make_alerts_topic = false
