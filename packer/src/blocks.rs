//! The basic blocks of a function: which instructions are always executed together, and where they are charged.
//!
//! A block begins where control may arrive from elsewhere or may not arrive at all: at the function's beginning, the
//! head of a loop, both arms of an `if`, behind every branch, and behind the end of a block that a branch targets.
//! All of a block is charged before its first instruction. A call does not end a block: it returns, or the instance
//! traps.

use wasmparser::Operator;

/// The fuel that is charged before one of the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// The number of that instruction in the function.
    pub(crate) before: usize,
    /// The cost of the block that begins there.
    pub(crate) fuel: u64,
}

/// How control reaches the end of an open block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    /// From above only: no branch targets it. A loop's label is at its head.
    Straight,
    /// From above or by a branch.
    Meets,
    /// A loop, whose end no branch can target.
    Loop,
}

/// The charges of a function, in the order of its instructions, none of them 0.
pub(crate) fn charges(operators: &[Operator<'_>], entry: u64, price: impl Fn(&Operator<'_>) -> u64) -> Vec<Charge> {
    let mut charges = Vec::new();
    let mut block = Charge { before: 0, fuel: entry };
    let mut open = vec![Label::Straight];
    for (at, operator) in operators.iter().enumerate() {
        block.fuel += price(operator);
        if ends_block(operator, &mut open) {
            charges.push(block);
            block = Charge { before: at + 1, fuel: 0 };
        }
    }
    charges.push(block);
    charges.retain(|charge| charge.fuel > 0);
    charges
}

/// Whether another block begins behind an instruction; keeps track of the labels that are open.
fn ends_block(operator: &Operator<'_>, open: &mut Vec<Label>) -> bool {
    match operator {
        Operator::Block { .. } => {
            open.push(Label::Straight);
            false
        }
        Operator::Loop { .. } => {
            open.push(Label::Loop);
            true
        }
        Operator::If { .. } => {
            open.push(Label::Meets);
            true
        }
        Operator::End => open.pop() == Some(Label::Meets),
        Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
            jump(open, *relative_depth);
            true
        }
        Operator::BrTable { targets } => {
            // The module is valid, so every target can be read.
            targets.targets().flatten().chain([targets.default()]).for_each(|depth| jump(open, depth));
            true
        }
        Operator::Else | Operator::Return | Operator::Unreachable => true,
        _ => false,
    }
}

fn jump(open: &mut [Label], depth: u32) {
    let label = open.iter_mut().rev().nth(depth as usize);
    if let Some(label) = label.filter(|label| **label == Label::Straight) {
        *label = Label::Meets;
    }
}

#[cfg(test)]
mod tests {
    use wasmparser::{Parser, Payload};

    use super::*;

    /// The charges of a function without locals where every instruction but a bracket costs 1, and entering it 100.
    fn of(text: &str) -> Vec<(usize, u64)> {
        let module = wat::parse_str(format!("(module (func (param i32) {text}))")).unwrap();
        let body = Parser::new(0).parse_all(&module).find_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body),
            _ => None,
        });
        let operators: Vec<_> = body.unwrap().get_operators_reader().unwrap().into_iter().map(Result::unwrap).collect();
        let price = |operator: &Operator<'_>| crate::price::fixed(operator, |_| false);
        charges(&operators, 100, price).iter().map(|charge| (charge.before, charge.fuel)).collect()
    }

    #[test]
    fn straight_code_is_one_block_calls_and_all() {
        assert_eq!(of("nop nop"), [(0, 102)]);
        assert_eq!(of("i32.const 1 call 0 nop"), [(0, 103)]);
    }

    #[test]
    fn a_block_without_a_branch_out_of_it_divides_nothing() {
        assert_eq!(of("nop (block nop) nop"), [(0, 103)]);
    }

    #[test]
    fn code_behind_a_block_with_a_branch_out_of_it_is_charged_on_both_ways() {
        // nop block local.get br_if | nop end | nop
        assert_eq!(of("nop (block (br_if 0 (local.get 0)) nop) nop"), [(0, 103), (4, 1), (6, 1)]);
    }

    #[test]
    fn each_iteration_of_a_loop_is_charged() {
        // nop loop | local.get br_if | end nop
        assert_eq!(of("nop (loop (br_if 0 (local.get 0))) nop"), [(0, 101), (2, 2), (4, 1)]);
    }

    #[test]
    fn each_arm_of_an_if_is_charged_when_it_is_taken() {
        // local.get if | nop else | nop nop end | nop
        assert_eq!(of("(if (local.get 0) (then nop) (else nop nop)) nop"), [(0, 102), (2, 1), (4, 2), (7, 1)]);
    }

    #[test]
    fn every_target_of_a_table_of_branches_begins_a_block() {
        // block block block local.get br_table | end nop return | end nop return | end nop
        let text = "(block (block (block (br_table 0 1 2 (local.get 0))) nop return) nop return) nop";
        assert_eq!(of(text), [(0, 102), (6, 2), (9, 2), (12, 1)]);
    }

    #[test]
    fn unreachable_code_costs_nothing_before_it() {
        assert_eq!(of("return nop"), [(0, 101), (1, 1)]);
        assert_eq!(of("unreachable"), [(0, 101)]);
    }
}
