//! `kubectl weir`: the same program as `weir`, under the name by which kubectl finds it.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_cli::main()
}
