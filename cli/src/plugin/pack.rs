//! `weir plugin pack`: a module in, the same module with bounds out.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Args;
use serde::Serialize;
use weir_model::Quantity;
use weir_model::dimension::MEMORY;
use weir_packer::{FUEL_PER_CALL, Settings};

use crate::cluster::{Format, print_json, say};
use crate::digest::digest;

const EXAMPLES: &str = "Examples:
  weir plugin pack target/plugins/gpu-filter.wasm             to target/plugins/packed/gpu-filter.wasm
  weir plugin pack mine.wasm --into /plugins/mine.wasm        replaced at once, for a scheduler that watches it
  weir plugin pack mine.wasm --fuel 50000000 --memory 32Mi    where the slot's args say maxMemory: 32Mi

A packed module pays for each instruction that it executes and is ended when its fuel is used up, at most so much for
each call: a call that is ended fails its pod's attempt with the plugin's name and nothing else. The default is more than
a hundred times what a plugin with large settings needs, and a loop that never ends is over after some tens of
milliseconds. The same module and settings give the same bytes.

Exit status: 0, or 2 when the file cannot be packed, with one sentence on stderr.";

/// A page of WebAssembly memory.
const PAGE: i64 = 64 << 10;
/// All that 32 bits can address, in pages.
const MOST_PAGES: i64 = 1 << 16;

/// What the command is told.
#[derive(Args)]
#[command(after_long_help = EXAMPLES)]
pub(crate) struct PackArgs {
    /// The module that the compiler made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The packed module's path; default: packed/ beside FILE
    #[arg(long, value_name = "FILE")]
    into: Option<PathBuf>,
    /// What each call may cost: about one for each instruction
    #[arg(long, value_name = "N", default_value_t = FUEL_PER_CALL)]
    fuel: u64,
    /// How far the memory may grow: whole pages of 64Ki, at most 4Gi
    #[arg(long, value_name = "QUANTITY", default_value = "16Mi")]
    memory: String,
    /// How to answer
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
}

/// What was made.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    file: PathBuf,
    digest: String,
    bytes: Sizes,
    fuel_per_call: u64,
    memory_bytes: u64,
}

/// Of the module, before and after.
#[derive(Debug, PartialEq, Serialize)]
struct Sizes {
    before: usize,
    after: usize,
}

/// Packs; 2 with a sentence on stderr when that is not possible.
pub(super) fn run(args: &PackArgs) -> ExitCode {
    let made = pack(args).and_then(|made| match args.output {
        Format::Json => print_json(&made),
        Format::Text => say(&told(&made)),
    });
    match made {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir plugin pack: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn pack(args: &PackArgs) -> Result<Made> {
    let PackArgs { file, into, fuel, memory, output: _ } = args;
    let settings = Settings { fuel_per_call: *fuel, memory_pages: pages(memory)? };
    let module = std::fs::read(file).with_context(|| file.display().to_string())?;
    let packed = weir_packer::pack(&module, &settings).with_context(|| file.display().to_string())?;
    let place = match into {
        Some(place) => place.clone(),
        None => beside(file)?,
    };
    ensure!(!place.is_dir(), "--into {}: that is a folder; name a file in it", place.display());
    replace(&place, &packed)?;
    Ok(Made {
        file: place,
        digest: digest(&packed),
        bytes: Sizes { before: module.len(), after: packed.len() },
        fuel_per_call: *fuel,
        memory_bytes: u64::from(settings.memory_pages) * PAGE.unsigned_abs(),
    })
}

/// How many pages a quantity is.
fn pages(memory: &str) -> Result<u32> {
    let bytes = Quantity::parse(memory).map_err(|error| anyhow!("--memory {memory}: {error}"))?.amount(MEMORY).units();
    if bytes % PAGE != 0 || !(1..=MOST_PAGES).contains(&(bytes / PAGE)) {
        bail!("--memory {memory}: memory comes in pages of 64Ki; expected 64Ki to 4Gi in whole pages, such as 16Mi");
    }
    u32::try_from(bytes / PAGE).with_context(|| format!("--memory {memory}"))
}

fn beside(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().with_context(|| format!("{}: that is no file", file.display()))?;
    Ok(file.with_file_name("packed").join(name))
}

/// Puts a file in its place by a rename: a reader never sees a part of it.
fn replace(place: &Path, content: &[u8]) -> Result<()> {
    let name = place.file_name().with_context(|| format!("{}: that is no file", place.display()))?;
    let failed = || format!("write {}", place.display());
    if let Some(folder) = place.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    let new = place.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let written = std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, place));
    written.inspect_err(|_| drop(std::fs::remove_file(&new))).with_context(failed)
}

