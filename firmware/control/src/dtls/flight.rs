//! The last flight sent, repeated where the library would leave both ends waiting.
//!
//! RFC 6347 section 4.2.4: who waits for a flight repeats the own one until it comes. rtc-dtls
//! 0.21 stops its timer as soon as any message of the awaited flight arrives and does not start it
//! again if the flight was not whole, or only the one before once more. If the rest is lost, it
//! sends nothing any more. And it gives a handshake up after [`LIBRARY_REPEATS`] repeats, four
//! seconds, where all it could do then is to begin another with another `ClientHello.random`: a
//! server that was only slow answers the first, and its signature does not fit the second.
//!
//! A repeated record needs a number of its own, otherwise the peer drops it as a replay (section
//! 4.1.2.6). Those of epoch 0 are not authenticated and get their numbers here, all of them, so
//! that the library's and the repeated ones never collide. Of epoch 1 there is one, Finished: if
//! the peer has it, it does not need it again.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A flight is sent again after this time. RFC 6347 section 4.2.4.1 wants a second where nothing
/// better is known: here somebody waits for sound, and flights are small.
pub(crate) const RETRANSMISSION: Duration = Duration::from_millis(500);
/// How often the library repeats a flight; at the next time it would give up.
pub(crate) const LIBRARY_REPEATS: u32 = 7;
/// How often in a handshake flights are repeated from here: with the library's repeats, until the
/// longest handshake is over.
const MOST_REPEATS: u32 = 22;
/// Header of a record (RFC 6347 section 4.1): type, version, epoch, number, length.
const RECORD: usize = 13;

/// It was repeated often enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

/// The datagrams sent last and when they are due again.
#[derive(Debug, Default)]
pub(crate) struct LastFlight {
    datagrams: Vec<Vec<u8>>,
    /// Number of the next record of epoch 0.
    next_number: u64,
    /// Set only while the library's own timer does not run.
    due: Option<Instant>,
    repeats: u32,
}

impl LastFlight {
    /// The library sends these datagrams now; an empty list changes nothing.
    pub(crate) fn send(&mut self, datagrams: Vec<Vec<u8>>, out: &mut VecDeque<Vec<u8>>) {
        if !datagrams.is_empty() {
            self.datagrams = datagrams;
            self.due = None;
            self.transmit(out);
        }
    }

    /// What the library's timer does: while it runs, or once nothing is awaited, none is needed
    /// here.
    pub(crate) fn watch(&mut self, library_waits: bool, complete: bool, now: Instant) {
        if library_waits || complete || self.datagrams.is_empty() {
            self.due = None;
        } else {
            self.due.get_or_insert(now + RETRANSMISSION);
        }
    }

    /// When the flight is due again.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Repeats the flight if it is due.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Instant,
        out: &mut VecDeque<Vec<u8>>,
    ) -> Result<(), Exhausted> {
        if self.due.is_none_or(|due| due > now) {
            return Ok(());
        }
        self.due = None;
        if self.repeats >= MOST_REPEATS {
            return Err(Exhausted);
        }
        self.repeats += 1;
        self.transmit(out);
        Ok(())
    }

    fn transmit(&mut self, out: &mut VecDeque<Vec<u8>>) {
        for datagram in &mut self.datagrams {
            number_records(datagram, &mut self.next_number);
            out.push_back(datagram.clone());
        }
    }
}

/// Gives each record of epoch 0 the next number.
fn number_records(mut datagram: &mut [u8], next: &mut u64) {
    while let Some((header, rest)) = datagram.split_first_chunk_mut::<RECORD>() {
        if header[3..5] == [0, 0] {
            header[5..11].copy_from_slice(&next.to_be_bytes()[2..]);
            *next += 1;
        }
        let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
        datagram = rest.get_mut(length..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u8, number: u8, body: &[u8]) -> Vec<u8> {
        let header = [
            22,
            254,
            253,
            0,
            epoch,
            0,
            0,
            0,
            0,
            0,
            number,
            0,
            body.len() as u8,
        ];
        [&header[..], body].concat()
    }

    #[test]
    fn clear_records_get_new_numbers_and_sealed_ones_keep_theirs() {
        let now = crate::test_origin();
        let (mut flight, mut out) = (LastFlight::default(), VecDeque::new());
        flight.send(vec![record(0, 0, b"hello")], &mut out);
        let certificate = [record(0, 1, b"certificate"), record(0, 2, b"")].concat();
        let finished = record(1, 0, b"finished");
        flight.send(vec![certificate, finished.clone()], &mut out);
        flight.watch(false, false, now);
        let due = flight.poll_timeout().unwrap();
        assert_eq!(due, now + RETRANSMISSION);
        assert_eq!(flight.handle_timeout(due, &mut out), Ok(()));
        let again =
            |first: u8| [record(0, first, b"certificate"), record(0, first + 1, b"")].concat();
        assert_eq!(
            Vec::from(out),
            [
                record(0, 0, b"hello"),
                again(1),
                finished.clone(),
                again(3),
                finished
            ]
        );
    }

    #[test]
    fn nothing_is_due_while_the_library_waits_or_at_the_end() {
        let now = crate::test_origin();
        let (mut flight, mut out) = (LastFlight::default(), VecDeque::new());
        flight.watch(false, false, now);
        assert_eq!(flight.poll_timeout(), None, "nothing was sent yet");
        flight.send(vec![record(0, 0, b"hello")], &mut out);
        for (library_waits, complete) in [(true, false), (false, true), (true, true)] {
            flight.watch(library_waits, complete, now);
            assert_eq!(flight.poll_timeout(), None);
        }
        flight.watch(false, false, now);
        flight.watch(false, false, now + RETRANSMISSION / 2);
        assert_eq!(flight.poll_timeout(), Some(now + RETRANSMISSION));
    }

    #[test]
    fn repeats_are_bounded_and_malformed_datagrams_are_sent_as_they_are() {
        let mut now = crate::test_origin();
        let (mut flight, mut out) = (LastFlight::default(), VecDeque::new());
        let mut cut = record(0, 0, b"a record that is cut off");
        cut.truncate(20);
        flight.send(vec![cut, vec![22; 5]], &mut out);
        for _ in 0..MOST_REPEATS {
            flight.watch(false, false, now);
            now += RETRANSMISSION;
            assert_eq!(flight.handle_timeout(now, &mut out), Ok(()));
        }
        flight.watch(false, false, now);
        assert_eq!(
            flight.handle_timeout(now + RETRANSMISSION, &mut out),
            Err(Exhausted)
        );
        assert_eq!(out.len(), 2 * (MOST_REPEATS as usize + 1));
    }
}
