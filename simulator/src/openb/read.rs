//! Reads the trace's CSV files. The header names the columns, so a file with more or fewer of the
//! optional ones can be read as well; an error names file, line and column.

use std::fs::File;
use std::path::{Path, PathBuf};

use csv::StringRecord;

use super::trace::{TraceNode, TracePod};

/// An error in a trace file.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The file cannot be opened.
    #[error("{}: cannot be read: {source}", file.display())]
    Open {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// The file is not CSV at this place (a line with too few fields, bytes that are not UTF-8).
    #[error("{}: {source}", file.display())]
    Csv {
        /// The file.
        file: PathBuf,
        /// The reason, with the line.
        source: csv::Error,
    },
    /// A required column is missing.
    #[error("{}: line 1: no column {column:?}; the header must name it", file.display())]
    NoColumn {
        /// The file.
        file: PathBuf,
        /// The column that was looked for.
        column: &'static str,
    },
    /// A field with an impossible value.
    #[error("{}: line {line}, column {column:?}: {value:?} {problem}", file.display())]
    Field {
        /// The file.
        file: PathBuf,
        /// Counted from 1; the header is line 1.
        line: u64,
        /// The column's header.
        column: &'static str,
        /// The field's text.
        value: String,
        /// The problem, as the end of a sentence.
        problem: &'static str,
    },
}

/// Reads a node list: columns `sn`, `cpu_milli`, `memory_mib`, `gpu`, and `model` where there is one.
///
/// # Errors
/// The first thing that is wrong, with file, line and column.
pub fn read_nodes(file: &Path) -> Result<Vec<TraceNode>, TraceError> {
    let table = Table::open(file)?;
    let [name, cpu, memory, gpus] = ["sn", "cpu_milli", "memory_mib", "gpu"].map(|column| table.column(column));
    let (name, cpu, memory, gpus) = (name?, cpu?, memory?, gpus?);
    let model = table.column("model").ok();
    table.rows(|row| {
        Ok(TraceNode {
            name: row.name(name)?,
            cpu_milli: row.count(cpu)?,
            memory_mib: row.count(memory)?,
            gpus: row.count(gpus)?,
            model: model.map(|column| row.text(column)).filter(|model| !model.is_empty()).map(Into::into),
        })
    })
}

/// Reads a pod list: columns `name`, `cpu_milli`, `memory_mib`, `num_gpu`, `gpu_milli`, and optionally
/// `gpu_spec` (models separated by `|`), `creation_time`, `deletion_time`.
///
/// # Errors
/// The first thing that is wrong, with file, line and column.
pub fn read_pods(file: &Path) -> Result<Vec<TracePod>, TraceError> {
    let table = Table::open(file)?;
    let [name, cpu, memory, gpus, gpu_milli] =
        ["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"].map(|column| table.column(column));
    let (name, cpu, memory, gpus, gpu_milli) = (name?, cpu?, memory?, gpus?, gpu_milli?);
    let [models, created, deleted] =
        ["gpu_spec", "creation_time", "deletion_time"].map(|column| table.column(column).ok());
    table.rows(|row| {
        let pod = TracePod {
            name: row.name(name)?,
            cpu_milli: row.count(cpu)?,
            memory_mib: row.count(memory)?,
            gpus: row.count(gpus)?,
            gpu_milli: row.count(gpu_milli)?,
            models: models.map(|column| row.alternatives(column)).unwrap_or_default(),
            created: created.map(|column| row.time(column)).transpose()?.flatten(),
            deleted: deleted.map(|column| row.time(column)).transpose()?.flatten(),
        };
        if pod.gpu_milli > 1000 || (pod.gpus > 0 && pod.gpu_milli == 0) {
            return Err(row.wrong(gpu_milli, "is not between 1 and 1000 thousandths of a GPU"));
        }
        match (pod.deleted, deleted) {
            (Some(end), Some(column)) if pod.created.is_some_and(|start| end < start) => {
                Err(row.wrong(column, "is before the pod's creation_time"))
            }
            _ => Ok(pod),
        }
    })
}

/// A CSV file whose header is known.
struct Table {
    file: PathBuf,
    reader: csv::Reader<File>,
    header: StringRecord,
}

/// A column: its header and its position.
#[derive(Clone, Copy)]
struct Column {
    header: &'static str,
    at: usize,
}

impl Table {
    fn open(file: &Path) -> Result<Self, TraceError> {
        let opened = File::open(file).map_err(|source| TraceError::Open { file: file.into(), source })?;
        let mut reader = csv::Reader::from_reader(opened);
        let header = reader.headers().map_err(|source| TraceError::Csv { file: file.into(), source })?.clone();
        Ok(Self { file: file.into(), reader, header })
    }

    fn column(&self, header: &'static str) -> Result<Column, TraceError> {
        let at = self.header.iter().position(|name| name.trim() == header);
        at.map(|at| Column { header, at })
            .ok_or_else(|| TraceError::NoColumn { file: self.file.clone(), column: header })
    }

