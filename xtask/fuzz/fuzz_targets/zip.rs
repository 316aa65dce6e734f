#![no_main]

slipway_fuzz::target!(slipway_archive::fuzzing::zip, slipway_local::gateway::fuzzing::zip);
