//! The cost of an instruction.

use wasmparser::Operator;

/// The cost of entering a function; each local adds one. Its time is that of some eight instructions, but a frame takes
/// at least 64 bytes of the runtime's stack, and this price is what bounds a recursion.
pub(crate) const CALL: u64 = 32;

/// The cost of calling a host function, which mostly copies a pod or a node.
const HOST_CALL: u64 = 1000;

/// The cost of an instruction for each item that it moves, in eighths of a plain instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BySize {
    /// Eighths for each item.
    pub(crate) weight: i64,
    /// With more items than this the instruction does nothing and costs nothing.
    pub(crate) most: u32,
}

/// Moving eight bytes costs as much as one instruction.
const BYTE: i64 = 1;
/// So does moving one entry of a table.
const ENTRY: i64 = 8;
/// A new page is zeroed.
const PAGE: i64 = 65_536 * BYTE;

/// The cost of an instruction apart from what it moves. The brackets of a block are no work.
pub(crate) fn fixed(operator: &Operator<'_>, is_host: impl Fn(u32) -> bool) -> u64 {
    match operator {
        Operator::Block { .. } | Operator::Loop { .. } | Operator::Else | Operator::End => 0,
        Operator::Call { function_index } if is_host(*function_index) => HOST_CALL,
        _ => 1,
    }
}

/// The cost of an instruction for each item that it moves; its last operand is their number.
pub(crate) fn by_size(operator: &Operator<'_>, limits: &Limits) -> Option<BySize> {
    let all = |weight| Some(BySize { weight, most: u32::MAX });
    match operator {
        Operator::MemoryCopy { .. } | Operator::MemoryFill { .. } | Operator::MemoryInit { .. } => all(BYTE),
        Operator::TableCopy { .. } | Operator::TableFill { .. } | Operator::TableInit { .. } => all(ENTRY),
        Operator::MemoryGrow { .. } => Some(BySize { weight: PAGE, most: limits.memory }),
        Operator::TableGrow { table } => {
            let most = limits.tables.get(*table as usize).copied().unwrap_or(0);
            Some(BySize { weight: ENTRY, most })
        }
        _ => None,
    }
}

/// The sizes to which the module's memory and its tables may grow.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// In pages.
    pub(crate) memory: u32,
    /// In entries.
    pub(crate) tables: Vec<u32>,
}
