#![no_main]

slipway_fuzz::target!(slipway::fuzzing::function_toml);
