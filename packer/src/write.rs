//! The packed module, section by section: the items of the module, and behind them those that packing adds.

use std::borrow::Cow;

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{
    CodeSection, ConstExpr, CustomSection, ExportKind, ExportSection, FunctionSection, GlobalSection, GlobalType,
    MemorySection, MemoryType, Module, RawSection, SectionId, TableSection, TypeSection, ValType,
};
use wasmparser::ExternalKind;

use crate::body::{Added, Meter};
use crate::error::{Error, unexpected};
use crate::price::Limits;
use crate::read::Parts;
use crate::settings::{OUT_OF_FUEL, SECTION, Settings};

/// Writes the module with its bounds.
pub(crate) fn packed(parts: &Parts<'_>, settings: &Settings) -> Result<Vec<u8>, Error> {
    let limits = parts.limits(settings)?;
    let entries = entries(parts);
    let (functions, globals) =
        (count(parts.functions.len()), parts.globals.as_ref().map_or(0, |globals| globals.count()));
    let added = Added {
        fuel: globals,
        out_of_fuel: globals + 1,
        give_up: functions,
        charge_by_size: functions + 1,
        first_entry: functions + 2,
    };
    let mut module = Module::new();
    module.section(&types(parts)?);
    copy(parts, SectionId::Import, &mut module);
    module.section(&function_types(parts, &entries));
    if !parts.tables.is_empty() {
        module.section(&tables(parts, &limits)?);
    }
    if let Some(memory) = &parts.memory {
        module.section(&bounded_memory(memory.initial, &limits));
    }
    let fuel = i64::try_from(settings.fuel_per_call).map_err(|_| Error::Fuel(settings.fuel_per_call))?;
    module.section(&all_globals(parts, fuel)?);
    module.section(&exports(parts, &entries, added));
    for section in [SectionId::Start, SectionId::Element, SectionId::DataCount] {
        copy(parts, section, &mut module);
    }
    let host_functions = count(parts.host_functions.len());
    let meter = Meter { module: parts.module, host_functions, limits, added };
    module.section(&code(parts, &entries, &meter, fuel)?);
    copy(parts, SectionId::Data, &mut module);
    customs(parts, settings, &mut module);
    Ok(module.finish())
}

/// The functions that are exported, each once, in the order of their exports.
fn entries(parts: &Parts<'_>) -> Vec<u32> {
    let mut entries = Vec::new();
    for export in parts.exports.iter().filter(|export| export.kind == ExternalKind::Func) {
        if !entries.contains(&export.index) {
            entries.push(export.index);
        }
    }
    entries
}

fn copy(parts: &Parts<'_>, section: SectionId, module: &mut Module) {
    if let Some(data) = parts.copied(section) {
        module.section(&RawSection { id: section as u8, data });
    }
}

/// The module's types, and behind them those of the two functions that every packed module has.
fn types(parts: &Parts<'_>) -> Result<TypeSection, Error> {
    let mut section = TypeSection::new();
    for kind in &parts.types {
        section.ty().func_type(&RoundtripReencoder.func_type(kind.clone()).map_err(|error| unexpected(&error))?);
    }
    section.ty().function([], []);
    section.ty().function([ValType::I32, ValType::I32, ValType::I64], [ValType::I32]);
    Ok(section)
}

fn function_types(parts: &Parts<'_>, entries: &[u32]) -> FunctionSection {
    let mut section = FunctionSection::new();
    for kind in &parts.functions[parts.host_functions.len()..] {
        section.function(*kind);
    }
    let first = count(parts.types.len());
    section.function(first).function(first + 1);
    for entry in entries {
        section.function(parts.functions[*entry as usize]);
    }
    section
}

fn tables(parts: &Parts<'_>, limits: &Limits) -> Result<TableSection, Error> {
    let mut section = TableSection::new();
    for (table, most) in parts.tables.iter().zip(&limits.tables) {
        let mut table = RoundtripReencoder.table_type(*table).map_err(|error| unexpected(&error))?;
        table.maximum = Some(u64::from(*most));
        section.table(table);
    }
    Ok(section)
}

fn bounded_memory(initial: u64, limits: &Limits) -> MemorySection {
    let mut section = MemorySection::new();
    section.memory(MemoryType {
        minimum: initial,
        maximum: Some(u64::from(limits.memory)),
        memory64: false,
        shared: false,
        page_size_log2: None,
    });
    section
}

/// The module's globals and the two that are added. A start function runs before any export is called, so there is
/// fuel from the beginning.
fn all_globals(parts: &Parts<'_>, fuel: i64) -> Result<GlobalSection, Error> {
    let mut section = GlobalSection::new();
    if let Some(globals) = &parts.globals {
        RoundtripReencoder.parse_global_section(&mut section, globals.clone()).map_err(|error| unexpected(&error))?;
    }
    let variable = |val_type| GlobalType { val_type, mutable: true, shared: false };
    section.global(variable(ValType::I64), &ConstExpr::i64_const(fuel));
    section.global(variable(ValType::I32), &ConstExpr::i32_const(0));
    Ok(section)
}

fn exports(parts: &Parts<'_>, entries: &[u32], added: Added) -> ExportSection {
    let mut section = ExportSection::new();
    for export in &parts.exports {
        let (kind, index) = match export.kind {
            ExternalKind::Func => {
                let entry = entries.iter().position(|entry| *entry == export.index).unwrap_or_default();
                (ExportKind::Func, added.first_entry + count(entry))
            }
            ExternalKind::Table => (ExportKind::Table, export.index),
            ExternalKind::Memory => (ExportKind::Memory, export.index),
            ExternalKind::Global => (ExportKind::Global, export.index),
            ExternalKind::Tag => (ExportKind::Tag, export.index),
        };
        section.export(export.name, kind, index);
    }
    section.export(OUT_OF_FUEL, ExportKind::Global, added.out_of_fuel);
    section
}

fn code(parts: &Parts<'_>, entries: &[u32], meter: &Meter<'_>, fuel: i64) -> Result<CodeSection, Error> {
    let mut section = CodeSection::new();
    let own = parts.functions.iter().skip(parts.host_functions.len());
    for (kind, body) in own.zip(&parts.bodies) {
        section.function(&meter.metered(body, params(parts, *kind), |function| parts.refers_to(function))?);
    }
    section.function(&meter.give_up()).function(&meter.charge_by_size());
    for entry in entries {
        let params = params(parts, parts.functions[*entry as usize]);
        section.function(&meter.entry(*entry, params, fuel));
    }
    Ok(section)
}

fn params(parts: &Parts<'_>, kind: u32) -> u32 {
    parts.types.get(kind as usize).map_or(0, |kind| count(kind.params().len()))
}

/// The module's custom sections, and the one that says that it is packed. Debug sections are left out, because their
/// offsets are no longer right.
fn customs(parts: &Parts<'_>, settings: &Settings, module: &mut Module) {
    for (name, data) in parts.customs.iter().filter(|(name, _)| !name.starts_with(".debug_")) {
        module.section(&CustomSection { name: Cow::Borrowed(name), data: Cow::Borrowed(data) });
    }
    let says = format!(r#"{{"version":1,"fuelPerCall":{}}}"#, settings.fuel_per_call);
    module.section(&CustomSection { name: Cow::Borrowed(SECTION), data: Cow::Owned(says.into_bytes()) });
}

/// A number of items as an index; a valid module has far fewer of any kind than fit.
fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
