//! Packs a module: the same module, except that no call into it can compute for ever or allocate without end.
//!
//! The bound is inside the module, so it holds in any runtime and needs nothing of the host: a counter that each
//! basic block lowers by what it costs, and a trap when it is used up. Nothing here reads a file, and nothing
//! decides whether a host wants such modules.
//!
//! # What a packed module has
//! | what | meaning |
//! |---|---|
//! | custom section [`SECTION`] | JSON, `{"version":1,"fuelPerCall":N}` |
//! | export [`OUT_OF_FUEL`] | a mutable `i32` global: 1 after a call that was ended because its fuel was used up, else 0 |
//! | its function exports | as before, each with N fuel of its own |
//! | maximum of memory and table | at most those of [`Settings`] and [`TABLE_ENTRIES`] |
//!
//! # What is counted
//! One for each instruction that is executed; `price` has the exceptions: calls, host functions, and instructions that
//! move many bytes at once. A block is charged before it begins, so a call never executes more than it was charged for.
//!
//! A host calls an export, which calls host functions; none of kube-scheduler-wasm-extension's calls an export again. If
//! one did, the inner call would get N fuel anew and leave the rest of it to the call around it, so only the number of
//! such calls would bound the sum.
//!
//! # What is not bounded here
//! The stack of a recursion belongs to the runtime, which limits it: wazero to 400 MB. The price of calls and locals lets
//! the fuel run out long before, at some 4 bytes of stack for each (80 MiB were measured for 20 million). The time of a
//! host function is the host's.
//!
//! ```
//! let module = wat::parse_str(r#"(module (func (export "filter") (result i32) (loop (br 0)) (i32.const 0)))"#)?;
//! let packed = weir_packer::pack(&module, &weir_packer::Settings::default())?;
//! assert_eq!(weir_packer::fuel_per_call(&packed)?, Some(weir_packer::FUEL_PER_CALL));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod blocks;
mod body;
mod error;
mod price;
mod read;
mod settings;
mod write;

pub use error::Error;
pub use settings::{FUEL_PER_CALL, MEMORY_PAGES, OUT_OF_FUEL, SECTION, Settings, TABLE_ENTRIES};

use read::Parts;

/// Adds the bounds to a module. The same module and settings give the same bytes.
///
/// # Errors
/// When the bytes are no module, when it is packed already, or when it has something that could not be bounded.
pub fn pack(module: &[u8], settings: &Settings) -> Result<Vec<u8>, Error> {
    let Settings { fuel_per_call, memory_pages: _ } = *settings;
    if fuel_per_call == 0 || i64::try_from(fuel_per_call).is_err() {
        return Err(Error::Fuel(fuel_per_call));
    }
    let parts = Parts::read(module)?;
    if let Some(fuel) = parts.fuel_per_call()? {
        return Err(Error::Packed(fuel));
    }
    write::packed(&parts, settings)
}

/// The fuel of each call that a packed module declares; `None` for a module that is not packed.
///
/// # Errors
/// When the bytes are no module, or its section is not one of this version.
pub fn fuel_per_call(module: &[u8]) -> Result<Option<u64>, Error> {
    Parts::read(module)?.fuel_per_call()
}
