//! Binlog events, as far as capture needs them; see `streams.binlog.events`.

use crate::bytes::{little, take, take_lenenc, take_length, take_little, take_signed_varlen, take_varlen};
use crate::failure::{broken, Result};

pub const HEADER: usize = 19;

pub const QUERY: u8 = 2;
pub const ROTATE: u8 = 4;
pub const XID: u8 = 16;
pub const TABLE_MAP: u8 = 19;
pub const WRITE_V1: u8 = 23;
pub const UPDATE_V1: u8 = 24;
pub const DELETE_V1: u8 = 25;
pub const HEARTBEAT: u8 = 27;
pub const WRITE_V2: u8 = 30;
pub const UPDATE_V2: u8 = 31;
pub const DELETE_V2: u8 = 32;
pub const GTID: u8 = 33;
pub const ANONYMOUS_GTID: u8 = 34;
pub const XA_PREPARE: u8 = 38;
pub const PARTIAL_UPDATE: u8 = 39;
pub const PAYLOAD: u8 = 40;
pub const HEARTBEAT_V2: u8 = 41;
pub const GTID_TAGGED: u8 = 42;
pub const MARIADB_GTID: u8 = 162;
pub const MARIADB_COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;

/// A flag of MariaDB's GTID events.
const MARIADB_PREPARED: u8 = 1 << 6;

/// Microseconds since 1970 beyond which a commit time is none: the year 2255.
const LATEST_US: u64 = 1 << 53;

pub struct Header {
    pub timestamp: u64,
    pub type_: u8,
    pub server_id: u64,
    pub end: u64,
}

/// Refuses fewer bytes than the event says it has.
pub fn header(data: &[u8]) -> Result<Header> {
    if data.len() < HEADER {
        return broken("an event has no header");
    }
    let size = little(&data[9..13]) as usize;
    if size != data.len() && size != data.len() + 4 {
        return broken("an event has another size than it says");
    }
    Ok(Header {
        timestamp: little(&data[..4]),
        type_: data[4],
        server_id: little(&data[5..9]),
        end: little(&data[13..17]),
    })
}

/// The event without its CRC32, where it has one.
pub fn without_checksum(data: &[u8]) -> &[u8] {
    match data.len().checked_sub(4) {
        Some(size) if u64::from(crc32fast::hash(&data[..size])) == little(&data[size..]) => &data[..size],
        _ => data,
    }
}

/// Bytes that a tag may have.
const LONGEST_TAG: usize = 32;
/// Fields of a tagged GTID: when the transaction was committed here, and where it was made if that is elsewhere.
const COMMIT: u64 = 6;
const ORIGINAL_COMMIT: u64 = 7;
const LAST_KNOWN_FIELD: u64 = 11;

/// Who numbered a transaction.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Origin {
    Uuid([u8; 16]),
    /// With a tag, and how many bytes it has.
    Tagged([u8; 16], [u8; LONGEST_TAG], usize),
    /// Domain, server.
    Mariadb(u64, u64),
}

impl Origin {
    /// What stands in front of the number, and how it is set off from it.
    pub fn text(&self) -> (String, char) {
        match self {
            Origin::Mariadb(domain, server) => (format!("{domain}-{server}"), '-'),
            Origin::Uuid(bytes) => (uuid_text(bytes), ':'),
            Origin::Tagged(bytes, tag, size) => {
                (format!("{}:{}", uuid_text(bytes), String::from_utf8_lossy(&tag[..*size])), ':')
            }
        }
    }
}

fn uuid_text(bytes: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    text
}

