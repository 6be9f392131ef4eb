//! What one step of decoding hands over: records ready for Kafka, and where the stream stands behind them.

use std::ops::Range;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

/// One record. `value` is `None` for a tombstone; ranges are of the batch's bytes.
pub struct Message {
    pub layout: u32,
    pub table: u32,
    pub key: Range<usize>,
    pub value: Option<Range<usize>>,
    pub position: u64,
    pub hash: u64,
}

/// What one row's change does to its table: (key hash, row hash) that go and that come.
pub struct Change {
    pub layout: u32,
    pub before: Option<(u64, u64)>,
    pub after: Option<(u64, u64)>,
}

/// Transactions of one origin that ended, first and last included.
pub struct Finished {
    pub origin: String,
    pub first: u64,
    pub last: u64,
}

/// Records in binlog order, and the state behind the last of them.
#[pyclass(frozen, module = "tailrace_native")]
#[derive(Default)]
pub struct Batch {
    pub data: Vec<u8>,
    pub messages: Vec<Message>,
    pub changes: Vec<Change>,
    pub finished: Vec<Finished>,
    pub tables: Vec<String>,
    /// Layouts that messages were made by, in order of their first one.
    #[pyo3(get)]
    pub layouts: Vec<u32>,
    /// Rows whose changes are told here.
    #[pyo3(get)]
    pub rows: u64,
    /// Transactions executed before the one under way.
    #[pyo3(get)]
    pub ordinal: u64,
    #[pyo3(get)]
    pub position: u64,
    /// When the last whole transaction was committed, microseconds; 0 before the first.
    #[pyo3(get)]
    pub source_us: u64,
    #[pyo3(get)]
    pub file: String,
    #[pyo3(get)]
    pub offset: u64,
    /// Whether a transaction is under way.
    #[pyo3(get)]
    pub inside: bool,
    #[pyo3(get)]
    pub gtid: String,
    /// Whether the half-written transaction that reading began with is still to come.
    #[pyo3(get)]
    pub awaited: bool,
    /// Rows of the transaction under way that are in Kafka with this batch, by table.
    pub done: Vec<(usize, u64)>,
}

/// Buckets that a table's rows are counted by; see `changes.canonical`.
const BUCKETS: usize = 1024;

/// (bucket, rows, sum of the hashes' upper halves, and of their lower ones), more or less than before.
pub type Sum = (usize, i64, i64, i64);

impl Batch {
    /// What the changes of `layout` do to each bucket that they touch, in order of their numbers.
    pub fn sums(&self, layout: u32) -> Vec<Sum> {
        let mut sums: Vec<Option<Sum>> = vec![None; BUCKETS];
        let mut count = |(key, row): (u64, u64), sign: i64| {
            let bucket = (key % BUCKETS as u64) as usize;
            let sum = sums[bucket].get_or_insert((bucket, 0, 0, 0));
            sum.1 += sign;
            sum.2 += sign * (row >> 32) as i64;
            sum.3 += sign * (row & u64::from(u32::MAX)) as i64;
        };
        for change in self.changes.iter().filter(|change| change.layout == layout) {
            change.before.into_iter().for_each(|gone| count(gone, -1));
            change.after.into_iter().for_each(|come| count(come, 1));
        }
        sums.into_iter().flatten().collect()
    }

    /// How much it weighs in a Kafka transaction.
    pub fn weight(&self) -> usize {
        self.data.len() + self.messages.len() * 200
    }
}

#[pymethods]
impl Batch {
    fn __len__(&self) -> usize {
        self.messages.len()
    }

    /// Bytes, with what headers and keys take.
    #[getter]
    fn size(&self) -> usize {
        self.weight()
    }

    /// Transactions that ended: (origin, first, last).
    #[getter]
    fn finished<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.finished.iter().map(|ended| (ended.origin.as_str(), ended.first, ended.last)))
    }

    #[getter]
    fn done<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let done = PyDict::new(py);
        for &(table, rows) in &self.done {
            done.set_item(&self.tables[table], rows)?;
        }
        Ok(done)
    }

    /// The records from `start` to before `end`: (layout, key, value or None, position, row hash).
    fn messages<'py>(&self, py: Python<'py>, start: usize, end: usize) -> PyResult<Bound<'py, PyList>> {
        let end = end.min(self.messages.len());
        let told = self.messages[start.min(end)..end].iter().map(|message| {
            let value = message.value.clone().map(|range| PyBytes::new(py, &self.data[range]));
            let key = PyBytes::new(py, &self.data[message.key.clone()]);
            (message.layout, key, value, message.position, message.hash)
        });
        PyList::new(py, told.collect::<Vec<_>>())
    }

    /// Indexes of records whose value is larger than `largest` bytes.
    fn oversized(&self, largest: usize) -> Vec<usize> {
        let large = |message: &Message| message.value.as_ref().is_some_and(|value| value.len() > largest);
        self.messages.iter().enumerate().filter(|(_, message)| large(message)).map(|(index, _)| index).collect()
    }

    /// The keys of `table` that changed, each with its position.
    fn keys<'py>(&self, py: Python<'py>, table: &str) -> PyResult<Bound<'py, PyList>> {
        let told = self.messages.iter().filter(|message| self.tables[message.table as usize] == table);
        let told = told.map(|message| (PyBytes::new(py, &self.data[message.key.clone()]), message.position));
        PyList::new(py, told.collect::<Vec<_>>())
    }

    /// See `Batch::sums`.
    #[pyo3(name = "sums")]
    fn told_sums<'py>(&self, py: Python<'py>, layout: u32) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, py.detach(|| self.sums(layout)))
    }

    /// For each row, in order: (layout, key before, row before, key after, row after), each but the first a hash, `None`
    /// where there is no such row.
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let told = self.changes.iter().map(|Change { layout, before, after }| {
            (*layout, before.map(|it| it.0), before.map(|it| it.1), after.map(|it| it.0), after.map(|it| it.1))
        });
        PyList::new(py, told.collect::<Vec<_>>())
    }
}
