//! The native reader of Tailrace's capture: the same records as `streams.binlog` and `streams.capture.emit` make,
//! byte for byte, a batch at a time and without Python's lock; a producer that takes such batches; and the pages of
//! rows that audits digest, as `changes.canonical_pages` makes them.

mod batch;
mod bytes;
mod canonical;
mod charset;
mod decoder;
mod envelope;
mod events;
mod failure;
mod history;
mod input;
mod jsonb;
mod jsondiff;
mod jsontext;
mod layout;
mod librdkafka;
mod number;
mod outlet;
mod pages;
mod python;
mod text;
mod unfold;
mod value;

use pyo3::prelude::*;

/// What these sources hash to; see `streams.native`. Empty in a build by hand.
const SOURCES: &str = match option_env!("TAILRACE_SOURCES") {
    Some(hash) => hash,
    None => "",
};

#[pymodule]
fn tailrace_native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SOURCES", SOURCES)?;
    module.add_class::<batch::Batch>()?;
    module.add_class::<outlet::Outlet>()?;
    module.add_class::<pages::Page>()?;
    module.add_class::<pages::PageWriter>()?;
    module.add_class::<python::Reader>()
}