/// A GTID event's origin, number and, in microseconds since 1970, when it was committed; 0 where it does not tell.
pub fn gtid(data: &[u8]) -> Result<(Origin, u64, u64)> {
    let mut uuid = [0; 16];
    uuid.copy_from_slice(take(data, &mut (HEADER + 1), 16)?);
    let number = take_little(data, &mut (HEADER + 17), 8)?;
    let mut at = HEADER + 42;
    let mut committed = if data.len() >= at + 7 { take_little(data, &mut at, 7)? } else { 0 };
    if committed >> 55 == 1 {
        committed = take_little(data, &mut at, 7)? & ((1 << 55) - 1);
    }
    if committed > LATEST_US {
        return broken("a transaction was committed after the year 2255");
    }
    Ok((Origin::Uuid(uuid), number, committed))
}

/// The same of a transaction whose name has a tag; see `tagged_gtid` of `streams.binlog.events`.
pub fn tagged_gtid(data: &[u8]) -> Result<(Origin, u64, u64)> {
    let mut at = HEADER;
    let version = take_varlen(data, &mut at)?;
    take_varlen(data, &mut at)?;
    if version != 1 || take_varlen(data, &mut at)? > LAST_KNOWN_FIELD {
        return broken("a tagged GTID has a format that is not known");
    }
    let (mut uuid, mut tag, mut size) = (None, [0; LONGEST_TAG], 0);
    let (mut number, mut times) = (0, [0; 2]);
    let mut field = None;
    while at < data.len() && field < Some(ORIGINAL_COMMIT) {
        let before = field;
        field = Some(take_varlen(data, &mut at)?);
        if field <= before {
            return broken("the fields of a tagged GTID are out of order");
        }
        match field {
            Some(1) => {
                let mut bytes = [0; 16];
                for byte in &mut bytes {
                    *byte = u8::try_from(take_varlen(data, &mut at)?).or_else(|_| broken("a UUID has larger bytes"))?;
                }
                uuid = Some(bytes);
            }
            Some(2) => number = take_signed_varlen(data, &mut at)?,
            Some(3) => {
                size = usize::try_from(take_varlen(data, &mut at)?).unwrap_or(usize::MAX);
                let text = take(data, &mut at, size)?;
                if !is_tag(text) {
                    return broken("a GTID has no tag that there can be");
                }
                tag[..size].copy_from_slice(text);
            }
            Some(COMMIT) => times[0] = take_varlen(data, &mut at)?,
            Some(ORIGINAL_COMMIT) => times[1] = take_varlen(data, &mut at)?,
            Some(0..COMMIT) => _ = take_varlen(data, &mut at)?,
            _ => {}
        }
    }
    let committed = if times[1] > 0 { times[1] } else { times[0] };
    match uuid {
        Some(uuid) if size > 0 && number > 0 && committed <= LATEST_US => {
            Ok((Origin::Tagged(uuid, tag, size), number as u64, committed))
        }
        _ => broken("a tagged GTID has no name, or was committed after the year 2255"),
    }
}

/// A letter or `_`, then digits too.
fn is_tag(text: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
    text.len() <= LONGEST_TAG
        && text.first().is_some_and(letter)
        && text.iter().all(|byte| letter(byte) || byte.is_ascii_digit())
}

/// Origin, number, and whether the transaction stands alone.
pub fn mariadb_gtid(data: &[u8], server_id: u64) -> Result<(Origin, u64, bool)> {
    let mut at = HEADER;
    let number = take_little(data, &mut at, 8)?;
    let domain = take_little(data, &mut at, 4)?;
    Ok((Origin::Mariadb(domain, server_id), number, take(data, &mut at, 1)?[0] & 1 == 1))
}

/// Whether a MariaDB GTID event begins what XA PREPARE ends.
pub fn mariadb_prepared(data: &[u8]) -> Result<bool> {
    Ok(take(data, &mut (HEADER + 12), 1)?[0] & MARIADB_PREPARED != 0)
}

/// The next file, and where in it the next event stands.
pub fn rotate(data: &[u8]) -> Result<(String, u64)> {
    let mut at = HEADER;
    let offset = take_little(data, &mut at, 8)?;
    Ok((name(&data[at..])?, offset))
}

