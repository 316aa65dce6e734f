#![no_main]

slipway_fuzz::target!(slipway::fuzzing::ledger_entry);