fn told(made: &Made) -> String {
    let Made { file, digest, bytes: Sizes { before, after }, fuel_per_call, memory_bytes } = made;
    let mebibytes = *memory_bytes as f64 / f64::from(1 << 20);
    format!(
        "{}: {before} bytes became {after}, {fuel_per_call} fuel for each call, at most {mebibytes} MiB of memory\n{digest}\n",
        file.display()
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: PackArgs,
    }

    /// `(module (memory 1))`
    const MODULE: [u8; 13] = [0, b'a', b's', b'm', 1, 0, 0, 0, 5, 3, 1, 0, 1];

    fn packed(folder: &Path, options: &[&str]) -> Result<Made> {
        let file = folder.join("mine.wasm");
        std::fs::write(&file, MODULE)?;
        let file = file.display().to_string();
        let line = ["pack", file.as_str()].into_iter().chain(options.iter().copied());
        pack(&Line::try_parse_from(line)?.args)
    }

    #[test]
    fn the_packed_module_lies_beside_the_module_or_where_it_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let made = packed(folder.path(), &[]).unwrap();
        assert_eq!(made.file, folder.path().join("packed/mine.wasm"));
        let bytes = std::fs::read(&made.file).unwrap();
        assert_eq!((made.bytes, &made.digest), (Sizes { before: 13, after: bytes.len() }, &digest(&bytes)));
        assert_eq!(weir_packer::fuel_per_call(&bytes), Ok(Some(FUEL_PER_CALL)));

        let elsewhere = folder.path().join("new/other.wasm");
        let options = ["--into", &elsewhere.display().to_string(), "--fuel", "77", "--memory", "128Ki"];
        let made = packed(folder.path(), &options).unwrap();
        assert_eq!((made.file, made.fuel_per_call, made.memory_bytes), (elsewhere.clone(), 77, 128 << 10));
        assert_eq!(weir_packer::fuel_per_call(&std::fs::read(elsewhere).unwrap()), Ok(Some(77)));
        let left = std::fs::read_dir(folder.path().join("new")).unwrap().count();
        assert_eq!(left, 1, "nothing but the module is left behind");
    }

    #[test]
    fn what_cannot_be_packed_is_refused_with_the_field() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |options: &[&str]| format!("{:#}", packed(folder.path(), options).unwrap_err());
        for memory in ["1", "0", "100Ki", "5Gi", "-64Ki"] {
            let why = refused(&[&format!("--memory={memory}")]);
            assert!(why.starts_with(&format!("--memory {memory}: ")), "{why}");
        }
        assert!(refused(&["--memory=16MB"]).starts_with("--memory 16MB: "));
        let why = refused(&["--fuel=0"]);
        assert!(why.contains("mine.wasm: 0 is not possible as the fuel of a call"), "{why}");
        let why = refused(&["--into", &folder.path().display().to_string()]);
        assert!(why.ends_with("that is a folder; name a file in it"), "{why}");
        let place = packed(folder.path(), &[]).unwrap().file;
        let again = Line::try_parse_from(["pack".as_ref(), place.as_os_str()]).unwrap();
        let why = format!("{:#}", pack(&again.args).unwrap_err());
        assert!(why.contains("the module is packed already"), "{why}");
    }
}
