//! Rows in canonical form, a page at a time: what `changes.canonical_pages` does, several times faster.

use pyo3::exceptions::{PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyList, PyString};
use xxhash_rust::xxh64::xxh64;

use crate::canonical::{boolean, double, field, integer, text, Kind};

struct Column {
    name: String,
    kind: Kind,
    /// What Python calls it.
    python: Py<PyAny>,
    /// The name with its length; `head` has the tag too.
    plain: Vec<u8>,
    head: Vec<u8>,
}

/// For pages of one column list; see `changes.canonical_pages.Writer`.
#[pyclass(frozen, module = "tailrace_native")]
pub struct PageWriter {
    columns: Vec<Column>,
    /// (kind, value, lenient) to (tag, body): `changes.canonical.field`.
    other: Py<PyAny>,
    lenient: bool,
}

#[pymethods]
impl PageWriter {
    /// `columns` are (name, kind, tag).
    #[new]
    fn new(columns: Vec<(String, Bound<'_, PyAny>, Vec<u8>)>, other: Py<PyAny>, lenient: bool) -> PyResult<PageWriter> {
        let mut made = Vec::with_capacity(columns.len());
        for (name, kind, tag) in columns {
            let plain = format!("{}:{name}", name.len()).into_bytes();
            let head = [plain.as_slice(), tag.as_slice()].concat();
            let what = Kind::named(kind.extract::<&str>()?);
            made.push(Column { name, kind: what, python: kind.unbind(), plain, head });
        }
        Ok(PageWriter { columns: made, other, lenient })
    }

    /// `values` are sequences that go with the columns, each has one for each row.
    fn page(&self, values: &Bound<'_, PyAny>) -> PyResult<Page> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for some in values.try_iter()? {
            let Some(column) = self.columns.get(fields.len()) else { return uneven() };
            let some = some?;
            let list = match some.downcast::<PyList>() {
                Ok(list) => list.clone(),
                Err(_) => PyList::new(some.py(), some.try_iter()?.collect::<PyResult<Vec<_>>>()?)?,
            };
            fields.push((column.name.clone(), self.fields(column, &list)?));
        }
        let rows = fields.first().map_or(0, |(_, fields)| fields.ends.len());
        if fields.len() != self.columns.len() || fields.iter().any(|(_, fields)| fields.ends.len() != rows) {
            return uneven();
        }
        Ok(Page { fields, rows })
    }
}

fn uneven<T>() -> PyResult<T> {
    Err(PyValueError::new_err("each column has a value for each row"))
}

impl PageWriter {
    fn fields(&self, column: &Column, values: &Bound<'_, PyList>) -> PyResult<Fields> {
        let mut out = Fields { bytes: Vec::with_capacity(values.len() * 32), ends: Vec::with_capacity(values.len()) };
        for value in values.iter() {
            if !value.is_none() && !known(&mut out.bytes, column, &value) {
                let told = self.other.bind(value.py()).call1((&column.python, &value, self.lenient))?;
                let (tag, body): (Bound<'_, PyBytes>, Bound<'_, PyBytes>) = told.extract()?;
                let head = [column.plain.as_slice(), tag.as_bytes()].concat();
                field(&mut out.bytes, &head, body.as_bytes());
            }
            out.ends.push(out.bytes.len());
        }
        Ok(out)
    }
}

/// Whether the value was written; what is not of the one type that its kind is usually held in is left to Python.
fn known(out: &mut Vec<u8>, column: &Column, value: &Bound<'_, PyAny>) -> bool {
    let head = &column.head;
    match column.kind {
        Kind::Other => return false,
        Kind::Integer => match value.downcast_exact::<PyInt>().map(|number| number.extract::<i64>()) {
            Ok(Ok(number)) => integer(out, head, number),
            _ => return false,
        },
        Kind::Boolean => match value.downcast_exact::<PyBool>() {
            Ok(truth) => boolean(out, head, truth.is_true()),
            Err(_) => return false,
        },
        Kind::Double => match value.downcast_exact::<PyFloat>() {
            Ok(number) => double(out, head, number.value()),
            Err(_) => return false,
        },
        kind => {
            let Ok(Ok(chars)) = value.downcast_exact::<PyString>().map(|chars| chars.to_str()) else { return false };
            return text(out, head, kind, chars);
        }
    }
    true
}

/// What a column adds to each row: nothing where its value is NULL.
struct Fields {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Fields {
    fn of(&self, row: usize) -> &[u8] {
        let begun = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.bytes[begun..self.ends[row]]
    }
}

/// See `changes.canonical_pages.Page`.
#[pyclass(frozen, module = "tailrace_native")]
pub struct Page {
    fields: Vec<(String, Fields)>,
    rows: usize,
}

#[pymethods]
impl Page {
    fn rows<'py>(&self, py: Python<'py>, names: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let made = self.each(names, |row| PyBytes::new(py, row))?;
        PyList::new(py, made)
    }

    fn hashes(&self, names: &Bound<'_, PyAny>) -> PyResult<Vec<u64>> {
        self.each(names, |row| xxh64(row, 0))
    }
}

impl Page {
    /// Something of each row's bytes.
    fn each<T>(&self, names: &Bound<'_, PyAny>, made: impl Fn(&[u8]) -> T) -> PyResult<Vec<T>> {
        let mut names = names.try_iter()?.map(|name| name?.extract::<String>()).collect::<PyResult<Vec<_>>>()?;
        names.sort_unstable();
        let mut picked = Vec::with_capacity(names.len());
        for name in names {
            match self.fields.iter().find(|(other, _)| *other == name) {
                Some((_, fields)) => picked.push(fields),
                None => return Err(PyKeyError::new_err(name)),
            }
        }
        let mut bytes = Vec::new();
        let rows = 0..self.rows;
        Ok(rows
            .map(|row| {
                bytes.clear();
                picked.iter().for_each(|fields| bytes.extend_from_slice(fields.of(row)));
                made(&bytes)
            })
            .collect())
    }
}
