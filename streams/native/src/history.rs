//! Where in the history the stream stands: transactions, their order, and the rows of the one under way.

use crate::batch::Finished;
use crate::events::Origin;
use crate::failure::{broken, Failure, Result};

const TRANSACTION_BITS: u32 = 38;
const ROW_BITS: u32 = 20;
const SNAPSHOT_ROW: u64 = (1 << ROW_BITS) - 1;

/// See `changes.position`.
pub fn position(epoch: u64, ordinal: u64, row: u64) -> u64 {
    (epoch << TRANSACTION_BITS | ordinal) << ROW_BITS | row.min(SNAPSHOT_ROW - 1)
}

pub struct History {
    pub epoch: u64,
    pub mariadb: bool,
    /// Transactions executed.
    executed: u64,
    pub position: u64,
    pub source_us: u64,
    pub file: String,
    pub offset: u64,
    pub inside: bool,
    /// Whether an XA transaction is under way of which it is not known what becomes of it.
    pub xa: bool,
    /// Whether XA PREPARE will end the transaction under way.
    pub prepared: bool,
    origin: Option<Origin>,
    number: u64,
    pub gtid: String,
    /// Of the transaction under way.
    pub ordinal: u64,
    pub committed_us: u64,
    pub server_id: u64,
    ended: bool,
    /// Rows so far, by table and in all.
    pub rows: Vec<u64>,
    pub order: u64,
    /// Rows that are in Kafka already, by table.
    pub skip: Vec<u64>,
    /// A transaction of which only the first rows are in Kafka.
    partial: Option<(String, Vec<u64>)>,
    finished_origin: Option<Origin>,
}

impl History {
    pub fn new(
        epoch: u64,
        mariadb: bool,
        executed: u64,
        position: u64,
        place: (String, u64),
        tables: usize,
        partial: Option<(String, Vec<u64>)>,
    ) -> History {
        History {
            epoch,
            mariadb,
            executed,
            position,
            source_us: 0,
            file: place.0,
            offset: place.1,
            inside: false,
            xa: false,
            prepared: false,
            origin: None,
            number: 0,
            gtid: String::new(),
            ordinal: 0,
            committed_us: 0,
            server_id: 0,
            ended: true,
            rows: vec![0; tables],
            order: 0,
            skip: vec![0; tables],
            partial,
            finished_origin: None,
        }
    }

    pub fn executed(&self) -> u64 {
        self.executed
    }

    /// Whether the half-written transaction that reading began with is still to come.
    pub fn awaited(&self) -> bool {
        self.partial.is_some()
    }

    pub fn begin(&mut self, origin: Origin, number: u64, committed_us: u64, server_id: u64) -> Result<()> {
        if self.xa {
            return broken("a transaction begins inside an XA transaction");
        }
        self.prepared = false;
        let (text, sign) = origin.text();
        self.gtid = format!("{text}{sign}{number}");
        (self.origin, self.number) = (Some(origin), number);
        (self.committed_us, self.server_id) = (committed_us, server_id);
        self.ordinal = if self.mariadb { number } else { self.executed + 1 };
        if self.ordinal >> TRANSACTION_BITS > 0 {
            let last = (1u64 << TRANSACTION_BITS) - 1;
            let what = format!("transaction ordinal {} is outside 0..{last}", self.ordinal);
            return Err(Failure::Misconfigured(what));
        }
        self.ended = false;
        self.clear_rows();
        if let Some((gtid, rows)) = self.partial.take() {
            if gtid != self.gtid {
                return Err(Failure::Misconfigured(out_of_order(&gtid, &self.gtid)));
            }
            self.skip = rows;
        }
        Ok(())
    }

    pub fn end(&mut self, finished: &mut Vec<Finished>) -> Result<()> {
        let Some(origin) = self.origin else {
            return broken("a transaction ends that had no GTID");
        };
        if !self.ended {
            self.ended = true;
            self.executed = self.ordinal;
            match finished.last_mut() {
                Some(last) if self.finished_origin == Some(origin) && last.last + 1 == self.number => {
                    last.last = self.number;
                }
                _ => finished.push(Finished { origin: origin.text().0, first: self.number, last: self.number }),
            }
            self.finished_origin = Some(origin);
        }
        self.position = position(self.epoch, self.ordinal, 0) | SNAPSHOT_ROW;
        self.source_us = self.committed_us;
        self.inside = false;
        self.xa = false;
        self.clear_rows();
        Ok(())
    }

    /// Rows of the transaction under way that are in Kafka, by table.
    pub fn done(&self) -> Vec<(usize, u64)> {
        let both = self.rows.iter().zip(&self.skip).map(|(&rows, &skip)| rows.max(skip));
        both.enumerate().filter(|&(_, rows)| rows > 0).collect()
    }

    fn clear_rows(&mut self) {
        self.rows.fill(0);
        self.skip.fill(0);
        self.order = 0;
    }
}

/// A transaction of which the first rows are in Kafka comes first, from whatever server: capture has all that were before
/// it. Else its rows would be told twice, under two positions.
fn out_of_order(partial: &str, came: &str) -> String {
    format!(
        "capture has written the first rows of transaction {partial}, and the server sends {came} before it: its binlog \
         has another order (SET PERSIST replica_preserve_commit_order = ON on replicas); `tailrace epoch raise` begins a \
         new epoch with a new snapshot"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Origin = Origin::Uuid([1; 16]);
    const OTHER: Origin = Origin::Uuid([2; 16]);

    fn history(partial: Option<(String, Vec<u64>)>) -> History {
        History::new(0, false, 41, 7, ("bin.1".to_owned(), 4), 2, partial)
    }

    #[test]
    fn transactions_are_counted_and_told_as_ranges() {
        let (mut history, mut finished) = (history(None), Vec::new());
        for (origin, number) in [(ONE, 5), (ONE, 6), (OTHER, 1), (ONE, 7)] {
            history.begin(origin, number, 1000, 1).unwrap();
            history.end(&mut finished).unwrap();
        }
        let told: Vec<_> = finished.iter().map(|ended| (ended.first, ended.last)).collect();
        assert_eq!(told, [(5, 6), (1, 1), (7, 7)]);
        assert_eq!(history.executed(), 45);
        assert_eq!(history.position, position(0, 45, 0) | SNAPSHOT_ROW);
    }

    #[test]
    fn the_half_written_transaction_is_skipped_and_must_come_first() {
        let name = format!("{}:9", ONE.text().0);
        let mut half = history(Some((name.clone(), vec![3, 0])));
        half.begin(ONE, 9, 0, 1).unwrap();
        assert_eq!(half.done(), [(0, 3)]);
        let mut other = history(Some((name, vec![3, 0])));
        assert!(other.awaited());
        assert!(matches!(other.begin(ONE, 8, 0, 1), Err(Failure::Misconfigured(_))));
    }

    #[test]
    fn an_end_without_a_beginning_is_refused() {
        assert!(history(None).end(&mut Vec::new()).is_err());
    }
}
