//! The door: parse, run, exit.

fn main() -> std::process::ExitCode {
    slipway::main()
}
