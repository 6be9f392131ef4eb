//! Column values: from a row image's bytes to their JSON in the envelope and to their canonical bytes.
//!
//! What they mean is described in `streams.binlog.values` and `changes.canonical`, whose bytes these are.

use std::sync::Arc;

use crate::bytes::{take, take_big, take_little};
use crate::charset::Charset;
use crate::failure::{broken, Result};
use crate::jsonb::Document;
use crate::jsondiff;
use crate::number::{canonical_decimal, decimal, decimal_size};
use crate::text::{base64, escape, hex16, integer, padded, quote};

/// Bytes of the length of a partial update's differences.
const DIFFERENCES_WIDTH: usize = 4;

/// How one column is read.
#[derive(Debug, Clone)]
pub enum Reader {
    /// Bytes, and whether unsigned.
    Integer(usize, bool),
    /// Bytes, 4 or 8.
    Floating(usize),
    /// Precision, scale, bytes.
    Decimal(usize, usize, usize),
    /// Bytes of the length.
    Text(usize, Arc<Charset>),
    /// Bytes of the length, and what BINARY(n) is padded to.
    Blob(usize, usize),
    /// Bytes of the length.
    Json(usize),
    /// Bytes, members.
    Enum(usize, Vec<Vec<u8>>),
    Set(usize, Vec<Vec<u8>>),
    /// Bits.
    Bit(usize),
    Year,
    Date,
    /// Digits of the fraction, in these three.
    Time(usize),
    Datetime(usize),
    Timestamp(usize),
}

/// Buffers that live as long as the decoder.
#[derive(Default)]
pub struct Scratch {
    text: Vec<u8>,
}

impl Reader {
    /// The tag of the canonical form; see `changes.canonical`.
    pub fn tag(&self) -> u8 {
        match self {
            Reader::Integer(..) | Reader::Year => b'i',
            Reader::Bit(bits) => {
                if *bits == 1 {
                    b'i'
                } else {
                    b'b'
                }
            }
            Reader::Floating(_) => b'f',
            Reader::Decimal(..) => b'd',
            Reader::Text(..) | Reader::Enum(..) | Reader::Set(..) => b's',
            Reader::Blob(..) => b'b',
            Reader::Json(_) => b'j',
            Reader::Date | Reader::Time(_) | Reader::Datetime(_) | Reader::Timestamp(_) => b't',
        }
    }

    pub fn is_json(&self) -> bool {
        matches!(self, Reader::Json(_))
    }

    /// Appends the JSON value at `place` behind the differences at `at`, which `at` then stands behind, as `read` does.
    pub fn read_patched(
        &self,
        data: &[u8],
        place: usize,
        at: &mut usize,
        json: &mut Vec<u8>,
        canon: Option<&mut Vec<u8>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        let Reader::Json(width) = self else { return broken("a partial update of what is no JSON") };
        let before = sized(data, &mut { place }, *width)?;
        let differences = sized(data, at, DIFFERENCES_WIDTH)?;
        json_column(&jsondiff::patched(before, differences)?, json, canon, scratch)
    }

