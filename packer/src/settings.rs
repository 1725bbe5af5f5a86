//! The bounds that packing sets, and the names by which a host recognizes a packed module.

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
