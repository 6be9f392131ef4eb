//! The records of one row's change; see `streams.capture.emit` and `changes.envelope`, whose bytes these are.

use std::ops::Range;

use crate::batch::{Batch, Change, Message};
use crate::history::{position, History};
use crate::layout::{Image, Layout};
use crate::text::{integer, quote};

/// What all rows of one event have in common.
pub struct Told<'a> {
    layout: &'a Layout,
    epoch: u64,
    ordinal: u64,
    /// `source` up to and with `"row":`.
    source: Vec<u8>,
    /// From behind that number to `"op":"`.
    times: Vec<u8>,
    /// From behind the operation to `"total_order":`.
    tail: Vec<u8>,
    largest: usize,
}

/// The images of one row.
pub struct Row<'a> {
    pub before: Option<&'a Image>,
    pub after: Option<&'a Image>,
    /// Its ordinal among its table's in the transaction, from 0; and its order in the transaction, from 1.
    pub row: u64,
    pub order: u64,
}

impl<'a> Told<'a> {
    pub fn new(layout: &'a Layout, history: &History, now_ms: u64, largest: usize) -> Told<'a> {
        let mut source = layout.source_head.clone();
        integer(&mut source, history.committed_us / 1000);
        source.extend_from_slice(&layout.source_middle);
        integer(&mut source, history.server_id);
        source.extend_from_slice(br#","gtid":"#);
        if history.gtid.is_empty() {
            source.extend_from_slice(b"null");
        } else {
            quote(&mut source, history.gtid.as_bytes());
        }
        source.extend_from_slice(br#","file":"#);
        quote(&mut source, history.file.as_bytes());
        source.extend_from_slice(br#","pos":"#);
        integer(&mut source, history.offset);
        source.extend_from_slice(br#","row":"#);
        let mut times = br#","ts_us":"#.to_vec();
        integer(&mut times, history.committed_us);
        times.extend_from_slice(br#","ts_ns":"#);
        integer(&mut times, history.committed_us * 1000);
        times.extend_from_slice(br#","sequence":null,"thread":null,"query":null},"op":""#);
        let mut tail = br#"","ts_ms":"#.to_vec();
        integer(&mut tail, now_ms);
        tail.extend_from_slice(br#","transaction":{"id":"#);
        quote(&mut tail, history.gtid.as_bytes());
        tail.extend_from_slice(br#","total_order":"#);
        Told { layout, epoch: history.epoch, ordinal: history.ordinal, source, times, tail, largest }
    }

    /// A changed key is a delete of the old row and a create of the new one, both at this position.
    pub fn write(&self, batch: &mut Batch, row: &Row) {
        let told = |image: &Image| (self.layout.key_hash(image), self.layout.hash(image));
        let (gone, come) = (row.before.map(told), row.after.map(told));
        let hash = come.map_or(0, |(_, hash)| hash);
        match (row.before, row.after) {
            (None, Some(after)) => self.written(batch, b'c', None, after, row, hash),
            (Some(before), None) => self.deleted(batch, before, row),
            (Some(before), Some(after)) => {
                let key = self.key(batch, before);
                let new = self.key(batch, after);
                let same = batch.data[key.clone()] == batch.data[new];
                batch.data.truncate(key.start);
                if same {
                    self.written(batch, b'u', Some(before), after, row, hash);
                } else {
                    self.deleted(batch, before, row);
                    self.written(batch, b'c', None, after, row, hash);
                }
            }
            (None, None) => {}
        }
        batch.changes.push(Change { layout: self.layout.number, before: gone, after: come });
    }

    fn written(&self, batch: &mut Batch, op: u8, before: Option<&Image>, after: &Image, row: &Row, hash: u64) {
        let key = self.key(batch, after);
        let value = self.value(batch, op, before, Some(after), row);
        self.push(batch, key, Some(value), hash, row);
    }

    fn deleted(&self, batch: &mut Batch, before: &Image, row: &Row) {
        let key = self.key(batch, before);
        let value = self.value(batch, b'd', Some(before), None, row);
        self.push(batch, key.clone(), Some(value), 0, row);
        self.push(batch, key, None, 0, row);
    }

    fn push(&self, batch: &mut Batch, key: Range<usize>, value: Option<Range<usize>>, hash: u64, row: &Row) {
        let position = position(self.epoch, self.ordinal, row.row);
        let (layout, table) = (self.layout.number, self.layout.table as u32);
        batch.messages.push(Message { layout, table, key, value, position, hash });
    }

    fn key(&self, batch: &mut Batch, image: &Image) -> Range<usize> {
        let begun = batch.data.len();
        self.layout.key(&mut batch.data, image);
        begun..batch.data.len()
    }

    /// A value that does not fit goes without the long values of the row before.
    fn value(
        &self,
        batch: &mut Batch,
        op: u8,
        before: Option<&Image>,
        after: Option<&Image>,
        row: &Row,
    ) -> Range<usize> {
        let begun = batch.data.len();
        let size = |image: Option<&Image>| image.map_or(0, |image| image.json.len());
        // what cannot fit is not written out first: of rows of 64 MB that alone would be hundreds
        let short = before.is_some() && size(before) + size(after) > self.largest;
        self.envelope(&mut batch.data, op, (before, after), row, short);
        if batch.data.len() - begun > self.largest && before.is_some() && !short {
            batch.data.truncate(begun);
            self.envelope(&mut batch.data, op, (before, after), row, true);
        }
        begun..batch.data.len()
    }

    fn envelope(
        &self,
        out: &mut Vec<u8>,
        op: u8,
        (before, after): (Option<&Image>, Option<&Image>),
        row: &Row,
        short: bool,
    ) {
        out.extend_from_slice(br#"{"before":"#);
        match before {
            None => out.extend_from_slice(b"null"),
            Some(image) if short => self.layout.short(out, image),
            Some(image) => out.extend_from_slice(&image.json),
        }
        out.extend_from_slice(br#","after":"#);
        match after {
            None => out.extend_from_slice(b"null"),
            Some(image) => out.extend_from_slice(&image.json),
        }
        out.push(b',');
        out.extend_from_slice(&self.source);
        integer(out, row.row);
        out.extend_from_slice(&self.times);
        out.push(op);
        out.extend_from_slice(&self.tail);
        integer(out, row.order);
        out.extend_from_slice(br#","data_collection_order":"#);
        integer(out, row.row + 1);
        out.extend_from_slice(b"}}");
    }
}
