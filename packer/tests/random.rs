//! Random modules, with every shape of control that there is: packed they are valid, answer as before, and end.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use arbitrary::Unstructured;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use wasm_smith::Config;
use wasmi::{Engine, Extern, Func, Linker, Module, Store, Val};
use weir_packer::{OUT_OF_FUEL, Settings, pack};

const MODULES: u64 = 150;

/// The fuel of the interpreter for the module before packing: some modules never end.
const PATIENCE: u64 = 200_000;

fn random_module(seed: u64) -> Vec<u8> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let bytes: Vec<u8> = (0..random.random_range(1000..12000)).map(|_| random.random()).collect();
    let config = Config {
        max_imports: 0,
        // Most segments do not fit, and then nothing runs.
        max_data_segments: 0,
        max_element_segments: 1,
        // wasm-smith would guard divisions by a select behind i32.eqz, which wasmi 2.0.0 gets wrong.
        disallow_traps: false,
        export_everything: true,
        allow_start_export: false,
        min_funcs: 8,
        max_memories: 1,
        max_memory32_bytes: 16 << 20,
        memory_max_size_required: true,
        max_table_elements: 1000,
        table_max_size_required: true,
        canonicalize_nans: true,
        exceptions_enabled: false,
        gc_enabled: false,
        memory64_enabled: false,
        relaxed_simd_enabled: false,
        simd_enabled: false,
        tail_call_enabled: false,
        threads_enabled: false,
        wide_arithmetic_enabled: false,
        extended_const_enabled: false,
        custom_page_sizes_enabled: false,
        ..Config::default()
    };
    wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).unwrap().to_bytes()
}

/// The state of a module that a host can read after a call.
#[derive(Debug, PartialEq)]
enum Seen {
    Answered {
        results: Vec<String>,
        state: Vec<String>,
    },
    Trapped(String),
    /// The interpreter, or the packed module itself, ended it.
    Ended,
}

struct Running {
    store: Store<()>,
    exports: Vec<(String, Extern)>,
    out_of_fuel: Option<wasmi::Global>,
}

impl Running {
    /// `None` where it cannot be started: a segment does not fit, or its start function traps.
    fn start(bytes: &[u8], patience: Option<u64>) -> Option<Self> {
        let mut config = wasmi::Config::default();
        config.consume_fuel(patience.is_some());
        let engine = Engine::new(&config);
        let module = Module::new(&engine, bytes).unwrap_or_else(|error| panic!("{error}"));
        let mut store = Store::new(&engine, ());
        if let Some(patience) = patience {
            store.set_fuel(patience).unwrap();
        }
        let instance = Linker::new(&engine).instantiate_and_start(&mut store, &module).ok()?;
        let all = instance.exports(&store).map(|export| (export.name().to_owned(), export.into_extern()));
        let (ours, mut exports): (Vec<_>, Vec<_>) = all.partition(|(name, _)| name == OUT_OF_FUEL);
        exports.sort_by(|a, b| a.0.cmp(&b.0));
        let out_of_fuel = ours.into_iter().find_map(|(_, export)| export.into_global());
        Some(Self { store, exports, out_of_fuel })
    }

    fn functions(&self) -> Vec<Func> {
        self.exports.iter().filter_map(|(_, export)| export.into_func()).collect()
    }

    fn call(&mut self, function: Func) -> Seen {
        let kind = function.ty(&self.store);
        let params: Vec<Val> = kind.params().iter().map(|kind| Val::default_for_ty(*kind)).collect();
        let mut results: Vec<Val> = kind.results().iter().map(|kind| Val::default_for_ty(*kind)).collect();
        let outcome = function.call(&mut self.store, &params, &mut results);
        let used_up = self.out_of_fuel.as_ref().is_some_and(|flag| flag.get(&self.store).i32() == Some(1));
        match outcome {
            Ok(()) => Seen::Answered { results: results.iter().map(shown).collect(), state: self.state() },
            Err(_) if used_up => Seen::Ended,
            Err(error) => match error.as_trap_code() {
                Some(wasmi::TrapCode::OutOfFuel | wasmi::TrapCode::StackOverflow) => Seen::Ended,
                _ => Seen::Trapped(error.to_string()),
            },
        }
    }

    /// The globals, and how large memory and tables are and what is in the memory.
    fn state(&self) -> Vec<String> {
        let shown = |(name, export): &(String, Extern)| match export {
            Extern::Global(global) => Some(format!("{name} {}", shown(&global.get(&self.store)))),
            Extern::Table(table) => Some(format!("{name} {}", table.size(&self.store))),
            Extern::Func(_) => None,
            Extern::Memory(memory) => {
                let bytes = memory.data(&self.store);
                let sum = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                Some(format!("{name} {} {:x}", bytes.len(), bytes.iter().fold(7, sum)))
            }
        };
        self.exports.iter().filter_map(shown).collect()
    }
}

/// Numbers by their bits; of references only that they are some.
fn shown(value: &Val) -> String {
    match value {
        Val::I32(value) => value.to_string(),
        Val::I64(value) => value.to_string(),
        Val::F32(value) => format!("{:x}", value.to_bits()),
        Val::F64(value) => format!("{:x}", value.to_bits()),
        _ => "reference".to_owned(),
    }
}

#[test]
fn a_packed_module_is_valid_answers_as_before_and_ends() {
    let (mut compared, mut ended, mut tables) = (0, 0, 0);
    for seed in 0..MODULES {
        let module = random_module(seed);
        let settings = Settings { fuel_per_call: 5 * PATIENCE, ..Settings::default() };
        let packed = pack(&module, &settings).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut validator = wasmparser::Validator::new_with_features(wasmparser::WasmFeatures::WASM2);
        validator.validate_all(&packed).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        tables += branch_tables(&module);
        let mut number = 0;
        // A call that ran out of fuel has done more in one of the two modules, so each call begins with new instances.
        while let (Some(mut before), Some(mut after)) =
            (Running::start(&module, Some(PATIENCE)), Running::start(&packed, None))
        {
            let Some(function) = before.functions().get(number).copied() else { break };
            let (old, new) = (before.call(function), after.call(after.functions()[number]));
            if old == Seen::Ended || new == Seen::Ended {
                ended += 1;
            } else {
                assert_eq!(new, old, "seed {seed}");
                compared += 1;
            }
            number += 1;
        }
    }
    assert!(compared > 500 && ended > 20 && tables > 100, "{compared} compared, {ended} ended, {tables} branch tables");
}

fn branch_tables(module: &[u8]) -> usize {
    let bodies = wasmparser::Parser::new(0).parse_all(module).filter_map(|payload| match payload.unwrap() {
        wasmparser::Payload::CodeSectionEntry(body) => Some(body),
        _ => None,
    });
    let tables = |body: wasmparser::FunctionBody<'_>| {
        let operators = body.get_operators_reader().unwrap().into_iter();
        operators.filter(|operator| matches!(operator, Ok(wasmparser::Operator::BrTable { .. }))).count()
    };
    bodies.map(tables).sum()
}