    fn rows<T>(mut self, parse: impl Fn(Row<'_>) -> Result<T, TraceError>) -> Result<Vec<T>, TraceError> {
        let file = &self.file;
        self.reader
            .records()
            .map(|record| {
                let record = record.map_err(|source| TraceError::Csv { file: file.clone(), source })?;
                parse(Row { file, record: &record })
            })
            .collect()
    }
}

struct Row<'a> {
    file: &'a Path,
    record: &'a StringRecord,
}

impl Row<'_> {
    /// The reader refuses lines that are shorter than the header, so the field is there.
    fn text(&self, column: Column) -> &str {
        self.record.get(column.at).unwrap_or_default().trim()
    }

    fn name(&self, column: Column) -> Result<String, TraceError> {
        match self.text(column) {
            "" => Err(self.wrong(column, "is no name")),
            name => Ok(name.into()),
        }
    }

    fn count(&self, column: Column) -> Result<i64, TraceError> {
        let count = self.text(column).parse().ok().filter(|&count: &i64| count >= 0);
        count.ok_or_else(|| self.wrong(column, "is not a whole number of 0 or more"))
    }

    fn time(&self, column: Column) -> Result<Option<i64>, TraceError> {
        match self.text(column) {
            "" => Ok(None),
            _ => self.count(column).map(Some),
        }
    }

    fn alternatives(&self, column: Column) -> Vec<String> {
        let names: std::collections::BTreeSet<_> =
            self.text(column).split('|').map(str::trim).filter(|name| !name.is_empty()).collect();
        names.into_iter().map(Into::into).collect()
    }

    fn wrong(&self, column: Column, problem: &'static str) -> TraceError {
        TraceError::Field {
            file: self.file.into(),
            line: self.record.position().map_or(0, csv::Position::line),
            column: column.header,
            value: self.text(column).into(),
            problem,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn written(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn refusal(text: &str) -> String {
        let file = written(text);
        let said = read_pods(file.path()).unwrap_err().to_string();
        said.replace(&file.path().display().to_string(), "FILE")
    }

    #[test]
    fn the_trace_has_the_nodes_and_gpus_that_its_notice_states() {
        let nodes = read_nodes(&super::super::folder().join("openb_node_list_all_node.csv")).unwrap();
        assert_eq!(nodes.len(), 1523);
        assert_eq!(nodes.iter().filter(|node| node.gpus == 0).count(), 310);
        assert_eq!(nodes.iter().map(|node| node.gpus).sum::<i64>(), 6212);
        assert!(nodes.iter().all(|node| node.model.is_some() == (node.gpus > 0)));
    }

    #[test]
    fn alternatives_are_sorted_and_stand_once() {
        let pods = read_pods(&super::super::folder().join("openb_pod_list_gpuspec33.csv")).unwrap();
        assert_eq!(pods.len(), 8152);
        let wanted = ["V100M16", "V100M32"];
        // 141 as V100M16|V100M32 and 22 where one of them stands twice
        assert_eq!(pods.iter().filter(|pod| pod.models == wanted).count(), 163);
    }

    #[test]
    fn optional_columns_may_be_missing() {
        let file = written("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1000,2048,1,500\n");
        let pods = read_pods(file.path()).unwrap();
        assert!(pods[0].is_fractional() && pods[0].models.is_empty() && pods[0].created.is_none());
    }

    #[test]
    fn a_malformed_line_is_named_with_its_field() {
        let header = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,creation_time,deletion_time\n";
        let cases = [
            (
                "a,1000,2048,1,500,0,1\nb,12x,1,0,0,0,1\n",
                "FILE: line 3, column \"cpu_milli\": \"12x\" is not a whole number of 0 or more",
            ),
            ("a,-1,2048,1,500,0,1\n", "FILE: line 2, column \"cpu_milli\": \"-1\" is not a whole number of 0 or more"),
            (
                "a,1,2048,1,1500,0,1\n",
                "FILE: line 2, column \"gpu_milli\": \"1500\" is not between 1 and 1000 thousandths of a GPU",
            ),
            ("a,1,2048,1,500,9,1\n", "FILE: line 2, column \"deletion_time\": \"1\" is before the pod's creation_time"),
        ];
        for (rows, said) in cases {
            assert_eq!(refusal(&format!("{header}{rows}")), said);
        }
    }

    #[test]
    fn a_header_without_a_needed_column_says_which() {
        assert_eq!(
            refusal("name,cpu_milli,memory_mib,num_gpu\na,1,1,1\n"),
            "FILE: line 1: no column \"gpu_milli\"; the header must name it"
        );
    }

    #[test]
    fn a_short_line_is_named() {
        let said = refusal("name,cpu_milli,memory_mib,num_gpu,gpu_milli\na,1,1\n");
        assert!(said.contains("line: 2") && said.contains("found record with 3 fields"), "{said}");
    }
}
