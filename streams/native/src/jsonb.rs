//! MySQL's binary JSON, as JSON text in stored order and in the canonical form.
//!
//! The text is that of `streams.binlog.jsonb`, byte for byte; its module says where the format is described.

use std::borrow::Cow;

use crate::bytes::{little, take, take_little};
use crate::failure::{broken, Result};
use crate::number::{decimal, json_decimal, json_double, Digits};
use crate::text::{base64, integer, padded, quote};

/// MySQL itself stores nothing deeper than 100.
pub const DEEPEST: usize = 128;
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

/// A value as it is stored, or a container that was taken apart to be changed.
pub enum Node<'a> {
    Stored(u8, &'a [u8]),
    Object(Vec<(Cow<'a, [u8]>, Node<'a>)>),
    Array(Vec<Node<'a>>),
}

/// A whole JSON value, and the bytes that it is made of.
pub struct Document<'a> {
    pub root: Node<'a>,
    pub size: usize,
}

impl<'a> Document<'a> {
    /// The empty value, that an INSERT IGNORE may leave, is `null`.
    pub fn stored(data: &'a [u8]) -> Document<'a> {
        let root = match data.split_first() {
            Some((&type_, body)) => Node::Stored(type_, body),
            None => Node::Stored(LITERAL, &[0]),
        };
        Document { root, size: data.len() }
    }

    /// Its JSON text, in stored order.
    pub fn text(&self, out: &mut Vec<u8>) -> Result<()> {
        self.written(out, Form::Text)
    }

    /// Keys sorted, every number in one spelling.
    pub fn canonical(&self, out: &mut Vec<u8>) -> Result<()> {
        self.written(out, Form::Canonical)
    }

    fn written(&self, out: &mut Vec<u8>, form: Form) -> Result<()> {
        let room = out.len() + self.size * LONGEST + 64;
        Writer { out, form, room, scratch: Vec::new() }.node(&self.root, 0)
    }
}

/// A stored object or array.
pub struct Container<'a> {
    data: &'a [u8],
    large: bool,
    pub is_object: bool,
    pub count: usize,
    size: usize,
    values: usize,
}

impl<'a> Container<'a> {
    pub fn new(type_: u8, data: &'a [u8]) -> Result<Container<'a>> {
        if type_ > LARGE_ARRAY {
            return broken("a JSON value that is no container holds no others");
        }
        let (large, is_object) = (type_ & 1 == 1, type_ < 2);
        let mut made = Container { data, large, is_object, count: 0, size: 0, values: 0 };
        let width = made.width();
        (made.count, made.size) = (made.number(0)?, made.number(width)?);
        if made.size > data.len() || made.count > made.size {
            return broken("a JSON container is larger than its value");
        }
        made.values = 2 * width + if is_object { made.count * (width + 2) } else { 0 };
        Ok(made)
    }

    fn width(&self) -> usize {
        if self.large {
            4
        } else {
            2
        }
    }

    fn number(&self, at: usize) -> Result<usize> {
        Ok(little(take(self.data, &mut { at }, self.width())?) as usize)
    }

    /// Of an object.
    pub fn key(&self, index: usize) -> Result<&'a [u8]> {
        let width = self.width();
        let entry = 2 * width + index * (width + 2);
        let length = take_little(self.data, &mut (entry + width), 2)? as usize;
        let key = take(self.data, &mut self.number(entry)?, length)?;
        match std::str::from_utf8(key) {
            Ok(_) => Ok(key),
            Err(_) => broken("a JSON key is not UTF-8"),
        }
    }

    /// Its type, and the bytes that it begins with.
    pub fn value(&self, index: usize) -> Result<(u8, &'a [u8])> {
        let width = self.width();
        let entry = self.values + index * (width + 1);
        let type_ = take(self.data, &mut { entry }, 1)?[0];
        if matches!(type_, LITERAL..=6) || self.large && matches!(type_, 7 | 8) {
            return Ok((type_, &self.data[entry + 1..]));
        }
        let offset = self.number(entry + 1)?;
        if offset + width <= entry || offset >= self.size {
            return broken("a JSON value lies outside its container");
        }
        Ok((type_, &self.data[offset..self.size]))
    }
}

impl Writer<'_> {
    fn check(&self, depth: usize) -> Result<()> {
        if self.out.len() > self.room || depth > DEEPEST {
            return broken("binary JSON is nested too deep, or repeats itself");
        }
        Ok(())
    }

    fn node(&mut self, node: &Node, depth: usize) -> Result<()> {
        match node {
            Node::Stored(type_, data) => self.value(*type_, data, depth),
            Node::Object(members) => {
                self.check(depth)?;
                let order = self.order((0..members.len()).map(|index| &*members[index].0).collect());
                self.between(b"{}", order, |writer, index| {
                    let (key, inner) = &members[index];
                    writer.label(key);
                    writer.node(inner, depth + 1)
                })
            }
            Node::Array(items) => {
                self.check(depth)?;
                self.between(b"[]", (0..items.len()).collect(), |writer, index| writer.node(&items[index], depth + 1))
            }
        }
    }

    fn value(&mut self, type_: u8, data: &[u8], depth: usize) -> Result<()> {
        self.check(depth)?;
        let mut at = 0;
        match type_ {
            0..=LARGE_ARRAY => self.container(&Container::new(type_, data)?, depth)?,
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

    fn container(&mut self, container: &Container, depth: usize) -> Result<()> {
        if !container.is_object {
            return self.between(b"[]", (0..container.count).collect(), |writer, index| {
                let (type_, data) = container.value(index)?;
                writer.value(type_, data, depth + 1)
            });
        }
        let order = match self.form {
            Form::Canonical => self.order((0..container.count).map(|at| container.key(at)).collect::<Result<_>>()?),
            Form::Text => (0..container.count).collect(),
        };
        self.between(b"{}", order, |writer, index| {
            writer.label(container.key(index)?);
            let (type_, data) = container.value(index)?;
            writer.value(type_, data, depth + 1)
        })
    }

    /// The indexes of an object's members as they are written.
    fn order(&self, keys: Vec<&[u8]>) -> Vec<usize> {
        match self.form {
            Form::Canonical => sorted(keys),
            Form::Text => (0..keys.len()).collect(),
        }
    }

    fn label(&mut self, key: &[u8]) {
        quote(self.out, key);
        self.out.push(b':');
    }

    fn between(
        &mut self,
        marks: &[u8; 2],
        order: Vec<usize>,
        mut write: impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        self.out.push(marks[0]);
        for (nth, index) in order.into_iter().enumerate() {
            if nth > 0 {
                self.out.push(b',');
            }
            write(self, index)?;
        }
        self.out.push(marks[1]);
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
        Document::stored(&data).text(&mut plain).ok()?;
        Document::stored(&data).canonical(&mut sorted).ok()?;
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
        assert!(Document::stored(&body).text(&mut Vec::new()).is_err());
    }
}
