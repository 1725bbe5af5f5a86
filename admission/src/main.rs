//! `weir-admission`: the admission sidecar.

fn main() -> std::process::ExitCode {
    weir_admission::program::main()
}
