//! A function with its charges: the same instructions, byte for byte, and between them the code that charges for them.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{BlockType, Function, ValType};
use wasmparser::{FunctionBody, Operator};

use crate::blocks;
use crate::error::{Error, invalid, unexpected};
use crate::price::{self, BySize, Limits};

/// The indices of the items that packing adds. Each stands behind all others of its kind, so that no index in the
/// module changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Added {
    /// The global with the fuel that is left; below 0 when it is used up.
    pub(crate) fuel: u32,
    /// The global that is 1 once the fuel is used up.
    pub(crate) out_of_fuel: u32,
    /// The function that sets that global and traps.
    pub(crate) give_up: u32,
    /// The function that charges by size and returns the size.
    pub(crate) charge_by_size: u32,
    /// The first of the functions that are exported in place of the module's own.
    pub(crate) first_entry: u32,
}

/// Meters the functions of a module.
pub(crate) struct Meter<'a> {
    /// The bytes of the module.
    pub(crate) module: &'a [u8],
    /// How many functions are the host's; they come first.
    pub(crate) host_functions: u32,
    /// The sizes to which memory and tables may grow.
    pub(crate) limits: Limits,
    /// The items that packing adds.
    pub(crate) added: Added,
}

impl Meter<'_> {
    /// Meters the function with this body and so many parameters. `refers_to` may refuse each function whose address
    /// the body takes.
    pub(crate) fn metered(
        &self,
        body: &FunctionBody<'_>,
        params: u32,
        refers_to: impl Fn(u32) -> Result<(), Error>,
    ) -> Result<Function, Error> {
        let (operators, places) = operators(body)?;
        let (mut locals, own) = locals(body)?;
        let entry = price::CALL + u64::from(own);
        let price = |operator: &Operator<'_>| price::fixed(operator, |function| function < self.host_functions);
        let mut charges = blocks::charges(&operators, entry, price).into_iter().peekable();
        // One more local, for the fuel that is left while it is compared.
        let left = params + own;
        locals.push((1, ValType::I64));
        let mut function = Function::new(locals);
        for (at, operator) in operators.iter().enumerate() {
            if let Some(charge) = charges.next_if(|charge| charge.before == at) {
                self.charge(&mut function, charge.fuel, left);
            }
            if let Operator::RefFunc { function_index } = operator {
                refers_to(*function_index)?;
            }
            if let Some(BySize { weight, most }) = price::by_size(operator, &self.limits) {
                let most = i32::from_ne_bytes(most.to_ne_bytes());
                function.instructions().i32_const(most).i64_const(weight).call(self.added.charge_by_size);
            }
            function.raw(self.module[places[at]..places[at + 1]].iter().copied());
        }
        Ok(function)
    }

    /// Lowers the fuel by the cost of a block, and gives up when less than that is left.
    fn charge(&self, function: &mut Function, fuel: u64, left: u32) {
        // The size of the module bounds the cost of a block, far below what fits.
        let fuel = i64::try_from(fuel).unwrap_or(i64::MAX);
        let Added { fuel: global, give_up, .. } = self.added;
        let mut code = function.instructions();
        code.global_get(global).i64_const(fuel).i64_sub().local_tee(left).global_set(global);
        code.local_get(left).i64_const(0).i64_lt_s().if_(BlockType::Empty).call(give_up).unreachable().end();
    }

    /// `(count, maximum, weight) → count`: charges for an instruction that moves `count` items. Above the maximum the
    /// instruction does nothing, so it is not charged.
    pub(crate) fn charge_by_size(&self) -> Function {
        const MANY: u32 = 0;
        const MOST: u32 = 1;
        const WEIGHT: u32 = 2;
        const LEFT: u32 = 3;
        let Added { fuel, give_up, .. } = self.added;
        let mut function = Function::new([(1, ValType::I64)]);
        let mut code = function.instructions();
        code.local_get(MANY).local_get(MOST).i32_le_u().if_(BlockType::Empty);
        code.global_get(fuel);
        code.local_get(MANY).i64_extend_i32_u().local_get(WEIGHT).i64_mul().i64_const(3).i64_shr_u();
        code.i64_sub().local_tee(LEFT).global_set(fuel);
        code.local_get(LEFT).i64_const(0).i64_lt_s().if_(BlockType::Empty).call(give_up).unreachable().end();
        code.end().local_get(MANY).end();
        function
    }

    /// The function that records that the fuel is used up, and traps.
    pub(crate) fn give_up(&self) -> Function {
        let mut function = Function::new([]);
        function.instructions().i32_const(1).global_set(self.added.out_of_fuel).unreachable().end();
        function
    }

    /// The function that is exported in place of another: fills up the fuel, and calls that one.
    pub(crate) fn entry(&self, function: u32, params: u32, fuel_per_call: i64) -> Function {
        let Added { fuel, out_of_fuel, .. } = self.added;
        let mut entry = Function::new([]);
        let mut code = entry.instructions();
        code.i64_const(fuel_per_call).global_set(fuel).i32_const(0).global_set(out_of_fuel);
        for param in 0..params {
            code.local_get(param);
        }
        code.call(function).end();
        entry
    }
}

/// The instructions of a function, and where each begins in the module; one place more, for where the last ends.
fn operators<'a>(body: &FunctionBody<'a>) -> Result<(Vec<Operator<'a>>, Vec<usize>), Error> {
    let mut reader = body.get_operators_reader().map_err(|error| invalid(&error))?;
    let (mut operators, mut places) = (Vec::new(), vec![reader.original_position()]);
    while !reader.eof() {
        operators.push(reader.read().map_err(|error| invalid(&error))?);
        places.push(reader.original_position());
    }
    Ok((operators, places))
}

/// The locals that a function has beside its parameters, in groups of one type, and how many they are.
fn locals(body: &FunctionBody<'_>) -> Result<(Vec<(u32, ValType)>, u32), Error> {
    let mut groups = Vec::new();
    for group in body.get_locals_reader().map_err(|error| invalid(&error))? {
        let (count, kind) = group.map_err(|error| invalid(&error))?;
        groups.push((count, RoundtripReencoder.val_type(kind).map_err(|error| unexpected(&error))?));
    }
    let all = groups.iter().map(|(count, _)| count).sum();
    Ok((groups, all))
}