    /// Appends the value at `at` to `json`, and to `canon` where its canonical form is wanted.
    pub fn read(
        &self,
        data: &[u8],
        at: &mut usize,
        json: &mut Vec<u8>,
        canon: Option<&mut Vec<u8>>,
        scratch: &mut Scratch,
    ) -> Result<()> {
        match self {
            Reader::Integer(size, unsigned) => {
                let number = take_little(data, at, *size)?;
                let begun = json.len();
                if *unsigned {
                    integer(json, number);
                } else {
                    let unused = 64 - 8 * *size as u32;
                    integer(json, (number << unused) as i64 >> unused);
                }
                if let Some(canon) = canon {
                    canon.extend_from_slice(&json[begun..]);
                }
            }
            Reader::Year => {
                let number = match take(data, at, 1)?[0] {
                    0 => 0,
                    byte => 1900 + u32::from(byte),
                };
                integer(json, number);
                if let Some(canon) = canon {
                    integer(canon, number);
                }
            }
            Reader::Floating(size) => {
                let bits = take_little(data, at, *size)?;
                let value = if *size == 4 { f64::from(f32::from_bits(bits as u32)) } else { f64::from_bits(bits) };
                if !value.is_finite() {
                    return broken("a FLOAT or DOUBLE is not a number");
                }
                json.extend_from_slice(ryu::Buffer::new().format_finite(value).as_bytes());
                if let Some(canon) = canon {
                    canon.extend_from_slice(&hex16((value + 0.0).to_bits()));
                }
            }
            Reader::Decimal(precision, scale, size) => {
                let raw = take(data, at, *size)?;
                json.push(b'"');
                let begun = json.len();
                decimal(json, raw, *precision, *scale)?;
                if let Some(canon) = canon {
                    canonical_decimal(canon, &json[begun..]);
                }
                json.push(b'"');
            }
            Reader::Text(width, charset) => {
                charset.decode(sized(data, at, *width)?, |text| {
                    quote(json, text);
                    if let Some(canon) = canon {
                        canon.extend_from_slice(text);
                    }
                })?;
            }
            Reader::Blob(width, pad_to) => {
                let mut raw = sized(data, at, *width)?;
                if raw.len() < *pad_to {
                    scratch.text.clear();
                    scratch.text.extend_from_slice(raw);
                    scratch.text.resize(*pad_to, 0);
                    raw = &scratch.text;
                }
                binary(json, canon, raw);
            }
            Reader::Json(width) => {
                let raw = sized(data, at, *width)?;
                json_column(&Document::stored(raw), json, canon, scratch)?;
            }
            Reader::Enum(size, members) => {
                let number = take_little(data, at, *size)? as usize;
                let member: &[u8] = match number {
                    0 => b"",
                    _ => match members.get(number - 1) {
                        Some(member) => member,
                        None => return broken("an ENUM has no such member"),
                    },
                };
                quote(json, member);
                if let Some(canon) = canon {
                    canon.extend_from_slice(member);
                }
            }
            Reader::Set(size, members) => {
                let bits = take_little(data, at, *size)?;
                scratch.text.clear();
                for (index, member) in members.iter().enumerate().take(64) {
                    if bits >> index & 1 == 1 {
                        if !scratch.text.is_empty() {
                            scratch.text.push(b',');
                        }
                        scratch.text.extend_from_slice(member);
                    }
                }
                quote(json, &scratch.text);
                if let Some(canon) = canon {
                    canon.extend_from_slice(&scratch.text);
                }
            }
            Reader::Bit(bits) => {
                let raw = take(data, at, bits.div_ceil(8))?;
                if *bits == 1 {
                    let set = raw != b"\0";
                    json.extend_from_slice(if set { b"true" } else { b"false" });
                    if let Some(canon) = canon {
                        canon.push(if set { b'1' } else { b'0' });
                    }
                } else {
                    scratch.text.clear();
                    scratch.text.extend(raw.iter().rev());
                    binary(json, canon, &scratch.text);
                }
            }
            Reader::Date => {
                let packed = take_little(data, at, 3)? as i64;
                told(json, canon, |out| day(out, packed >> 9, packed >> 5 & 15, packed & 31))?;
            }
            Reader::Time(digits) => {
                let extra = digits.div_ceil(2);
                let number = take_big(data, at, 3 + extra)? as i64;
                told(json, canon, |out| time(out, number, extra, *digits))?;
            }
            Reader::Datetime(digits) => {
                let number = take_big(data, at, 5)? as i64 - 0x80_0000_0000;
                let part = take_big(data, at, digits.div_ceil(2))? as i64;
                told(json, canon, |out| {
                    let (days, seconds) = (number >> 17, number & 0x1_FFFF);
                    let months = days >> 5;
                    day(out, months.div_euclid(13), months.rem_euclid(13), days & 31)?;
                    out.push(b'T');
                    clock(out, seconds >> 12, seconds, 23)?;
                    fraction(out, part, *digits)
                })?;
            }
            Reader::Timestamp(digits) => {
                let seconds = take_big(data, at, 4)? as i64;
                let part = take_big(data, at, digits.div_ceil(2))? as i64;
                told(json, canon, |out| timestamp(out, seconds, part, *digits))?;
            }
        }
        Ok(())
    }
}

