//! A table in one layout, as Python made it out of a TABLE_MAP event, and row images read by it.

use std::sync::Arc;

use xxhash_rust::xxh64::Xxh64;

use crate::bytes::{take, take_lenenc};
use crate::failure::{broken, Failure, Result};
use crate::text::{characters, integer, quote};
use crate::value::{Reader, Scratch};

/// Characters beyond which a value is left out of a row that does not fit into a message.
const LONG: usize = 4096;

/// The one known option of a partial update: some JSON columns are told by what changed in them.
const PARTIAL_JSON: u64 = 1;

pub struct Column {
    reader: Reader,
    /// `"name":`
    label: Vec<u8>,
    /// What stands before the value's length in the canonical row.
    canonical: Vec<u8>,
    kept: bool,
}

impl Column {
    pub fn new(name: &str, reader: Reader, kept: bool) -> Column {
        let mut label = Vec::new();
        quote(&mut label, name.as_bytes());
        label.push(b':');
        let mut canonical = Vec::new();
        integer(&mut canonical, name.len());
        canonical.push(b':');
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(reader.tag());
        Column { reader, label, canonical, kept }
    }
}

pub struct Layout {
    /// The number that Python knows it by.
    pub number: u32,
    /// Which of the declared tables.
    pub table: usize,
    /// The envelope's `source` up to and with `"ts_ms":`.
    pub source_head: Vec<u8>,
    /// From behind that number to `"server_id":`.
    pub source_middle: Vec<u8>,
    name: String,
    columns: Vec<Column>,
    /// Kept columns in byte order of their names.
    sorted: Vec<usize>,
    key: Vec<usize>,
    /// The key's columns in byte order of their names.
    key_sorted: Vec<usize>,
}

/// One row: its JSON, and where in it and in `canon` each column's value stands; both empty for NULL.
#[derive(Default)]
pub struct Image {
    pub json: Vec<u8>,
    values: Vec<(usize, usize)>,
    canon: Vec<u8>,
    canons: Vec<Option<(usize, usize)>>,
    /// Where in the event each column's value begins.
    places: Vec<usize>,
}

fn has(bitmap: &[u8], index: usize) -> bool {
    bitmap[index / 8] >> (index % 8) & 1 == 1
}

