//! `new-plugin NAME`: begins a plugin in the checkout that it is called in. 2 when the name does not do.

use std::path::Path;
use std::process::ExitCode;

use new_plugin::{Error, create};

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.parse().and_then(|name| create(&name, Path::new("plugins")).map(|()| name)) {
        Ok(name) => {
            println!("plugins/{name} is there. Test it:  cargo test -p {name}");
            println!(
                "Run it:  make run builds it and takes it along as {}, with the settings of plugins/{name}/profile.yaml",
                name.in_code()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if matches!(error, Error::Write { .. }) { 1 } else { 2 })
        }
    }
}
