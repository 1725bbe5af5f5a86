//! Why a module cannot be packed, in sentences that say what to do.

use crate::settings::{OUT_OF_FUEL, SECTION, TABLE_ENTRIES};

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

/// The parser's error, with its offset.
pub(crate) fn invalid(error: &wasmparser::BinaryReaderError) -> Error {
    Error::Invalid(error.to_string())
}

/// The encoder's error about a module that the parser accepted.
pub(crate) fn unexpected(error: &wasm_encoder::reencode::Error) -> Error {
    Error::Invalid(error.to_string())
}
