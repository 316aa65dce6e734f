#![no_main]

slipway_fuzz::target!(slipway_local::gateway::fuzzing::layer);
