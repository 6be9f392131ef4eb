//! Text columns: from the bytes of their character set to UTF-8.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure::{broken, Failure, Result};

/// A pair of bytes starts here.
pub const LEAD: u32 = u32::MAX;
/// No character has these bytes.
pub const NOTHING: u32 = u32::MAX - 1;

/// How one character set is read.
#[derive(Debug)]
pub enum Charset {
    Utf8,
    /// One character a byte: 256 code points, and whether the first 128 are ASCII.
    Single(Vec<u32>, bool),
    /// One or two bytes: 256 code points, `LEAD` among them, and 65,536 of pairs.
    Double(Vec<u32>, Vec<u32>),
    /// Anything else: Python's own codec, a callable from `bytes` to `str`.
    Python(Py<PyAny>),
}

impl Charset {
    /// `tables` hold code points: none for UTF-8, one for `Single`, two for `Double`.
    pub fn new(tables: Option<Vec<Vec<u32>>>, decode: Py<PyAny>) -> Result<Charset> {
        let Some(mut tables) = tables else { return Ok(Charset::Python(decode)) };
        match tables.iter().map(Vec::len).collect::<Vec<_>>()[..] {
            [] => Ok(Charset::Utf8),
            [256] => {
                let points = tables.remove(0);
                let ascii = points.iter().zip(0..128).all(|(&point, byte)| point == byte);
                Ok(Charset::Single(points, ascii))
            }
            [256, 65_536] => {
                let pairs = tables.remove(1);
                Ok(Charset::Double(tables.remove(0), pairs))
            }
            _ => broken("a character set has tables of other sizes"),
        }
    }

    /// Calls `use_` with the text.
    pub fn decode<T>(&self, data: &[u8], use_: impl FnOnce(&[u8]) -> T) -> Result<T> {
        match self {
            Charset::Utf8 => {
                if std::str::from_utf8(data).is_err() {
                    return broken("text is not UTF-8");
                }
                Ok(use_(data))
            }
            Charset::Single(points, ascii) => {
                if *ascii && data.is_ascii() {
                    return Ok(use_(data));
                }
                let mut text = String::with_capacity(data.len() * 2);
                for &byte in data {
                    text.push(character(points[byte as usize])?);
                }
                Ok(use_(text.as_bytes()))
            }
            Charset::Double(points, pairs) => {
                let mut text = String::with_capacity(data.len() * 2);
                let mut bytes = data.iter();
                while let Some(&byte) = bytes.next() {
                    let mut point = points[byte as usize];
                    if point == LEAD {
                        point = match bytes.next() {
                            Some(&second) => pairs[usize::from(byte) << 8 | usize::from(second)],
                            None => NOTHING,
                        };
                    }
                    text.push(character(point)?);
                }
                Ok(use_(text.as_bytes()))
            }
            Charset::Python(decode) => Python::attach(|py| {
                let text = decode.call1(py, (PyBytes::new(py, data),)).map_err(Failure::Python)?;
                let text: String = text.extract(py).map_err(Failure::Python)?;
                Ok(use_(text.as_bytes()))
            }),
        }
    }
}

fn character(point: u32) -> Result<char> {
    match char::from_u32(point) {
        Some(character) => Ok(character),
        None => broken("text is not of its column's character set"),
    }
}
