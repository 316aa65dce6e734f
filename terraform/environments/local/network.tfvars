cidr         = "10.0.0.0/16"
nat_gateways = "one"

# Nothing flows through an emulated network.
flow_logs_retention_days = 1
