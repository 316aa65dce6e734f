memory_size        = 128
timeout            = 10
log_retention_days = 1

# For this machine only: TRACER_URL=… API_KEY=local-development-key
api_keys             = ["local-development-key"]
secret_recovery_days = 0
cors_allow_origins   = ["http://localhost:3000"]

# Alarms are made and tell nobody: the topic would need a key, which the emulator makes in 13 seconds.
make_alerts_topic = false

# The emulator has no budgets, and asks for no second permission behind a URL.
enable_cost_alerts = false
emulated           = true
