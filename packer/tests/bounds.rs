//! A packed module computes and allocates within its bounds, and does everything else as before. An interpreter without
//! bounds of its own runs it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

use wasmi::{Engine, Instance, Linker, Module, Store, Val};
use weir_packer::{Error, FUEL_PER_CALL, OUT_OF_FUEL, Settings, fuel_per_call, pack};

/// A packed module that runs.
struct Packed {
    store: Store<()>,
    instance: Instance,
}

fn with_fuel(fuel_per_call: u64) -> Settings {
    Settings { fuel_per_call, ..Settings::default() }
}

impl Packed {
    fn new(text: &str, settings: Settings) -> Self {
        Self::start(text, settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn start(text: &str, settings: Settings) -> Result<Self, wasmi::Error> {
        let packed = pack(&wat::parse_str(text).unwrap(), &settings).unwrap();
        let engine = Engine::default();
        let mut store = Store::new(&engine, ());
        let mut linker = Linker::new(&engine);
        linker.func_wrap("host", "call", || {}).unwrap();
        let instance = linker.instantiate_and_start(&mut store, &Module::new(&engine, &packed)?)?;
        Ok(Self { store, instance })
    }

    /// Calls an export that returns a number; the error says whether the fuel was used up.
    fn call(&mut self, export: &str) -> Result<i32, Ended> {
        let function = self.instance.get_func(&self.store, export).unwrap();
        let mut result = [Val::I32(0)];
        let ended = function.call(&mut self.store, &[], &mut result);
        let flag = self.instance.get_global(&self.store, OUT_OF_FUEL).unwrap().get(&self.store).i32().unwrap();
        match (ended, flag) {
            (Ok(()), 0) => Ok(result[0].i32().unwrap()),
            (Err(_), 1) => Err(Ended::OutOfFuel),
            (Err(error), 0) => Err(Ended::Trapped(error.to_string())),
            (outcome, flag) => panic!("{outcome:?} with the flag {flag}"),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    OutOfFuel,
    Trapped(String),
}

#[test]
fn a_loop_that_never_ends_is_ended() {
    let text = r#"(module (func (export "f") (result i32) (loop (br 0)) (i32.const 1)))"#;
    assert_eq!(Packed::new(text, Settings::default()).call("f"), Err(Ended::OutOfFuel));
}

#[test]
fn a_recursion_that_never_ends_is_ended_through_exports_and_tables_too() {
    let text = r#"(module
        (type $f (func (result i32)))
        (table 1 1 funcref) (elem (i32.const 0) $table)
        (func $direct (export "direct") (type $f) (call $direct))
        (func $table (export "table") (type $f) (call_indirect (type $f) (i32.const 0))))"#;
    let mut packed = Packed::new(text, with_fuel(3000));
    assert_eq!(packed.call("direct"), Err(Ended::OutOfFuel));
    assert_eq!(packed.call("table"), Err(Ended::OutOfFuel));
}

#[test]
fn every_call_has_its_own_fuel_and_the_one_after_a_trap_too() {
    let text = r#"(module
        (func (export "long") (result i32) (loop (br 0)) (i32.const 1))
        (func (export "short") (result i32) (i32.const 7)))"#;
    let mut packed = Packed::new(text, with_fuel(33));
    assert_eq!([packed.call("short"), packed.call("short")], [Ok(7), Ok(7)]);
    assert_eq!(packed.call("long"), Err(Ended::OutOfFuel));
    assert_eq!(packed.call("short"), Ok(7));
}

/// The least fuel that a call needs.
fn needs(text: &str) -> u64 {
    let (mut enough, mut too_little) = (1, 0);
    while Packed::new(text, with_fuel(enough)).call("f").is_err() {
        (too_little, enough) = (enough, enough * 2);
    }
    while enough - too_little > 1 {
        let middle = u64::midpoint(enough, too_little);
        match Packed::new(text, with_fuel(middle)).call("f") {
            Ok(_) => enough = middle,
            Err(Ended::OutOfFuel) => too_little = middle,
            Err(Ended::Trapped(why)) => panic!("{why}"),
        }
    }
    enough
}

#[test]
fn a_call_costs_thirty_two_and_one_for_each_instruction_and_each_local() {
    assert_eq!(needs(r#"(module (func (export "f") (result i32) (i32.const 1)))"#), 32 + 1);
    assert_eq!(needs(r#"(module (func (export "f") (result i32) (local i32 i64 i64) (i32.const 1)))"#), 32 + 3 + 1);
    let calls = r#"(module (func $one (nop)) (func (export "f") (result i32) (call $one) (call $one) (i32.const 1)))"#;
    assert_eq!(needs(calls), 32 + 3 + 2 * (32 + 1));
}

#[test]
fn only_what_is_executed_costs() {
    let arm = |which: u32| {
        format!(
            r#"(module (func (export "f") (result i32)
                (if (result i32) (i32.const {which}) (then (i32.const 1)) (else (nop) (nop) (nop) (i32.const 2)))))"#
        )
    };
    assert_eq!([needs(&arm(1)), needs(&arm(0))], [32 + 2 + 1, 32 + 2 + 4]);
    // Each of five times round: get, const, sub, tee, br_if.
    let counts = r#"(module (func (export "f") (result i32) (local i32) (local.set 0 (i32.const 5))
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))) (i32.const 1)))"#;
    assert_eq!(needs(counts), 32 + 1 + 2 + 5 * 5 + 1);
    // br_table jumps over what the other cases would have cost.
    let case = |which: u32| {
        format!(
            r#"(module (func (export "f") (result i32)
                (block (block (block (br_table 0 1 2 (i32.const {which})))
                              (return (i32.const 5)))
                       (nop) (nop) (return (i32.const 6)))
                (i32.const 7)))"#
        )
    };
    assert_eq!([0, 1, 2, 9].map(|which| needs(&case(which))), [32 + 2 + 2, 32 + 2 + 4, 32 + 2 + 1, 32 + 2 + 1]);
}