/// What `source` begins with, and what stands behind its first time.
fn source(version: &str, database: &str, table: &str) -> (Vec<u8>, Vec<u8>) {
    let mut head = br#""source":{"version":"tailrace","connector":"mysql","name":"#.to_vec();
    quote(&mut head, version.as_bytes());
    head.extend_from_slice(br#","ts_ms":"#);
    let mut middle = br#","snapshot":"false","db":"#.to_vec();
    quote(&mut middle, database.as_bytes());
    middle.extend_from_slice(br#","table":"#);
    quote(&mut middle, table.as_bytes());
    middle.extend_from_slice(br#","server_id":"#);
    (head, middle)
}

impl Layout {
    /// `names` and `columns` are in table order; `key` holds indexes into them, in key order.
    pub fn new(
        number: u32,
        table: usize,
        place: (&str, &str, &str),
        names: &[String],
        columns: Vec<Column>,
        key: Vec<usize>,
    ) -> Arc<Layout> {
        let (version, database, name) = place;
        let (source_head, source_middle) = source(version, database, name);
        let by_name = |mut indexes: Vec<usize>| {
            indexes.sort_by(|&one, &other| names[one].as_bytes().cmp(names[other].as_bytes()));
            indexes
        };
        Arc::new(Layout {
            number,
            table,
            source_head,
            source_middle,
            name: format!("`{database}`.`{name}`"),
            sorted: by_name((0..columns.len()).filter(|&index| columns[index].kept).collect()),
            key_sorted: by_name(key.clone()),
            key,
            columns,
        })
    }

    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// One row image behind its NULL bitmap; `present` is the event's bitmap of columns.
    ///
    /// Half a row must never pass for a whole one: an image without all columns is refused.
    pub fn read(
        &self,
        data: &[u8],
        at: &mut usize,
        present: &[u8],
        image: &mut Image,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.check_whole(present)?;
        let nulls = take(data, at, self.columns.len().div_ceil(8))?;
        self.columns_of(at, nulls, image, |column, _, at, json, canon| {
            column.reader.read(data, at, json, canon, scratch)
        })
    }

    /// The image after a partial update: JSON columns may be told by what changed in them since `before`, an image of
    /// the same `data`.
    pub fn read_partial(
        &self,
        data: &[u8],
        at: &mut usize,
        present: &[u8],
        before: &Image,
        image: &mut Image,
        scratch: &mut Scratch,
    ) -> Result<()> {
        self.check_whole(present)?;
        let options = take_lenenc(data, at)?;
        if options & !PARTIAL_JSON != 0 {
            return broken("a partial update has options that are not known");
        }
        let json: Vec<usize> = (0..self.columns.len()).filter(|&index| self.columns[index].reader.is_json()).collect();
        let mut partial = vec![false; self.columns.len()];
        if options & PARTIAL_JSON != 0 {
            let bits = take(data, at, json.len().div_ceil(8))?;
            for (nth, &index) in json.iter().enumerate() {
                partial[index] = has(bits, nth);
            }
        }
        let nulls = take(data, at, self.columns.len().div_ceil(8))?;
        self.columns_of(at, nulls, image, |column, index, at, json, canon| {
            if partial[index] {
                column.reader.read_patched(data, before.places[index], at, json, canon, scratch)
            } else {
                column.reader.read(data, at, json, canon, scratch)
            }
        })
    }

    fn check_whole(&self, present: &[u8]) -> Result<()> {
        if (0..self.columns.len()).all(|index| has(present, index)) {
            return Ok(());
        }
        Err(Failure::Misconfigured(format!(
            "rows of {} came without all their columns: \
             SET PERSIST binlog_row_image = 'FULL', also for the sessions that are connected",
            self.name
        )))
    }

    /// `read` appends the value of a column, that has such an index, to its JSON and its canonical form.
    fn columns_of(
        &self,
        at: &mut usize,
        nulls: &[u8],
        image: &mut Image,
        mut read: impl FnMut(&Column, usize, &mut usize, &mut Vec<u8>, Option<&mut Vec<u8>>) -> Result<()>,
    ) -> Result<()> {
        image.json.clear();
        image.canon.clear();
        image.values.clear();
        image.canons.clear();
        image.places.clear();
        image.json.push(b'{');
        for (index, column) in self.columns.iter().enumerate() {
            let before = image.json.len();
            if column.kept {
                if before > 1 {
                    image.json.push(b',');
                }
                image.json.extend_from_slice(&column.label);
            }
            let (begun, canon_begun) = (image.json.len(), image.canon.len());
            image.places.push(*at);
            if has(nulls, index) {
                image.json.extend_from_slice(b"null");
                image.canons.push(None);
            } else {
                let canon = column.kept.then_some(&mut image.canon);
                read(column, index, at, &mut image.json, canon)?;
                image.canons.push(Some((canon_begun, image.canon.len())));
            }
            image.values.push((begun, image.json.len()));
            if !column.kept {
                image.json.truncate(before);
            }
        }
        image.json.push(b'}');
        Ok(())
    }

    /// The Kafka key: JSON of the key's columns in key order.
    pub fn key(&self, out: &mut Vec<u8>, image: &Image) {
        out.push(b'{');
        for (nth, &index) in self.key.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&self.columns[index].label);
            let (from, to) = image.values[index];
            out.extend_from_slice(&image.json[from..to]);
        }
        out.push(b'}');
    }

    /// xxh64 of the canonical row.
    pub fn hash(&self, image: &Image) -> u64 {
        self.hashed(&self.sorted, image)
    }

    /// xxh64 of the canonical key.
    pub fn key_hash(&self, image: &Image) -> u64 {
        self.hashed(&self.key_sorted, image)
    }

    fn hashed(&self, order: &[usize], image: &Image) -> u64 {
        let mut hasher = Xxh64::new(0);
        for &index in order {
            if let Some((from, to)) = image.canons[index] {
                hasher.update(&self.columns[index].canonical);
                hasher.update(itoa::Buffer::new().format(to - from).as_bytes());
                hasher.update(b":");
                hasher.update(&image.canon[from..to]);
            }
        }
        hasher.digest()
    }

    /// The row without its long values: what is left still tells its key and its place.
    pub fn short(&self, out: &mut Vec<u8>, image: &Image) {
        out.push(b'{');
        let mut first = true;
        for (column, &(from, to)) in self.columns.iter().zip(&image.values) {
            if !column.kept || characters(&image.json[from..to]) > LONG {
                continue;
            }
            if !first {
                out.push(b',');
            }
            first = false;
            out.extend_from_slice(&column.label);
            out.extend_from_slice(&image.json[from..to]);
        }
        out.push(b'}');
    }
}
