#![no_main]

slipway_fuzz::target!(slipway::fuzzing::release_manifest);
