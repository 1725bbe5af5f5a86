//! The parts of a module, and whether all of them can be bounded.

use std::ops::Range;

use wasm_encoder::SectionId;
use wasmparser::{
    ConstExpr, ElementItems, Export, FromReader, FuncType, FunctionBody, Global, GlobalSectionReader, MemoryType,
    Operator, Parser, Payload, SectionLimited, TableType, TypeRef, Validator, WasmFeatures,
};

use crate::error::{Error, invalid};
use crate::price::Limits;
use crate::settings::{OUT_OF_FUEL, SECTION, Settings, TABLE_ENTRIES};

/// A valid module, taken apart.
#[derive(Default)]
pub(crate) struct Parts<'a> {
    pub(crate) module: &'a [u8],
    pub(crate) types: Vec<FuncType>,
    /// The functions that the host offers, as `module.name`; their numbers come first.
    pub(crate) host_functions: Vec<String>,
    /// The type of each function, those of the host first.
    pub(crate) functions: Vec<u32>,
    pub(crate) tables: Vec<TableType>,
    pub(crate) memory: Option<MemoryType>,
    pub(crate) globals: Option<GlobalSectionReader<'a>>,
    pub(crate) exports: Vec<Export<'a>>,
    pub(crate) bodies: Vec<FunctionBody<'a>>,
    /// Custom sections: name and content.
    pub(crate) customs: Vec<(&'a str, &'a [u8])>,
    /// The contents of the sections that are copied as they are: imports, start, elements, data count and data.
    copied: Vec<(SectionId, &'a [u8])>,
}

impl<'a> Parts<'a> {
    /// Takes a module apart, if it is one.
    pub(crate) fn read(module: &'a [u8]) -> Result<Self, Error> {
        // The features of kube-scheduler-wasm-extension's runtime, which would refuse any other later.
        let mut validator = Validator::new_with_features(WasmFeatures::WASM2);
        validator.validate_all(module).map_err(|error| invalid(&error))?;
        let mut parts = Parts { module, ..Parts::default() };
        for payload in Parser::new(0).parse_all(module) {
            parts.take(payload.map_err(|error| invalid(&error))?)?;
        }
        Ok(parts)
    }

    /// The fuel of each call, if the module is packed.
    pub(crate) fn fuel_per_call(&self) -> Result<Option<u64>, Error> {
        let Some((_, content)) = self.customs.iter().find(|(name, _)| *name == SECTION) else { return Ok(None) };
        let text = str::from_utf8(content).ok();
        let fuel =
            text.and_then(|text| text.strip_prefix(r#"{"version":1,"fuelPerCall":"#)?.strip_suffix('}')?.parse().ok());
        fuel.map(Some).ok_or(Error::Section)
    }

    /// The sizes to which memory and tables may grow, if everything in the module can be bounded.
    pub(crate) fn limits(&self, settings: &Settings) -> Result<Limits, Error> {
        let Settings { fuel_per_call: _, memory_pages: most } = *settings;
        if self.exports.iter().any(|export| export.name == OUT_OF_FUEL) {
            return Err(Error::Reserved);
        }
        let memory = match &self.memory {
            Some(memory) if memory.initial > u64::from(most) => {
                return Err(Error::Memory { initial: memory.initial, most });
            }
            Some(memory) => lower(memory.maximum, most),
            None => 0,
        };
        if let Some(large) = self.tables.iter().find(|table| table.initial > u64::from(TABLE_ENTRIES)) {
            return Err(Error::Table(large.initial));
        }
        let tables = self.tables.iter().map(|table| lower(table.maximum, TABLE_ENTRIES)).collect();
        Ok(Limits { memory, tables })
    }

    /// The content of a section that is copied.
    pub(crate) fn copied(&self, section: SectionId) -> Option<&'a [u8]> {
        self.copied.iter().find(|(id, _)| *id == section).map(|(_, content)| *content)
    }

    /// Refuses a reference to a host function.
    pub(crate) fn refers_to(&self, function: u32) -> Result<(), Error> {
        match self.host_functions.get(function as usize) {
            Some(name) => Err(Error::HostFunctionAddress(name.clone())),
            None => Ok(()),
        }
    }

    fn take(&mut self, payload: Payload<'a>) -> Result<(), Error> {
        match payload {
            Payload::TypeSection(section) => {
                let types = section.into_iter_err_on_gc_types().collect::<Result<_, _>>();
                self.types = types.map_err(|error| invalid(&error))?;
            }
            Payload::ImportSection(section) => {
                self.copy(SectionId::Import, section.range());
                for import in all(section)? {
                    self.import(import.ty, format!("{}.{}", import.module, import.name))?;
                }
            }
            Payload::FunctionSection(section) => self.functions.extend(all(section)?),
            Payload::TableSection(section) => self.tables = all(section)?.into_iter().map(|table| table.ty).collect(),
            Payload::MemorySection(section) => self.memory = all(section)?.pop(),
            Payload::GlobalSection(section) => {
                for Global { ty: _, init_expr } in all(section.clone())? {
                    self.constant(&init_expr)?;
                }
                self.globals = Some(section);
            }
            Payload::ExportSection(section) => self.exports = all(section)?,
            Payload::StartSection { func: _, range } => self.copy(SectionId::Start, range),
            Payload::ElementSection(section) => {
                self.copy(SectionId::Element, section.range());
                for element in all(section)? {
                    self.elements(element.items)?;
                }
            }
            Payload::DataCountSection { count: _, range } => self.copy(SectionId::DataCount, range),
            Payload::CodeSectionEntry(body) => self.bodies.push(body),
            Payload::DataSection(section) => self.copy(SectionId::Data, section.range()),
            Payload::CustomSection(section) => self.customs.push((section.name(), section.data())),
            // The header, and the number of functions, which are counted anyway; a valid module has nothing else.
            _ => {}
        }
        Ok(())
    }

    fn copy(&mut self, section: SectionId, range: Range<usize>) {
        self.copied.push((section, &self.module[range]));
    }

    fn import(&mut self, kind: TypeRef, name: String) -> Result<(), Error> {
        let kind = match kind {
            TypeRef::Func(function) => {
                self.functions.push(function);
                self.host_functions.push(name);
                return Ok(());
            }
            TypeRef::Table(_) => "table",
            TypeRef::Memory(_) => "memory",
            TypeRef::Global(_) => "global",
            TypeRef::Tag(_) => "tag",
        };
        Err(Error::Import { kind, name })
    }

    fn elements(&self, items: ElementItems<'a>) -> Result<(), Error> {
        match items {
            ElementItems::Functions(functions) => {
                all(functions)?.into_iter().try_for_each(|function| self.refers_to(function))
            }
            ElementItems::Expressions(_, constants) => {
                all(constants)?.iter().try_for_each(|constant| self.constant(constant))
            }
        }
    }

    fn constant(&self, constant: &ConstExpr<'a>) -> Result<(), Error> {
        for operator in constant.get_operators_reader() {
            if let Operator::RefFunc { function_index } = operator.map_err(|error| invalid(&error))? {
                self.refers_to(function_index)?;
            }
        }
        Ok(())
    }
}

/// Everything that a section holds.
fn all<'a, T: FromReader<'a>>(section: SectionLimited<'a, T>) -> Result<Vec<T>, Error> {
    section.into_iter().collect::<Result<_, _>>().map_err(|error| invalid(&error))
}

/// The module's own limit if it has a lower one.
fn lower(own: Option<u64>, most: u32) -> u32 {
    own.and_then(|own| u32::try_from(own).ok()).map_or(most, |own| own.min(most))
}
