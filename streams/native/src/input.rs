//! From the bytes of the connection to packets of MySQL's protocol.

use crate::failure::{broken, Result};

const HEAD: usize = 4;
/// A packet of this size goes on in the next one.
const MORE_FOLLOWS: usize = 0xFF_FFFF;
/// No server sends an event of more bytes.
const LARGEST: usize = 1 << 30;

/// Bytes of room that are kept behind an event that took more.
const MOST_KEPT: usize = 4 << 20;

/// Bytes that came and were not read yet.
#[derive(Default)]
pub struct Input {
    data: Vec<u8>,
    at: usize,
    joined: Vec<u8>,
    joining: bool,
}

/// One whole packet, header taken off.
pub enum Packet {
    /// From, to; see `Input::slice`.
    Here(usize, usize),
    /// Put together from several.
    Joined(Vec<u8>),
}

impl Input {
    pub fn feed(&mut self, bytes: &[u8]) {
        self.data.drain(..self.at);
        self.at = 0;
        if self.data.len() + bytes.len() < MOST_KEPT {
            self.data.shrink_to(MOST_KEPT);
        }
        self.data.extend_from_slice(bytes);
    }

    pub fn slice(&self, from: usize, to: usize) -> &[u8] {
        &self.data[from..to]
    }

    /// The next packet, or `None` where it has not come whole.
    pub fn next(&mut self) -> Result<Option<Packet>> {
        while let Some(&[one, two, three, _]) = self.data.get(self.at..self.at + HEAD) {
            let size = usize::from(one) | usize::from(two) << 8 | usize::from(three) << 16;
            let (from, to) = (self.at + HEAD, self.at + HEAD + size);
            if self.data.len() < to {
                return Ok(None);
            }
            self.at = to;
            if !self.joining && size < MORE_FOLLOWS {
                return Ok(Some(Packet::Here(from, to)));
            }
            self.joined.extend_from_slice(&self.data[from..to]);
            self.joining = size == MORE_FOLLOWS;
            if self.joined.len() > LARGEST {
                return broken("an event has more than 1 GiB");
            }
            if !self.joining {
                return Ok(Some(Packet::Joined(std::mem::take(&mut self.joined))));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(body: &[u8]) -> Vec<u8> {
        let mut made = (body.len() as u32).to_le_bytes()[..3].to_vec();
        made.push(0);
        made.extend_from_slice(body);
        made
    }

    fn all(input: &mut Input) -> Vec<Vec<u8>> {
        let mut found = Vec::new();
        while let Some(packet) = input.next().unwrap() {
            found.push(match packet {
                Packet::Here(from, to) => input.slice(from, to).to_vec(),
                Packet::Joined(data) => data,
            });
        }
        found
    }

    #[test]
    fn packets_come_out_however_they_were_cut() {
        let bytes = [packet(b"one"), packet(b""), packet(b"three")].concat();
        for size in 1..bytes.len() {
            let mut input = Input::default();
            let mut found = Vec::new();
            for piece in bytes.chunks(size) {
                input.feed(piece);
                found.extend(all(&mut input));
            }
            assert_eq!(found, [&b"one"[..], b"", b"three"]);
        }
    }

    #[test]
    fn a_packet_of_the_greatest_size_goes_on_in_the_next() {
        let mut input = Input::default();
        input.feed(&packet(&vec![7; MORE_FOLLOWS]));
        assert!(all(&mut input).is_empty());
        input.feed(&packet(b"end"));
        input.feed(&packet(b"next"));
        let found = all(&mut input);
        assert_eq!(found[0].len(), MORE_FOLLOWS + 3);
        assert_eq!(found[1], b"next");
    }
}
