//! What was read from a socket and not yet understood. Grows while reads fill it, shrinks when they
//! no longer do, and takes one whole operation however long it may be.

/// What a new connection begins with, in bytes.
const CAPACITY_MIN: usize = 4 * 1024;
/// What reads that fill the buffer let it grow to, in bytes; only an operation that is longer takes
/// it further.
const CAPACITY_FOR_SPEED_MAX: usize = 128 * 1024;
/// So many reads that left most of the buffer empty make it shrink.
const SHORT_READS_MAX: u32 = 8;

/// A buffer with unread bytes between `start` and `end`.
#[derive(Debug)]
pub(crate) struct ReadBuffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    short_reads: u32,
}

impl ReadBuffer {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; CAPACITY_MIN],
            start: 0,
            end: 0,
            short_reads: 0,
        }
    }

    /// What was read and not consumed.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Where the next bytes go; never empty after [`Self::make_room`].
    pub(crate) fn spare(&mut self) -> &mut [u8] {
        &mut self.bytes[self.end..]
    }

    /// `count` bytes were written to [`Self::spare`].
    pub(crate) fn filled(&mut self, count: usize) {
        let was_full = count == self.bytes.len() - self.end;
        self.end += count;
        if was_full {
            self.short_reads = 0;
            let len = self.bytes.len();
            if len < CAPACITY_FOR_SPEED_MAX {
                self.bytes.resize(len * 2, 0);
            }
        } else if count < self.bytes.len() / 4 {
            self.short_reads += 1;
        } else {
            self.short_reads = 0;
        }
    }

    /// `count` bytes were understood.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end, "only what was read is consumed");
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Makes room for at least `need` more bytes behind those that are unread, `need` at least 1.
    pub(crate) fn make_room(&mut self, need: usize) {
        let unread = self.end - self.start;
        if self.short_reads > SHORT_READS_MAX && self.bytes.len() > CAPACITY_MIN {
            self.short_reads = 0;
            let capacity = (self.bytes.len() / 2).max(unread + need).max(CAPACITY_MIN);
            self.move_to(capacity);
        }
        if self.bytes.len() - self.end >= need {
            return;
        }
        if self.bytes.len() - unread >= need {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, unread);
        } else {
            self.move_to(unread + need);
        }
    }

    fn move_to(&mut self, capacity: usize) {
        let mut bytes = Vec::with_capacity(capacity);
        bytes.extend_from_slice(self.unread());
        let unread = bytes.len();
        bytes.resize(capacity, 0);
        self.bytes = bytes;
        (self.start, self.end) = (0, unread);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(buffer: &mut ReadBuffer, bytes: &[u8]) {
        buffer.make_room(bytes.len().max(1));
        buffer.spare()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    }

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_the_cuts() {
        let mut buffer = ReadBuffer::new();
        let stream: Vec<u8> = (0..200_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut fed, mut taken) = (0, Vec::new());
        for step in (1..=977).cycle() {
            let part = &stream[fed..stream.len().min(fed + step)];
            read(&mut buffer, part);
            fed += part.len();
            let count = if fed == stream.len() {
                buffer.unread().len()
            } else {
                step / 2
            };
            taken.extend_from_slice(&buffer.unread()[..count]);
            buffer.consume(count);
            if fed == stream.len() {
                break;
            }
        }
        assert!(taken == stream);
    }

    #[test]
    fn full_reads_make_it_grow_to_a_bound_and_short_ones_make_it_shrink() {
        let mut buffer = ReadBuffer::new();
        for _ in 0..20 {
            buffer.make_room(1);
            let room = buffer.spare().len();
            buffer.filled(room);
            buffer.consume(buffer.unread().len());
        }
        assert_eq!(buffer.bytes.len(), CAPACITY_FOR_SPEED_MAX);
        for _ in 0..200 {
            read(&mut buffer, b"PING\r\n");
            buffer.consume(6);
        }
        assert_eq!(buffer.bytes.len(), CAPACITY_MIN);
    }

    #[test]
    fn a_long_operation_fits_whole() {
        let mut buffer = ReadBuffer::new();
        read(&mut buffer, b"head");
        buffer.make_room(1_000_000);
        assert!(buffer.spare().len() >= 1_000_000);
        assert_eq!(buffer.unread(), b"head");
    }
}
