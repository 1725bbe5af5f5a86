//! What an instruction costs.

use wasmparser::Operator;

/// What it costs to enter a function, and one more for each local. That is more than its time, which some eight
/// instructions take too: a frame is at least 64 bytes of the runtime's stack, and this is what bounds a recursion.
pub(crate) const CALL: u64 = 32;

/// What it costs to call a host function, which copies a pod or a node more often than not.
const HOST_CALL: u64 = 1000;

/// What an instruction that moves many things at once costs for each of them, in eighths of a plain instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BySize {
    /// Eighths for each thing.
    pub(crate) weight: i64,
    /// With more things than this the instruction does nothing and costs nothing.
    pub(crate) most: u32,
}

/// Moving eight bytes is as much as an instruction.
const BYTE: i64 = 1;
/// So is an entry of a table.
const ENTRY: i64 = 8;
/// A new page is zeroed.
const PAGE: i64 = 65_536 * BYTE;

/// What an instruction costs however much it moves. The brackets of a block are no work.
pub(crate) fn fixed(operator: &Operator<'_>, is_host: impl Fn(u32) -> bool) -> u64 {
    match operator {
        Operator::Block { .. } | Operator::Loop { .. } | Operator::Else | Operator::End => 0,
        Operator::Call { function_index } if is_host(*function_index) => HOST_CALL,
        _ => 1,
    }
}

/// What an instruction costs for each thing that it moves, of which the last operand says how many they are.
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

/// To what the module's memory and its tables may grow.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// In pages.
    pub(crate) memory: u32,
    /// In entries.
    pub(crate) tables: Vec<u32>,
}
