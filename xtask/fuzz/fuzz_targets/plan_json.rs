#![no_main]

slipway_fuzz::target!(slipway::fuzzing::plan_json);
