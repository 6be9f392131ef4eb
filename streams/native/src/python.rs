//! The decoder as Python sees it.

use std::collections::HashMap;
use std::sync::Arc;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::batch::Batch;
use crate::charset::Charset;
use crate::decoder::{Decoder, Said, Settings, Statement};
use crate::failure::{broken, Result};
use crate::history::History;
use crate::layout::{Column, Layout};
use crate::value::{checked, Reader as ValueReader};

/// Bytes of the dump connection in, batches out. For one thread at a time.
#[pyclass(module = "tailrace_native")]
pub struct Reader {
    decoder: Decoder,
    charsets: HashMap<String, Arc<Charset>>,
}

#[pymethods]
impl Reader {
    /// `executed` counts the transactions executed; `partial` is (GTID, rows by table) of a half-written one.
    #[new]
    #[pyo3(signature = (*, version, database, tables, mariadb, epoch, executed, position, file, offset, partial,
                        full, largest_message, largest_held))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        version: String,
        database: String,
        tables: Vec<String>,
        mariadb: bool,
        epoch: u64,
        executed: u64,
        position: u64,
        file: String,
        offset: u64,
        partial: Option<(String, HashMap<String, u64>)>,
        full: usize,
        largest_message: usize,
        largest_held: usize,
    ) -> Reader {
        let partial = partial
            .map(|(gtid, rows)| (gtid, tables.iter().map(|table| rows.get(table).copied().unwrap_or(0)).collect()));
        let history = History::new(epoch, mariadb, executed, position, (file, offset), tables.len(), partial);
        let settings = Settings { version, database, tables, full, largest_message, largest_held };
        Reader { decoder: Decoder::new(settings, history), charsets: HashMap::new() }
    }

    /// Take in bytes as they came from the connection.
    fn feed(&mut self, py: Python<'_>, data: PyBuffer<u8>) -> PyResult<()> {
        let Some(cells) = data.as_slice(py) else {
            return Err(PyValueError::new_err("bytes in one piece are wanted"));
        };
        // SAFETY: a `ReadOnlyCell<u8>` is laid out as a `u8`, and nothing else runs while the lock is held.
        let bytes = unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<u8>(), cells.len()) };
        self.decoder.feed(bytes);
        Ok(())
    }

    /// "hungry", "full", "asks", "holds" or "ended"; see `Said`. Raises `ValueError` for bytes that are no events.
    fn decode(&mut self, py: Python<'_>, now_ms: u64) -> PyResult<&'static str> {
        let decoder = &mut self.decoder;
        Ok(match py.detach(|| decoder.decode(now_ms))? {
            Said::Hungry => "hungry",
            Said::Full => "full",
            Said::Asks => "asks",
            Said::Holds => "holds",
            Said::Ended => "ended",
        })
    }

    fn take(&mut self) -> Option<Batch> {
        self.decoder.take()
    }

    #[getter]
    fn question<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.decoder.question().map(|event| PyBytes::new(py, event))
    }

    #[getter]
    fn inside(&self) -> bool {
        self.decoder.inside()
    }

    /// Whether the transaction under way has told rows of captured tables.
    #[getter]
    fn touched(&self) -> bool {
        self.decoder.touched()
    }

    /// Give out nothing before the transaction under way has ended.
    fn hold(&mut self) {
        self.decoder.hold();
    }

    #[getter]
    fn gtid(&self) -> &str {
        &self.decoder.history.gtid
    }

    /// (file, offset) of the event that is read, or asked about.
    #[getter]
    fn place(&self) -> (String, u64) {
        (self.decoder.history.file.clone(), self.decoder.history.offset)
    }

    fn decide(&mut self, statement: &str) -> PyResult<()> {
        let statement = match statement {
            "begin" => Statement::Begin,
            "end" => Statement::End,
            "ddl" => Statement::Ddl,
            "nothing" => Statement::Nothing,
            "xa" => Statement::Xa,
            _ => return Err(PyValueError::new_err("a statement begins, ends, is DDL, XA, or nothing")),
        };
        Ok(self.decoder.decide(statement)?)
    }

    fn unfolded(&mut self, body: Vec<u8>) -> PyResult<()> {
        Ok(self.decoder.unfolded(body)?)
    }

    /// How the character set `name` is read; see `Charset::new`.
    fn add_charset(&mut self, name: String, tables: Option<Vec<Vec<u32>>>, decode: Py<PyAny>) -> PyResult<()> {
        self.charsets.insert(name, Arc::new(Charset::new(tables, decode)?));
        Ok(())
    }

    fn has_charset(&self, name: &str) -> bool {
        self.charsets.contains_key(name)
    }

    /// Answer a table map: `columns` are (name, form, kept) in table order, `key` column indexes in key order. A form
    /// is (what, sizes…) as `streams.binlog.values` makes it, character sets by name. The layout's number.
    fn add_layout(
        &mut self,
        table: &str,
        columns: Vec<(String, Bound<'_, PyTuple>, bool)>,
        key: Vec<usize>,
    ) -> PyResult<u32> {
        let settings = self.decoder.settings();
        let Some(index) = settings.tables.iter().position(|name| name == table) else {
            return Err(PyValueError::new_err("no such table is declared"));
        };
        if key.iter().any(|&column| columns.get(column).is_none_or(|(_, _, kept)| !kept)) {
            return Err(PyValueError::new_err("the key has a column that is not kept"));
        }
        let mut made = Vec::with_capacity(columns.len());
        let mut names = Vec::with_capacity(columns.len());
        for (name, form, kept) in columns {
            made.push(Column::new(&name, self.reader(&form)?, kept));
            names.push(name);
        }
        let place = (settings.version.clone(), settings.database.clone());
        Ok(self
            .decoder
            .add_layout(|number| Layout::new(number, index, (&place.0, &place.1, table), &names, made, key))?)
    }
}

impl Reader {
    fn reader(&self, form: &Bound<'_, PyTuple>) -> PyResult<ValueReader> {
        let number = |at: usize| -> PyResult<usize> { form.get_item(at)?.extract() };
        let members = |at: usize| -> PyResult<Vec<Vec<u8>>> {
            Ok(form.get_item(at)?.extract::<Vec<String>>()?.into_iter().map(String::into_bytes).collect())
        };
        let what: String = form.get_item(0)?.extract()?;
        let reader = match what.as_str() {
            "integer" => ValueReader::Integer(number(1)?, form.get_item(2)?.extract()?),
            "floating" => ValueReader::Floating(number(1)?),
            "decimal" => ValueReader::Decimal(number(1)?, number(2)?, number(3)?),
            "text" => ValueReader::Text(number(1)?, self.charset(&form.get_item(2)?.extract::<String>()?)?),
            "blob" => ValueReader::Blob(number(1)?, number(2)?),
            "json" => ValueReader::Json(number(1)?),
            "enum" => ValueReader::Enum(number(1)?, members(2)?),
            "set" => ValueReader::Set(number(1)?, members(2)?),
            "bit" => ValueReader::Bit(number(1)?),
            "year" => ValueReader::Year,
            "date" => ValueReader::Date,
            "time" => ValueReader::Time(number(1)?),
            "datetime" => ValueReader::Datetime(number(1)?),
            "timestamp" => ValueReader::Timestamp(number(1)?),
            _ => return Err(PyValueError::new_err(format!("no column is read as `{what}`"))),
        };
        Ok(checked(reader)?)
    }

    fn charset(&self, name: &str) -> Result<Arc<Charset>> {
        match self.charsets.get(name) {
            Some(charset) => Ok(Arc::clone(charset)),
            None => broken("a column has a character set that was not told"),
        }
    }
}
