//! The decoder: bytes of the dump connection in, batches of records out.
//!
//! What needs a decision it hands to Python as a raw event at its place in the order, and waits for the answer.

use std::collections::HashMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Arc;

use crate::batch::Batch;
use crate::envelope::{Row, Told};
use crate::events::{self, Header, HEADER};
use crate::failure::{broken, Failure, Result};
use crate::history::History;
use crate::input::{Input, Packet};
use crate::layout::{Image, Layout};
use crate::unfold::{unfolding, Unfolding};
use crate::value::Scratch;

/// Messages with which a batch ends between two transactions, or at twice as many inside one.
const MOST_MESSAGES: usize = 20_000;

/// Bytes of a buffer that is not kept for the next row.
const MOST_KEPT: usize = 4 << 20;

/// What `Decoder::decode` ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Said {
    /// Everything that came is decoded.
    Hungry,
    /// The batch is to be taken first.
    Full,
    /// `question` is to be answered first.
    Asks,
    /// More is held back than may be.
    Holds,
    /// `question` is a packet that holds no event: an error, or the end of the stream.
    Ended,
}

/// What Python makes of a statement; see `streams.capture.statements`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    Begin,
    End,
    Ddl,
    Nothing,
    Xa,
}

/// What never changes while a decoder lives. Sizes in bytes.
pub struct Settings {
    pub version: String,
    pub database: String,
    pub tables: Vec<String>,
    pub full: usize,
    pub largest_message: usize,
    pub largest_held: usize,
}

/// An event that Python decides on; `inner` stands in a compressed transaction.
struct Question {
    event: Vec<u8>,
    inner: bool,
}

pub struct Decoder {
    settings: Settings,
    input: Input,
    unfolding: Option<(Unfolding, u64)>,
    question: Option<Question>,
    failed: Option<Failure>,
    layouts: HashMap<Vec<u8>, Arc<Layout>>,
    made: u32,
    current: HashMap<u64, (Vec<u8>, Arc<Layout>)>,
    pub history: History,
    batch: Batch,
    moved: bool,
    /// Whether nothing is given out: it is not known yet what becomes of the transaction under way.
    held: bool,
    images: (Image, Image),
    scratch: Scratch,
}

/// What became of one event.
#[derive(PartialEq)]
enum Outcome {
    Done,
    Ask,
}

impl Decoder {
    pub fn new(settings: Settings, history: History) -> Decoder {
        Decoder {
            settings,
            input: Input::default(),
            unfolding: None,
            question: None,
            failed: None,
            layouts: HashMap::new(),
            made: 0,
            current: HashMap::new(),
            history,
            batch: Batch::default(),
            moved: false,
            held: false,
            images: Default::default(),
            scratch: Scratch::default(),
        }
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        self.input.feed(bytes);
    }

    /// Goes on until something is to be done about it. `now_ms` is what records tell as their own time.
    ///
    /// An event that cannot be read is told only once everything before it was taken.
    pub fn decode(&mut self, now_ms: u64) -> Result<Said> {
        if self.failed.is_none() {
            // a net, not the plan: whatever trips over an event stops capture like any event that cannot be read
            let read = catch_unwind(AssertUnwindSafe(|| self.go_on(now_ms)));
            match read.unwrap_or_else(|_| broken("the native reader tripped over it")) {
                Ok(said) => return Ok(said),
                Err(failure) => self.failed = Some(failure),
            }
        }
        if !self.held && (!self.batch.messages.is_empty() || self.moved) {
            return Ok(Said::Full);
        }
        Err(self.failed.take().unwrap_or_else(|| Failure::Broken("reading failed before".to_owned())))
    }

    fn go_on(&mut self, now_ms: u64) -> Result<Said> {
        if self.question.is_some() {
            return Ok(Said::Asks);
        }
        loop {
            self.held = self.held && self.history.xa;
            if self.is_full() {
                return Ok(if self.held { Said::Holds } else { Said::Full });
            }
            if let Some((mut unfolding, end)) = self.unfolding.take() {
                if let Some(event) = unfolding.next()? {
                    let outcome = self.handle(event, now_ms, true)?;
                    self.unfolding = Some((unfolding, end));
                    if outcome == Outcome::Ask {
                        return Ok(Said::Asks);
                    }
                } else {
                    self.reached(end);
                }
                continue;
            }
            let mut input = std::mem::take(&mut self.input);
            let said = self.packet(&mut input, now_ms);
            self.input = input;
            if let Some(said) = said? {
                return Ok(said);
            }
        }
    }

    /// Batches end between transactions where they can: only there may a first fill's rows join.
    fn is_full(&self) -> bool {
        let (weight, count) = (self.batch.weight(), self.batch.messages.len());
        if self.held {
            return weight > self.settings.largest_held;
        }
        let times = if self.history.inside { 2 } else { 1 };
        weight >= self.settings.full * times || count >= MOST_MESSAGES * times
    }