/// A value behind its own length in `width` bytes.
fn sized<'a>(data: &'a [u8], at: &mut usize, width: usize) -> Result<&'a [u8]> {
    let size = take_little(data, at, width)? as usize;
    take(data, at, size)
}

fn binary(json: &mut Vec<u8>, canon: Option<&mut Vec<u8>>, raw: &[u8]) {
    json.push(b'"');
    base64(json, raw);
    json.push(b'"');
    if let Some(canon) = canon {
        canon.extend_from_slice(raw);
    }
}

/// A date or time in JSON, and canonical: no zeros that end its fraction.
fn told(json: &mut Vec<u8>, canon: Option<&mut Vec<u8>>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    json.push(b'"');
    let begun = json.len();
    write(json)?;
    if let Some(canon) = canon {
        let text = &json[begun..];
        let zeros = text.iter().rev().take_while(|&&byte| byte == b'0').count();
        let kept = if text.contains(&b'.') { &text[..text.len() - zeros] } else { text };
        canon.extend_from_slice(kept.strip_suffix(b".").unwrap_or(kept));
    }
    json.extend_from_slice(b"Z\"");
    Ok(())
}

/// Months and days may be 0; beyond what a server stores, the bytes are no date.
fn day(out: &mut Vec<u8>, year: i64, month: i64, day: i64) -> Result<()> {
    if !(0..=9999).contains(&year) || month > 12 {
        return broken("there is no date with such a year and month");
    }
    padded(out, year, 4);
    out.push(b'-');
    padded(out, month, 2);
    out.push(b'-');
    padded(out, day, 2);
    Ok(())
}

/// Minutes and seconds are the lowest 12 bits of `packed`; hours up to `most`.
fn clock(out: &mut Vec<u8>, hours: i64, packed: i64, most: i64) -> Result<()> {
    let (minute, second) = (packed >> 6 & 63, packed & 63);
    if hours > most || minute > 59 || second > 59 {
        return broken("there is no such time of day");
    }
    padded(out, hours, 2);
    out.push(b':');
    padded(out, minute, 2);
    out.push(b':');
    padded(out, second, 2);
    Ok(())
}

/// `value` counts units of the last even digit; the text has `digits` of them.
fn fraction(out: &mut Vec<u8>, value: i64, digits: usize) -> Result<()> {
    if digits > 0 {
        let even = digits.div_ceil(2) * 2;
        if value >= 10i64.pow(even as u32) {
            return broken("a fraction of a second is a second or more");
        }
        let end = out.len() + digits + 1;
        out.push(b'.');
        padded(out, value, even);
        out.truncate(end);
    }
    Ok(())
}

fn time(out: &mut Vec<u8>, number: i64, extra: usize, digits: usize) -> Result<()> {
    let packed = number - (0x80_0000 << (8 * extra));
    if packed < 0 {
        out.push(b'-');
    }
    let packed = packed.abs();
    let seconds = packed >> (8 * extra);
    clock(out, seconds >> 12 & 0x3FF, seconds, 838)?;
    fraction(out, packed & ((1 << (8 * extra)) - 1), digits)
}

/// Seconds since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms"); 0 is MySQL's zero date.
fn timestamp(out: &mut Vec<u8>, seconds: i64, part: i64, digits: usize) -> Result<()> {
    let mut told = Vec::with_capacity(8);
    fraction(&mut told, part, digits)?;
    if seconds == 0 && told.iter().all(|byte| matches!(byte, b'.' | b'0')) {
        out.extend_from_slice(b"0000-00-00T00:00:00");
    } else {
        let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        day(out, year, month, day_of_year - (153 * shifted + 2) / 5 + 1)?;
        out.push(b'T');
        clock(out, rest / 3600, ((rest / 60 % 60) << 6) | (rest % 60), 23)?;
    }
    out.extend_from_slice(&told);
    Ok(())
}