#[test]
fn a_host_function_costs_a_thousand() {
    let text =
        r#"(module (import "host" "call" (func $host)) (func (export "f") (result i32) (call $host) (i32.const 1)))"#;
    assert_eq!(needs(text), 32 + 1000 + 1);
}

#[test]
fn what_moves_many_things_at_once_costs_by_their_number() {
    let memory = |instruction: &str| {
        format!(
            r#"(module (memory 1) (data $d "0123456789012345")
                (func (export "f") (result i32) {instruction} (i32.const 1)))"#
        )
    };
    assert_eq!(needs(&memory("(memory.fill (i32.const 0) (i32.const 1) (i32.const 4096))")), 32 + 4 + 512 + 1);
    assert_eq!(needs(&memory("(memory.copy (i32.const 0) (i32.const 9) (i32.const 4096))")), 32 + 4 + 512 + 1);
    assert_eq!(needs(&memory("(memory.init $d (i32.const 0) (i32.const 0) (i32.const 16))")), 32 + 4 + 2 + 1);
    assert_eq!(needs(&memory("(drop (memory.grow (i32.const 2)))")), 32 + 3 + 2 * 8192 + 1);
    let table = |instruction: &str| {
        format!(
            r#"(module (table 100 200 funcref) (elem $e func $g $g $g) (func $g)
                (func (export "f") (result i32) {instruction} (i32.const 1)))"#
        )
    };
    assert_eq!(needs(&table("(table.fill (i32.const 0) (ref.null func) (i32.const 70))")), 32 + 4 + 70 + 1);
    assert_eq!(needs(&table("(table.copy (i32.const 0) (i32.const 1) (i32.const 70))")), 32 + 4 + 70 + 1);
    assert_eq!(needs(&table("(table.init $e (i32.const 0) (i32.const 0) (i32.const 3))")), 32 + 4 + 3 + 1);
    assert_eq!(needs(&table("(drop (table.grow (ref.null func) (i32.const 70)))")), 32 + 4 + 70 + 1);
}

#[test]
fn what_cannot_be_paid_for_does_not_happen() {
    let text = r#"(module (memory (export "memory") 1) (func (export "f") (result i32)
        (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (i32.const 1)))"#;
    let mut packed = Packed::new(text, with_fuel(1000));
    assert_eq!(packed.call("f"), Err(Ended::OutOfFuel));
    let memory = packed.instance.get_memory(&packed.store, "memory").unwrap();
    assert!(memory.data(&packed.store).iter().all(|byte| *byte == 0));
}

#[test]
fn the_memory_ends_at_the_limit_or_before_it_at_the_module_s_own() {
    let pages = |memory: &str, memory_pages: u32| {
        let grows = r#"(func (export "f") (result i32)
            (loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (memory.size))"#;
        let settings = Settings { memory_pages, ..Settings::default() };
        Packed::new(&format!("(module {memory} {grows})"), settings).call("f")
    };
    assert_eq!(pages("(memory 1)", 256), Ok(256));
    assert_eq!(pages("(memory 1 9)", 256), Ok(9));
    assert_eq!(pages("(memory 1 9)", 4), Ok(4));
    assert_eq!(pages("(memory 4)", 4), Ok(4));
}

#[test]
fn who_asks_for_too_much_memory_is_told_so_and_may_ask_for_less() {
    let text = r#"(module (memory 1) (table 1 funcref) (func (export "f") (result i32)
        (i32.add (memory.grow (i32.const 300)) (table.grow (ref.null func) (i32.const -1)))))"#;
    assert_eq!(Packed::new(text, Settings::default()).call("f"), Ok(-2));
}

#[test]
fn a_guest_that_allocates_without_end_is_ended() {
    let text = r#"(module (memory 1) (func (export "f") (result i32)
        (loop (drop (memory.grow (i32.const 1))) (br 0)) (i32.const 1)))"#;
    assert_eq!(Packed::new(text, Settings::default()).call("f"), Err(Ended::OutOfFuel));
}

