//! MySQL's binary JSON, as JSON text in stored order and in the canonical form.
//!
//! The text is that of `streams.binlog.jsonb`, byte for byte; its module says where the format is described.

use crate::bytes::{little, take, take_little};
use crate::failure::{broken, Result};
use crate::number::{decimal, json_decimal, json_double, Digits};
use crate::text::{base64, integer, padded, quote};

/// MySQL itself stores nothing deeper than 100.
const DEEPEST: usize = 128;
/// No stored value has text longer than so many times its bytes: what does repeats itself.
const LONGEST: usize = 8;

const LARGE_ARRAY: u8 = 3;
const LITERAL: u8 = 4;

/// The two forms of one value.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Canonical,
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    form: Form,
    room: usize,
    scratch: Vec<u8>,
}

/// The JSON text of one stored value; `null` for the empty value that an INSERT IGNORE may leave.
pub fn text(out: &mut Vec<u8>, data: &[u8]) -> Result<()> {
    written(out, data, Form::Text)
}

/// Keys sorted, every number in one spelling.
pub fn canonical(out: &mut Vec<u8>, data: &[u8]) -> Result<()> {
    written(out, data, Form::Canonical)
}

fn written(out: &mut Vec<u8>, data: &[u8], form: Form) -> Result<()> {
    if data.is_empty() {
        out.extend_from_slice(b"null");
        return Ok(());
    }
    let room = out.len() + data.len() * LONGEST + 64;
    Writer { out, form, room, scratch: Vec::new() }.value(data[0], &data[1..], 0)
}

impl Writer<'_> {
    fn value(&mut self, type_: u8, data: &[u8], depth: usize) -> Result<()> {
        if self.out.len() > self.room || depth > DEEPEST {
            return broken("binary JSON is nested too deep, or repeats itself");
        }
        let mut at = 0;
        match type_ {
            0..=LARGE_ARRAY => self.container(type_, data, depth)?,
            LITERAL => self.literal(take(data, &mut at, 1)?[0])?,
            5 => self.integer(i64::from(take_little(data, &mut at, 2)? as i16)),
            6 => self.integer(take_little(data, &mut at, 2)? as i64),
            7 => self.integer(i64::from(take_little(data, &mut at, 4)? as i32)),
            8 => self.integer(take_little(data, &mut at, 4)? as i64),
            9 => self.integer(take_little(data, &mut at, 8)? as i64),
            10 => self.unsigned(take_little(data, &mut at, 8)?),
            11 => self.double(f64::from_bits(take_little(data, &mut at, 8)?))?,
            12 => {
                let length = variable_length(data, &mut at)?;
                self.string(take(data, &mut at, length)?)?;
            }
            15 => {
                let type_ = take(data, &mut at, 1)?[0];
                let length = variable_length(data, &mut at)?;
                self.opaque(type_, take(data, &mut at, length)?)?;
            }
            _ => return broken("binary JSON has no such type"),
        }
        Ok(())
    }

    fn container(&mut self, type_: u8, data: &[u8], depth: usize) -> Result<()> {
        let (large, is_object) = (type_ & 1 == 1, type_ < 2);
        let width = if large { 4 } else { 2 };
        let number = |at: usize| -> Result<usize> { Ok(little(take(data, &mut { at }, width)?) as usize) };
        let (count, size) = (number(0)?, number(width)?);
        if size > data.len() || count > size {
            return broken("a JSON container is larger than its value");
        }
        let key_entries = 2 * width;
        let value_entries = key_entries + if is_object { count * (width + 2) } else { 0 };
        let key = |index: usize| -> Result<&[u8]> {
            let entry = key_entries + index * (width + 2);
            let length = take_little(data, &mut (entry + width), 2)? as usize;
            let key = take(data, &mut number(entry)?, length)?;
            match std::str::from_utf8(key) {
                Ok(_) => Ok(key),
                Err(_) => broken("a JSON key is not UTF-8"),
            }
        };
        let order = if self.form == Form::Canonical && is_object {
            sorted((0..count).map(key).collect::<Result<Vec<_>>>()?)
        } else {
            (0..count).collect()
        };
        self.out.push(if is_object { b'{' } else { b'[' });
        for (nth, index) in order.into_iter().enumerate() {
            if nth > 0 {
                self.out.push(b',');
            }
            if is_object {
                quote(self.out, key(index)?);
                self.out.push(b':');
            }
            let entry = value_entries + index * (width + 1);
            let value_type = take(data, &mut { entry }, 1)?[0];
            let inline = matches!(value_type, LITERAL..=6) || large && matches!(value_type, 7 | 8);
            if inline {
                self.value(value_type, &data[entry + 1..], depth + 1)?;
            } else {
                let offset = number(entry + 1)?;
                if offset + width <= entry || offset >= size {
                    return broken("a JSON value lies outside its container");
                }
                self.value(value_type, &data[offset..size], depth + 1)?;
            }
        }
        self.out.push(if is_object { b'}' } else { b']' });
        Ok(())
    }

    fn literal(&mut self, code: u8) -> Result<()> {
        self.out.extend_from_slice(match code {
            0 => b"null",
            1 => b"true",
            2 => b"false",
            _ => return broken("binary JSON has no such literal"),
        });
        Ok(())
    }

    fn integer(&mut self, number: i64) {
        match self.form {
            Form::Text => integer(self.out, number),
            Form::Canonical => Digits::of(itoa::Buffer::new().format(number).as_bytes()).canonical(self.out),
        }
    }

    fn unsigned(&mut self, number: u64) {
        match self.form {
            Form::Text => integer(self.out, number),
            Form::Canonical => Digits::of(itoa::Buffer::new().format(number).as_bytes()).canonical(self.out),
        }
    }

    fn double(&mut self, value: f64) -> Result<()> {
        match self.form {
            Form::Text => json_double(self.out, value),
            Form::Canonical => {
                self.scratch.clear();
                json_double(&mut self.scratch, value)?;
                Digits::of(&self.scratch).canonical(self.out);
                Ok(())
            }
        }
    }

    fn string(&mut self, data: &[u8]) -> Result<()> {
        if std::str::from_utf8(data).is_err() {
            return broken("a JSON string is not UTF-8");
        }
        quote(self.out, data);
        Ok(())
    }

    /// A value of a MySQL type that JSON lacks.
    fn opaque(&mut self, type_: u8, data: &[u8]) -> Result<()> {
        match type_ {
            246 => self.decimal(data)?,
            7 | 10 | 11 | 12 => {
                if data.len() != 8 {
                    return broken("a JSON date has other than 8 bytes");
                }
                self.out.push(b'"');
                packed_time(self.out, type_, little(data) as i64);
                self.out.push(b'"');
            }
            _ => {
                self.out.extend_from_slice(b"\"base64:type");
                integer(self.out, type_);
                self.out.push(b':');
                base64(self.out, data);
                self.out.push(b'"');
            }
        }
        Ok(())
    }

    fn decimal(&mut self, data: &[u8]) -> Result<()> {
        if data.len() < 2 {
            return broken("a JSON decimal is cut off");
        }
        self.scratch.clear();
        decimal(&mut self.scratch, &data[2..], data[0].into(), data[1].into())?;
        match self.form {
            Form::Text => json_decimal(self.out, &self.scratch),
            Form::Canonical => Digits::of(&self.scratch).canonical(self.out),
        }
        Ok(())
    }
}

