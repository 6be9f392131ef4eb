//! The events inside a transaction written with `binlog_transaction_compression=ON`, one at a time.

use std::io::{Cursor, Read};

use ruzstd::decoding::StreamingDecoder;

use crate::bytes::{little, take, take_lenenc, take_length};
use crate::events::HEADER;
use crate::failure::{broken, Failure, Result};

/// Bytes that one compressed transaction may unfold to before it is refused.
const LARGEST: u64 = 1 << 30;

/// A transaction that is being unfolded; memory is that of one event and of the compressor's window.
pub struct Unfolding {
    source: Box<dyn Read + Send + Sync>,
    event: Vec<u8>,
    /// Bytes that are still to come.
    left: u64,
}

/// Of a payload event; `None` where this cannot unfold it and Python may.
pub fn unfolding(data: &[u8]) -> Result<Option<Unfolding>> {
    let (mut at, mut size, mut compression, mut unfolded) = (HEADER, 0, 0, 0);
    loop {
        let field = take(data, &mut at, 1)?[0];
        if field == 0 {
            break;
        }
        let length = take_length(data, &mut at)?;
        let value = take(data, &mut at, length)?;
        match field {
            1 => size = take_length(value, &mut 0)?,
            2 => compression = take_lenenc(value, &mut 0)?,
            3 => unfolded = take_lenenc(value, &mut 0)?,
            _ => {}
        }
    }
    let body = data[at..data.len().min(at.saturating_add(size))].to_vec();
    if unfolded > LARGEST {
        return broken("a compressed transaction would unfold to more than 1 GiB");
    }
    match compression {
        255 => Ok(Some(plain(body))),
        0 => Ok(StreamingDecoder::new(Cursor::new(body)).ok().map(|source| begun(Box::new(source), unfolded))),
        method => {
            Err(Failure::Misconfigured(format!("a transaction is compressed by method {method}, which is not known")))
        }
    }
}

/// Events that stand one behind the other in `body`.
pub fn plain(body: Vec<u8>) -> Unfolding {
    let size = body.len() as u64;
    begun(Box::new(Cursor::new(body)), size)
}

fn begun(source: Box<dyn Read + Send + Sync>, left: u64) -> Unfolding {
    Unfolding { source, event: Vec::new(), left }
}

impl Unfolding {
    /// The next event, or `None` at the end.
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        self.event.clear();
        if self.fill(HEADER)? == 0 {
            return if self.left == 0 { Ok(None) } else { broken("a compressed transaction lacks its last bytes") };
        }
        if self.event.len() < HEADER {
            return broken("an event inside a compressed transaction has no header");
        }
        let size = little(&self.event[9..13]) as usize;
        if size < HEADER || self.fill(size - HEADER)? < size - HEADER {
            return broken("an event inside a compressed transaction is cut off");
        }
        Ok(Some(&self.event))
    }

    /// Reads up to `size` bytes; fewer at the end.
    fn fill(&mut self, size: usize) -> Result<usize> {
        let read = self.source.by_ref().take(size as u64).read_to_end(&mut self.event);
        let read = read.map_err(|error| Failure::Broken(format!("a compressed transaction is broken: {error}")))?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return broken("a compressed transaction unfolds to more than it says"),
        }
        Ok(read)
    }
}