#[test]
fn a_table_ends_at_its_limit() {
    let grows = |table: &str| {
        format!(
            r#"(module {table} (func (export "f") (result i32)
                (loop (br_if 0 (i32.ne (table.grow (ref.null func) (i32.const 32)) (i32.const -1)))) (table.size)))"#
        )
    };
    assert_eq!(Packed::new(&grows("(table 0 funcref)"), Settings::default()).call("f"), Ok(65_536));
    assert_eq!(Packed::new(&grows("(table 0 64 funcref)"), Settings::default()).call("f"), Ok(64));
}

#[test]
fn a_start_function_is_bounded_too() {
    assert!(Packed::start(r#"(module (func $s (loop (br 0))) (start $s))"#, Settings::default()).is_err());
}

#[test]
fn a_trap_of_the_module_s_own_is_not_said_to_be_for_want_of_fuel() {
    let mut packed = Packed::new(r#"(module (func (export "f") (result i32) unreachable))"#, Settings::default());
    assert!(matches!(packed.call("f"), Err(Ended::Trapped(why)) if why.contains("unreachable")));
}

#[test]
fn a_packed_module_says_so_and_keeps_what_it_said_before() {
    let text = r#"(module (@custom "weir.dev/guest" "about") (@custom ".debug_line" "places") (func (export "f")))"#;
    let module = wat::parse_str(text).unwrap();
    let packed = pack(&module, &with_fuel(5000)).unwrap();
    let customs: Vec<_> = wasmparser::Parser::new(0)
        .parse_all(&packed)
        .filter_map(|payload| match payload.unwrap() {
            wasmparser::Payload::CustomSection(section) => Some((section.name().to_owned(), section.data().to_vec())),
            _ => None,
        })
        .collect();
    let expected = [("weir.dev/guest", &b"about"[..]), ("weir.metering", br#"{"version":1,"fuelPerCall":5000}"#)];
    assert_eq!(customs, expected.map(|(name, data)| (name.to_owned(), data.to_vec())));
    assert_eq!((fuel_per_call(&packed), fuel_per_call(&module)), (Ok(Some(5000)), Ok(None)));
    assert_eq!(packed, pack(&module, &with_fuel(5000)).unwrap());
}

fn refused(text: &str) -> String {
    refused_with(text, Settings::default())
}

fn refused_with(text: &str, settings: Settings) -> String {
    pack(&wat::parse_str(text).unwrap(), &settings).unwrap_err().to_string()
}

#[test]
fn what_cannot_be_bounded_is_refused_with_what_to_do() {
    let packed = pack(&wat::parse_str("(module)").unwrap(), &Settings::default()).unwrap();
    assert_eq!(pack(&packed, &Settings::default()), Err(Error::Packed(FUEL_PER_CALL)));
    assert_eq!(
        refused(r#"(module (import "env" "memory" (memory 1)))"#),
        "the module imports the memory \"env.memory\"; a plugin may import functions only"
    );
    assert_eq!(
        refused("(module (memory 257))"),
        "the module begins with 257 pages of memory and may have 256; give it less, or raise the limit"
    );
    assert_eq!(
        refused("(module (table 65537 funcref))"),
        "a table of the module begins with 65537 entries; at most 65536 are possible"
    );
    assert!(refused(r#"(module (func (export "weir_out_of_fuel")))"#).ends_with("rename that export"));
    assert!(
        refused_with("(module)", with_fuel(0)).starts_with("0 is not possible as the fuel of a call; expected 1 to")
    );
    assert!(refused_with("(module)", with_fuel(u64::MAX)).contains("is not possible"));
    assert_eq!(refused(r#"(module (@custom "weir.metering" "{\"version\":2}"))"#), Error::Section.to_string());
}

#[test]
fn the_address_of_a_host_function_is_refused_wherever_it_is_taken() {
    let host = r#"(import "host" "call" (func $h))"#;
    for taken in [
        "(table 1 funcref) (elem (i32.const 0) $h)",
        "(table 1 funcref) (elem (i32.const 0) funcref (ref.func $h))",
        "(global funcref (ref.func $h))",
        r#"(export "h" (func $h)) (func (drop (ref.func $h)))"#,
    ] {
        assert_eq!(
            refused(&format!("(module {host} {taken})")),
            "the module takes the address of the host function \"host.call\"; call it from a function of the module, and \
             take the address of that",
            "{taken}"
        );
    }
}

#[test]
fn bytes_that_are_no_module_are_refused_with_the_place() {
    let module = wat::parse_str(r#"(module (func (export "f") (result i32) (i32.const 1)))"#).unwrap();
    let refusals = (0..module.len()).filter_map(|length| pack(&module[..length], &Settings::default()).err());
    let mut count = 0;
    for error in refusals {
        assert!(matches!(&error, Error::Invalid(why) if why.contains("at offset")), "{error}");
        count += 1;
    }
    // The header alone is a module, and so is what ends where a section ends, as long as all functions have code.
    assert!(count > module.len() - 5, "{count} of {}", module.len());
    let threads = refused("(module (memory 1 1 shared))");
    assert!(threads.contains("threads must be enabled"), "{threads}");
}
