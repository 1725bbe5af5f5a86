//! `weir-admission`: the admission sidecar.

fn main() -> std::process::ExitCode {
    weir_admission::run::main()
}
