//! `weir-setup STEP…`: what the Makefile runs. 1 when a step fails, 2 when there is none of that name.

use std::process::ExitCode;

use weir_setup::{Checkout, Progress, Step, run};

fn main() -> ExitCode {
    let steps: Result<Vec<_>, _> = std::env::args().skip(1).map(|name| Step::named(&name)).collect();
    let (steps, checkout) = match steps.and_then(|steps| Ok((steps, Checkout::find()?))) {
        Ok(both) => both,
        Err(error) => {
            eprintln!("weir-setup: {error:#}");
            return ExitCode::from(2);
        }
    };
    match run(&steps, &checkout, &Progress::to_stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
