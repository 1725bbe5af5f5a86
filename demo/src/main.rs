//! `weir-demo`: what `make run` runs.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_demo::main()
}