    fn packet(&mut self, input: &mut Input, now_ms: u64) -> Result<Option<Said>> {
        let joined;
        let packet = match input.next()? {
            None => return Ok(Some(Said::Hungry)),
            Some(Packet::Here(from, to)) => input.slice(from, to),
            Some(Packet::Joined(data)) => {
                joined = data;
                &joined
            }
        };
        match packet.first() {
            None => broken("the server sent an empty packet"),
            Some(0) => {
                let event = events::without_checksum(&packet[1..]);
                Ok((self.handle(event, now_ms, false)? == Outcome::Ask).then_some(Said::Asks))
            }
            Some(_) => {
                self.question = Some(Question { event: packet.to_vec(), inner: false });
                Ok(Some(Said::Ended))
            }
        }
    }

    fn handle(&mut self, event: &[u8], now_ms: u64, inner: bool) -> Result<Outcome> {
        let head = events::header(event)?;
        if inner && head.type_ == events::PAYLOAD {
            return broken("a compressed transaction is inside another");
        }
        if self.event(event, &head, now_ms)? == Outcome::Ask {
            self.question = Some(Question { event: event.to_vec(), inner });
            return Ok(Outcome::Ask);
        }
        self.passed(&head, inner);
        Ok(Outcome::Done)
    }

    fn passed(&mut self, head: &Header, inner: bool) {
        let made_for_us = matches!(head.type_, events::HEARTBEAT | events::HEARTBEAT_V2);
        if !inner && self.unfolding.is_none() && !made_for_us {
            self.reached(head.end);
        }
    }

    fn reached(&mut self, end: u64) {
        if end > 0 {
            self.history.offset = end;
            self.moved = true;
        }
    }

    fn event(&mut self, data: &[u8], head: &Header, now_ms: u64) -> Result<Outcome> {
        match head.type_ {
            events::WRITE_V1..=events::DELETE_V1 | events::WRITE_V2..=events::DELETE_V2 | events::PARTIAL_UPDATE => {
                if self.history.prepared && self.current.contains_key(&events::rows_table(data)?) {
                    return Ok(Outcome::Ask);
                }
                self.rows(data, head, now_ms)?
            }
            events::TABLE_MAP => return self.table_map(data),
            events::GTID | events::GTID_TAGGED => {
                let read = if head.type_ == events::GTID { events::gtid } else { events::tagged_gtid };
                let (origin, number, committed_us) = read(data)?;
                let committed_us = if committed_us > 0 { committed_us } else { head.timestamp * 1_000_000 };
                self.history.begin(origin, number, committed_us, head.server_id)?;
            }
            events::MARIADB_GTID => {
                let (origin, number, alone) = events::mariadb_gtid(data, head.server_id)?;
                self.history.begin(origin, number, head.timestamp * 1_000_000, head.server_id)?;
                self.history.inside = !alone;
                self.history.prepared = events::mariadb_prepared(data)?;
            }
            events::QUERY => {
                if !events::is_begin(data)? {
                    return Ok(Outcome::Ask);
                }
                self.history.inside = true;
            }
            events::XID => self.history.end(&mut self.batch.finished)?,
            events::PAYLOAD => match unfolding(data)? {
                Some(unfolding) => self.unfolding = Some((unfolding, head.end)),
                None => return Ok(Outcome::Ask),
            },
            events::ROTATE => {
                (self.history.file, self.history.offset) = events::rotate(data)?;
                self.current.clear();
                self.moved = true;
            }
            events::HEARTBEAT | events::HEARTBEAT_V2 if !self.history.inside => {
                (self.history.file, self.history.offset) = events::heartbeat(data, head)?;
                self.moved = true;
            }
            events::ANONYMOUS_GTID | events::XA_PREPARE => return Ok(Outcome::Ask),
            type_ if events::MARIADB_COMPRESSED.contains(&type_) => return Ok(Outcome::Ask),
            _ => {}
        }
        Ok(Outcome::Done)
    }

    /// Layouts are known by what stands behind the table id, which changes without meaning anything.
    fn table_map(&mut self, data: &[u8]) -> Result<Outcome> {
        let (id, database, table) = events::table_name(data)?;
        let declared = self.settings.tables.iter().any(|name| name.as_bytes() == table);
        if database != self.settings.database.as_bytes() || !declared {
            self.current.remove(&id);
            return Ok(Outcome::Done);
        }
        let bytes = &data[HEADER + 6..];
        if self.current.get(&id).is_some_and(|(known, _)| known == bytes) {
            return Ok(Outcome::Done);
        }
        let Some(layout) = self.layouts.get(bytes) else {
            return Ok(Outcome::Ask);
        };
        self.current.insert(id, (bytes.to_vec(), Arc::clone(layout)));
        Ok(Outcome::Done)
    }

    fn rows(&mut self, data: &[u8], head: &Header, now_ms: u64) -> Result<()> {
        let Some((_, layout)) = self.current.get(&events::rows_table(data)?) else {
            return Ok(());
        };
        let layout = Arc::clone(layout);
        let whole = (self.batch.data.len(), self.batch.messages.len(), self.batch.changes.len(), self.batch.rows);
        let before = (self.history.rows[layout.table], self.history.order);
        let read = self.rows_of(data, head, now_ms, &layout);
        if self.images.0.json.capacity().max(self.images.1.json.capacity()) > MOST_KEPT {
            (self.images, self.scratch) = Default::default();
        }
        if read.is_err() {
            self.batch.data.truncate(whole.0);
            self.batch.messages.truncate(whole.1);
            self.batch.changes.truncate(whole.2);
            self.batch.rows = whole.3;
            (self.history.rows[layout.table], self.history.order) = before;
        }
        read
    }

