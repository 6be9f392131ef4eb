//! What reading the binlog can end in.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Why an event could not be turned into records.
#[derive(Debug)]
pub enum Failure {
    /// The bytes do not fit their layout: `ValueError` in Python.
    Broken(String),
    /// A setting of the server loses data: `changes.errors.Misconfigured` in Python.
    Misconfigured(String),
    /// What a codec of Python raised.
    Python(PyErr),
}

pub type Result<T> = std::result::Result<T, Failure>;

/// Bytes that do not fit their layout.
pub fn broken<T>(what: &str) -> Result<T> {
    Err(Failure::Broken(what.to_owned()))
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        match failure {
            Failure::Broken(what) => PyValueError::new_err(what),
            Failure::Python(error) => error,
            Failure::Misconfigured(what) => Python::attach(|py| {
                let raised = || -> PyResult<PyErr> {
                    let class = py.import("changes.errors")?.getattr("Misconfigured")?;
                    Ok(PyErr::from_value(class.call1((what.as_str(),))?))
                };
                raised().unwrap_or_else(|error| error)
            }),
        }
    }
}