/// The file and offset that the server has reached.
pub fn heartbeat(data: &[u8], head: &Header) -> Result<(String, u64)> {
    if head.type_ == HEARTBEAT {
        return Ok((name(&data[HEADER..])?, head.end));
    }
    let (mut at, mut file, mut offset) = (HEADER, String::new(), head.end);
    while at < data.len() && data[at] != 0 {
        let field = data[at];
        at += 1;
        let size = take_length(data, &mut at)?;
        let value = take(data, &mut at, size)?;
        match field {
            1 => file = name(value)?,
            2 => offset = take_lenenc(value, &mut 0)?,
            _ => {}
        }
    }
    Ok((file, offset))
}

fn name(data: &[u8]) -> Result<String> {
    String::from_utf8(data.to_vec()).or_else(|_| broken("a binlog file has a name that is not UTF-8"))
}

/// Whether a QUERY event says no more than BEGIN.
pub fn is_begin(data: &[u8]) -> Result<bool> {
    let database = usize::from(take(data, &mut (HEADER + 8), 1)?[0]);
    let status = take_little(data, &mut (HEADER + 11), 2)? as usize;
    Ok(data.get(HEADER + 13 + status + database + 1..) == Some(b"BEGIN"))
}

/// A TABLE_MAP event's table id, database and table.
pub fn table_name(data: &[u8]) -> Result<(u64, &[u8], &[u8])> {
    let id = take_little(data, &mut { HEADER }, 6)?;
    let mut at = HEADER + 8;
    let size = usize::from(take(data, &mut at, 1)?[0]);
    let database = take(data, &mut at, size)?;
    at += 1;
    let size = usize::from(take(data, &mut at, 1)?[0]);
    let table = take(data, &mut at, size)?;
    if std::str::from_utf8(database).is_err() || std::str::from_utf8(table).is_err() {
        return broken("a table's name is not UTF-8");
    }
    Ok((id, database, table))
}

/// The table id of a row event.
pub fn rows_table(data: &[u8]) -> Result<u64> {
    take_little(data, &mut { HEADER }, 6)
}

pub fn is_update(type_: u8) -> bool {
    matches!(type_, UPDATE_V1 | UPDATE_V2 | PARTIAL_UPDATE)
}

/// Where the first row of a row event stands, and its bitmaps of columns: before, after.
pub fn rows_head(data: &[u8], type_: u8, columns: usize) -> Result<(usize, &[u8], &[u8])> {
    let mut at = HEADER + 8;
    if type_ >= WRITE_V2 {
        let extra = take_little(data, &mut { at }, 2)? as usize;
        take(data, &mut at, extra)?;
    }
    if take_lenenc(data, &mut at)? != columns as u64 {
        return broken("a row event has another number of columns than its table map");
    }
    let size = columns.div_ceil(8);
    let before = take(data, &mut at, size)?;
    let after = if is_update(type_) { take(data, &mut at, size)? } else { before };
    Ok((at, before, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_that_fits_is_taken_off() {
        let mut data = b"an event".to_vec();
        data.extend(crc32fast::hash(&data).to_le_bytes());
        assert_eq!(without_checksum(&data), b"an event");
        data[0] = b'x';
        assert_eq!(without_checksum(&data), data);
        assert_eq!(without_checksum(b"ab"), b"ab");
    }

    #[test]
    fn origins_are_spelled_as_the_server_spells_them() {
        let uuid = std::array::from_fn(|at| at as u8 * 17);
        assert_eq!(Origin::Uuid(uuid).text(), ("00112233-4455-6677-8899-aabbccddeeff".to_owned(), ':'));
        let tag = std::array::from_fn(|at| if at < 4 { b"blue"[at] } else { 0 });
        assert_eq!(Origin::Tagged(uuid, tag, 4).text().0, "00112233-4455-6677-8899-aabbccddeeff:blue");
        assert_eq!(Origin::Mariadb(0, 7).text(), ("0-7".to_owned(), '-'));
    }
}
