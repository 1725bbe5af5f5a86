//! `weir`: capacity of a shared Kubernetes cluster for Ray and other machine-learning work.

use std::process::ExitCode;

fn main() -> ExitCode {
    weir_cli::main()
}