    fn rows_of(&mut self, data: &[u8], head: &Header, now_ms: u64, layout: &Layout) -> Result<()> {
        let (mut at, present, present_after) = events::rows_head(data, head.type_, layout.columns())?;
        let is_write = matches!(head.type_, events::WRITE_V1 | events::WRITE_V2);
        let is_update = events::is_update(head.type_);
        let is_partial = head.type_ == events::PARTIAL_UPDATE;
        let told = Told::new(layout, &self.history, now_ms, self.settings.largest_message);
        let skip = self.history.skip[layout.table];
        while at < data.len() {
            let (first, second) = (&mut self.images.0, &mut self.images.1);
            layout.read(data, &mut at, present, first, &mut self.scratch)?;
            if is_partial {
                layout.read_partial(data, &mut at, present_after, first, second, &mut self.scratch)?;
            } else if is_update {
                layout.read(data, &mut at, present_after, second, &mut self.scratch)?;
            }
            let row = self.history.rows[layout.table];
            self.history.rows[layout.table] += 1;
            self.history.order += 1;
            if row < skip {
                continue;
            }
            let (first, second) = (Some(&self.images.0), is_update.then_some(&self.images.1));
            let (before, after) = if is_write { (None, first) } else { (first, second) };
            told.write(&mut self.batch, &Row { before, after, row, order: self.history.order });
            self.batch.rows += 1;
        }
        if !self.batch.layouts.contains(&layout.number) {
            self.batch.layouts.push(layout.number);
        }
        Ok(())
    }

    /// What was decoded since the last call, or `None` where that is nothing.
    pub fn take(&mut self) -> Option<Batch> {
        if self.held || (self.batch.messages.is_empty() && !self.moved) {
            return None;
        }
        self.moved = false;
        let mut batch = std::mem::take(&mut self.batch);
        let history = &self.history;
        batch.tables.clone_from(&self.settings.tables);
        batch.ordinal = history.executed();
        batch.position = history.position;
        batch.source_us = history.source_us;
        batch.file.clone_from(&history.file);
        batch.offset = history.offset;
        batch.inside = history.inside;
        batch.gtid.clone_from(&history.gtid);
        batch.awaited = history.awaited();
        batch.done = if history.inside { history.done() } else { Vec::new() };
        Some(batch)
    }

    /// The event that Python decides on, or the packet that holds none.
    pub fn question(&self) -> Option<&[u8]> {
        self.question.as_ref().map(|question| &question.event[..])
    }

    /// Take in what Python made of the table map that is asked about; the number that it gets.
    pub fn add_layout(&mut self, make: impl FnOnce(u32) -> Arc<Layout>) -> Result<u32> {
        let Some(question) = self.question.take() else {
            return broken("no table map is asked about");
        };
        let (id, _, _) = events::table_name(&question.event)?;
        let bytes = question.event[HEADER + 6..].to_vec();
        let number = self.made;
        self.made += 1;
        let layout = make(number);
        self.layouts.insert(bytes.clone(), Arc::clone(&layout));
        self.current.insert(id, (bytes, layout));
        self.passed(&events::header(&question.event)?, question.inner);
        Ok(number)
    }

    /// Take in what Python made of the statement that is asked about.
    pub fn decide(&mut self, statement: Statement) -> Result<()> {
        let Some(question) = self.question.take() else {
            return broken("no statement is asked about");
        };
        match statement {
            Statement::Begin => self.history.inside = true,
            Statement::Xa => (self.history.inside, self.history.xa) = (true, true),
            Statement::End => self.history.end(&mut self.batch.finished)?,
            Statement::Ddl => {
                self.layouts.clear();
                self.current.clear();
                self.history.end(&mut self.batch.finished)?;
            }
            Statement::Nothing => {}
        }
        self.held = self.held && self.history.xa;
        self.passed(&events::header(&question.event)?, question.inner);
        Ok(())
    }

    /// Give out nothing before the XA transaction under way has ended.
    pub fn hold(&mut self) {
        self.held = true;
    }

    /// Whether the transaction under way has told rows of captured tables.
    pub fn touched(&self) -> bool {
        !self.history.done().is_empty()
    }

    /// Take in the events of the compressed transaction that is asked about.
    pub fn unfolded(&mut self, body: Vec<u8>) -> Result<()> {
        let Some(question) = self.question.take() else {
            return broken("no compressed transaction is asked about");
        };
        let head = events::header(&question.event)?;
        self.unfolding = Some((crate::unfold::plain(body), head.end));
        Ok(())
    }

    /// Whether a transaction is under way.
    pub fn inside(&self) -> bool {
        self.history.inside
    }
}