fn json_column(
    document: &Document,
    json: &mut Vec<u8>,
    canon: Option<&mut Vec<u8>>,
    scratch: &mut Scratch,
) -> Result<()> {
    scratch.text.clear();
    document.text(&mut scratch.text)?;
    json.push(b'"');
    escape(json, &scratch.text);
    json.push(b'"');
    match canon {
        Some(canon) => document.canonical(canon),
        None => Ok(()),
    }
}

/// What Python's description of a column must be within for this to read it.
pub fn checked(reader: Reader) -> Result<Reader> {
    let fits = match &reader {
        Reader::Integer(size, _) => matches!(size, 1..=4 | 8),
        Reader::Floating(size) => matches!(size, 4 | 8),
        Reader::Decimal(precision, scale, size) => *precision > 0 && decimal_size(*precision, *scale)? == *size,
        Reader::Text(width, _) | Reader::Blob(width, _) | Reader::Json(width) => matches!(width, 1..=4),
        Reader::Enum(size, _) | Reader::Set(size, _) => matches!(size, 1..=8),
        Reader::Bit(bits) => matches!(bits, 1..=64),
        Reader::Time(digits) | Reader::Datetime(digits) | Reader::Timestamp(digits) => *digits <= 6,
        Reader::Year | Reader::Date => true,
    };
    if fits {
        Ok(reader)
    } else {
        broken("a column has sizes that no column has")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(reader: Reader, data: &[u8]) -> (String, String) {
        let (mut json, mut canon, mut at) = (Vec::new(), Vec::new(), 0);
        reader.read(data, &mut at, &mut json, Some(&mut canon), &mut Scratch::default()).unwrap();
        assert_eq!(at, data.len());
        (String::from_utf8(json).unwrap(), String::from_utf8(canon).unwrap())
    }

    fn pair(json: &str, canon: &str) -> (String, String) {
        (json.to_owned(), canon.to_owned())
    }

    #[test]
    fn integers_have_their_sign() {
        assert_eq!(made(Reader::Integer(3, false), b"\xff\xff\xff"), pair("-1", "-1"));
        assert_eq!(made(Reader::Integer(3, true), b"\xff\xff\xff"), pair("16777215", "16777215"));
        assert_eq!(made(Reader::Integer(8, true), &[0xFF; 8]), pair("18446744073709551615", "18446744073709551615"));
        assert_eq!(made(Reader::Year, b"\0"), pair("0", "0"));
    }

    #[test]
    fn negative_zero_is_zero_when_it_is_compared() {
        let zero = (-0.0f64).to_le_bytes();
        assert_eq!(made(Reader::Floating(8), &zero), pair("-0.0", "0000000000000000"));
    }

    #[test]
    fn fractions_lose_their_zeros_when_they_are_compared() {
        assert_eq!(made(Reader::Time(1), b"\x80\x00\x01\x32"), pair("\"00:00:01.5Z\"", "00:00:01.5"));
        assert_eq!(made(Reader::Time(2), b"\x80\x00\x01\x00"), pair("\"00:00:01.00Z\"", "00:00:01"));
        assert_eq!(made(Reader::Time(0), b"\x7f\xff\xff"), pair("\"-00:00:01Z\"", "-00:00:01"));
        assert_eq!(
            made(Reader::Timestamp(3), b"\0\0\0\0\0\0"),
            pair("\"0000-00-00T00:00:00.000Z\"", "0000-00-00T00:00:00")
        );
        assert_eq!(
            made(Reader::Timestamp(0), b"\x7f\xff\xff\xff"),
            pair("\"2038-01-19T03:14:07Z\"", "2038-01-19T03:14:07")
        );
    }

    #[test]
    fn padding_and_members_are_told() {
        assert_eq!(made(Reader::Blob(1, 3), b"\x01a"), pair("\"YQAA\"", "a\0\0"));
        let members = vec![b"a".to_vec(), b"b".to_vec()];
        assert_eq!(made(Reader::Set(1, members.clone()), b"\x03"), pair("\"a,b\"", "a,b"));
        assert_eq!(made(Reader::Enum(1, members), b"\x00"), pair("\"\"", ""));
    }
}
