//! Reading numbers and slices out of an event, never beyond its end.

use crate::failure::{broken, Result};

/// The next `size` bytes; `at` moves behind them.
pub fn take<'a>(data: &'a [u8], at: &mut usize, size: usize) -> Result<&'a [u8]> {
    let end = at.checked_add(size);
    match end.and_then(|end| data.get(*at..end)) {
        Some(found) => {
            *at += size;
            Ok(found)
        }
        None => broken("a value runs beyond its event"),
    }
}

/// An unsigned little-endian number of up to 8 bytes.
pub fn little(data: &[u8]) -> u64 {
    data.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// An unsigned big-endian number of up to 8 bytes.
pub fn big(data: &[u8]) -> u64 {
    data.iter().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

pub fn take_little(data: &[u8], at: &mut usize, size: usize) -> Result<u64> {
    Ok(little(take(data, at, size)?))
}

pub fn take_big(data: &[u8], at: &mut usize, size: usize) -> Result<u64> {
    Ok(big(take(data, at, size)?))
}

/// A length-encoded integer of MySQL's protocol.
pub fn take_lenenc(data: &[u8], at: &mut usize) -> Result<u64> {
    match take(data, at, 1)?[0] {
        0xFC => take_little(data, at, 2),
        0xFD => take_little(data, at, 3),
        0xFE => take_little(data, at, 8),
        0xFB | 0xFF => broken("a length-encoded integer starts with 0xFB or 0xFF"),
        first => Ok(u64::from(first)),
    }
}

/// A length-encoded length, as a `usize`.
pub fn take_length(data: &[u8], at: &mut usize) -> Result<usize> {
    usize::try_from(take_lenenc(data, at)?).or_else(|_| broken("a length has more than 64 bits"))
}

/// An unsigned integer of MySQL's serialization library; see `streams.binlog.lengths`.
pub fn take_varlen(data: &[u8], at: &mut usize) -> Result<u64> {
    let first = take(data, &mut { *at }, 1)?[0];
    let ones = first.trailing_ones() as usize;
    let raw = take(data, at, ones + 1)?;
    Ok(if ones == 8 { little(&raw[1..]) } else { little(raw) >> (ones + 1) })
}

/// The same for signed integers.
pub fn take_signed_varlen(data: &[u8], at: &mut usize) -> Result<i64> {
    let number = take_varlen(data, at)?;
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_encoded_integers_are_read_in_all_their_widths() {
        for (data, number, end) in [
            (&b"\x00\xaa"[..], 0, 1),
            (b"\xfa\xaa", 250, 1),
            (b"\xfc\xfb\x00\xaa", 251, 3),
            (b"\xfd\xff\xff\x01\xaa", 131_071, 4),
            (b"\xfe\x00\x00\x00\x00\x01\x00\x00\x00\xaa", 1 << 32, 9),
        ] {
            let mut at = 0;
            assert_eq!(take_lenenc(data, &mut at).unwrap(), number);
            assert_eq!(at, end);
        }
    }

    #[test]
    fn integers_of_variable_length_are_read_in_all_their_widths() {
        for (data, number) in [
            (&b"\x00"[..], 0),
            (b"\xfe", 127),
            (b"\x01\x02", 128),
            (b"\xfb\xff\x07", 65_535),
            (b"\xff\x01\0\0\0\0\0\0\x80", 1 << 63 | 1),
        ] {
            let mut at = 0;
            assert_eq!(take_varlen(data, &mut at).unwrap(), number);
            assert_eq!(at, data.len());
        }
        assert_eq!(take_signed_varlen(b"\xf3\xff\x0f", &mut 0).unwrap(), 65_535);
        assert_eq!(take_signed_varlen(b"\xfb\xff\x0f", &mut 0).unwrap(), -65_536);
        assert!(take_varlen(b"\x01", &mut 0).is_err());
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for data in [&b""[..], b"\xfb", b"\xff", b"\xfc\x00", b"\xfe\x00\x00"] {
            assert!(take_lenenc(data, &mut 0).is_err());
        }
        assert!(take(b"abc", &mut 2, usize::MAX).is_err());
    }
}
