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
mod price;
mod read;
mod write;

use read::Parts;

/// The custom section by which a host recognizes a packed module.
pub const SECTION: &str = "weir.metering";

/// The exported global that is 1 when the last call ended because its fuel was used up.
pub const OUT_OF_FUEL: &str = "weir_out_of_fuel";

/// The fuel of a call unless [`Settings`] say otherwise.
///
/// Two bounds meet here. A hundred times the most expensive call of the four plugins with settings, pods and nodes of
/// the usual size must fit: that is 213,622, for reading a list of 16 special models; with the longest list that is
/// possible, and four more names for each, it is 2.5 million. And a call that never ends must be over within tens of
/// milliseconds: in wazero the tightest loop took 50 ms for 20 million on a busy core, others 2 to 20.
/// `cargo run -p weir-agreement --example fuel` measures the first.
pub const FUEL_PER_CALL: u64 = 25_000_000;

/// The memory that a module may have unless [`Settings`] say otherwise, in pages of 64 KiB: 16 MiB.
pub const MEMORY_PAGES: u32 = 256;

/// The most entries of each table of a module. A table is memory of the host, 8 bytes for each entry.
pub const TABLE_ENTRIES: u32 = 1 << 16;

/// The bounds that packing sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The fuel of each call, 1 to `i64::MAX`.
    pub fuel_per_call: u64,
    /// The most memory, in pages of 64 KiB. A module that has a lower maximum keeps it.
    pub memory_pages: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fuel_per_call: FUEL_PER_CALL, memory_pages: MEMORY_PAGES }
    }
}

/// Why a module cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are no module, or one that the scheduler's runtime does not support.
    #[error("this is no WebAssembly module of version 2.0, or only a part of one: {0}")]
    Invalid(String),
    /// It has the section of a packed module.
    #[error("the module is packed already, with {0} fuel for each call; pack the module that the compiler made")]
    Packed(u64),
    /// The section of a packed module does not say what it should.
    #[error(
        "the module has a section {SECTION} that this version does not understand; pack the module that the compiler made"
    )]
    Section,
    /// It exports something under the name that the packer gives to [`OUT_OF_FUEL`].
    #[error("the module exports {OUT_OF_FUEL:?}, a name that packing gives to something else; rename that export")]
    Reserved,
    /// It wants a memory, table or global of its host: no scheduler offers one.
    #[error("the module imports the {kind} {name:?}; a plugin may import functions only")]
    Import {
        /// Memory, table, global.
        kind: &'static str,
        /// `module.name`.
        name: String,
    },
    /// A table or a reference holds a host function; a call through it cannot be told from other calls.
    #[error(
        "the module takes the address of the host function {0:?}; call it from a function of the module, and take the address of that"
    )]
    HostFunctionAddress(String),
    /// It begins with more memory than it may have.
    #[error("the module begins with {initial} pages of memory and may have {most}; give it less, or raise the limit")]
    Memory {
        /// The module's initial memory, in pages of 64 KiB.
        initial: u64,
        /// The most that it may have.
        most: u32,
    },
    /// A table begins larger than [`TABLE_ENTRIES`].
    #[error("a table of the module begins with {0} entries; at most {TABLE_ENTRIES} are possible")]
    Table(u64),
    /// No fuel, or more than can be counted.
    #[error("{0} is not possible as the fuel of a call; expected 1 to {max}", max = i64::MAX)]
    Fuel(u64),
}

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

/// The parser's error, with its offset.
fn invalid(error: &wasmparser::BinaryReaderError) -> Error {
    Error::Invalid(error.to_string())
}

/// The encoder's error about a module that the parser accepted.
fn unexpected(error: &wasm_encoder::reencode::Error) -> Error {
    Error::Invalid(error.to_string())
}