/// The indexes in order of their keys' code points; of equal keys the last, as a parser keeps it.
fn sorted(keys: Vec<&[u8]>) -> Vec<usize> {
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_by(|&one, &other| keys[one].cmp(keys[other]).then(other.cmp(&one)));
    order.dedup_by(|later, kept| keys[*later] == keys[*kept]);
    order
}

fn variable_length(data: &[u8], at: &mut usize) -> Result<usize> {
    let mut length = 0;
    for shift in 0..5 {
        let byte = take(data, at, 1)?[0];
        length |= usize::from(byte & 0x7F) << (7 * shift);
        if byte & 0x80 == 0 {
            return Ok(length);
        }
    }
    broken("a JSON length has more than five bytes")
}

fn packed_time(out: &mut Vec<u8>, type_: u8, packed: i64) {
    let sign: &[u8] = if packed < 0 { b"-" } else { b"" };
    let packed = packed.unsigned_abs();
    let (whole, micros) = ((packed >> 24) as i64, (packed & 0xFF_FFFF) as i64);
    let clock = |out: &mut Vec<u8>, hours: i64| {
        padded(out, hours, 2);
        out.push(b':');
        padded(out, whole >> 6 & 63, 2);
        out.push(b':');
        padded(out, whole & 63, 2);
        out.push(b'.');
        padded(out, micros, 6);
    };
    if type_ == 11 {
        out.extend_from_slice(sign);
        clock(out, whole >> 12 & 0x3FF);
        return;
    }
    let days = whole >> 17;
    let months = days >> 5;
    padded(out, months / 13, 4);
    out.push(b'-');
    padded(out, months % 13, 2);
    out.push(b'-');
    padded(out, days & 31, 2);
    if type_ != 10 {
        out.push(b' ');
        clock(out, (whole & 0x1_FFFF) >> 12);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(hex: &str) -> Option<(String, String)> {
        let data: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        let (mut plain, mut sorted) = (Vec::new(), Vec::new());
        text(&mut plain, &data).ok()?;
        canonical(&mut sorted, &data).ok()?;
        Some((String::from_utf8(plain).unwrap(), String::from_utf8(sorted).unwrap()))
    }

    #[test]
    fn hand_made_values_are_read() {
        for (stored, plain, sorted) in [
            ("", "null", "null"),
            ("0401", "true", "true"),
            ("05ffff", "-1", "-1e0"),
            ("0affffffffffffffff", "18446744073709551615", "18446744073709551615e0"),
            ("0b000000000000f03f", "1.0", "1e0"),
            ("0c0161", "\"a\"", "\"a\""),
            ("0001000c000b00010005010061", "{\"a\":1}", "{\"a\":1e0}"),
            ("0202000c000501000c0a000178", "[1,\"x\"]", "[1e0,\"x\"]"),
        ] {
            assert_eq!(both(stored), Some((plain.to_owned(), sorted.to_owned())), "{stored}");
        }
    }

    #[test]
    fn keys_are_sorted_and_the_last_of_equal_ones_stays() {
        assert_eq!(sorted(vec![b"b", b"a", b"b"]), [1, 2]);
    }

    #[test]
    fn broken_values_are_refused() {
        for stored in ["01", "0d00", "0403", "05ff", "0c0561", "0c808080808001", "00ffffffff", "0f", "0ff605", "0c01ff"]
        {
            assert_eq!(both(stored), None, "{stored}");
        }
    }

    #[test]
    fn a_value_that_holds_itself_again_and_again_is_refused() {
        // an array of 40 pairs, each of which points twice at the next one
        let mut body = vec![0, 0, 4, 0];
        for _ in 0..40 {
            let size = body.len() as u16 + 10;
            let mut outer = vec![2, 0];
            outer.extend(size.to_le_bytes());
            for _ in 0..2 {
                outer.extend([2, 10, 0]);
            }
            outer.extend(&body);
            body = outer;
        }
        body.insert(0, 2);
        assert!(text(&mut Vec::new(), &body).is_err());
    }
}
