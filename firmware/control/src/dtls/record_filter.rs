//! Which records of a datagram are passed on to the DTLS library. Until a handshake is complete
//! nothing proves who sent a datagram, and the library does not defend itself: a record that it
//! cannot read ends the handshake, alerts in clear are believed, fragments of messages are kept
//! without a limit and put together by recursion. So each record is checked here first.
//!
//! ```text
//! datagram ─▶ records ─┬─ in clear: whole messages or plausible fragments, ChangeCipherSpec ─┐
//!                      ├─ of the next epoch: sealed, for the library to open ────────────────┼─▶ the same records ─▶ library
//!                      └─ alerts in clear, application data, other epochs, malformed ─▶ ×    └─ up to so many bytes and fragments
//! ```

/// Of a record's header: type, version, epoch, number, length.
const RECORD: usize = 13;
/// Of a message's header: type, length, number, offset and length of the fragment.
const MESSAGE: usize = 12;
/// Longest message taken: a chain of several RSA certificates fits.
const LONGEST_MESSAGE: usize = 12 * 1024;
/// A handshake has eight messages a side at most (RFC 6347 section 4.2.4, a hello said twice).
const MOST_MESSAGES: u16 = 12;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
/// The level of an alert that ends a connection.
const FATAL: u8 = 2;

/// How much a handshake, or what comes after it, may hand to the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordFilter {
    records: u32,
    bytes: usize,
    fragments: u32,
}

/// The far end sends more than any handshake needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LimitExceeded;

/// One record of a datagram.
struct Record<'a> {
    kind: u8,
    epoch: u16,
    whole: &'a [u8],
    body: &'a [u8],
}

/// The whole records a datagram begins with; what is cut off behind them counts for nothing (RFC
/// 6347 section 4.1.2.7).
fn records(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (&[kind, major, _, high, low, _, _, _, _, _, _, long, short], _) =
            datagram.split_first_chunk::<RECORD>()?;
        let end = RECORD + usize::from(u16::from_be_bytes([long, short]));
        let (whole, rest) = datagram.split_at_checked(end).filter(|_| major == 254)?;
        datagram = rest;
        Some(Record {
            kind,
            epoch: u16::from_be_bytes([high, low]),
            whole,
            body: &whole[RECORD..],
        })
    })
}

/// What a fatal alert in clear says, if there is one in this datagram.
pub(crate) fn fatal_alert_in_clear(datagram: &[u8]) -> Option<u8> {
    records(datagram).find_map(|record| match (record.kind, record.epoch, record.body) {
        (ALERT, 0, [FATAL, what, ..]) => Some(*what),
        (_, _, _) => None,
    })
}

/// How many fragments of messages a record holds; `None`: it holds something else.
fn fragments(mut body: &[u8]) -> Option<u32> {
    let number = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let mut count = 0;
    while !body.is_empty() {
        let (header, rest) = body.split_first_chunk::<MESSAGE>()?;
        let (length, offset, part) = (
            number(&header[1..4]),
            number(&header[6..9]),
            number(&header[9..12]),
        );
        let possible = length <= LONGEST_MESSAGE
            && u16::from_be_bytes([header[4], header[5]]) < MOST_MESSAGES
            && offset + part <= length
            && (part > 0 || length == 0);
        let (_, rest) = rest.split_at_checked(part).filter(|_| possible)?;
        // The library takes what follows a fragment for more of it.
        if part < length && !rest.is_empty() {
            return None;
        }
        body = rest;
        count += 1;
    }
    (count > 0).then_some(count)
}

impl RecordFilter {
    /// For a handshake. One with certificates of 12 kB, every flight of it repeated seven times,
    /// needs less.
    pub(crate) const fn handshake() -> Self {
        Self {
            records: 400,
            bytes: 128 * 1024,
            fragments: 256,
        }
    }

    /// For a complete one, which only ever hears its last flight again.
    pub(crate) const fn afterwards() -> Self {
        Self {
            records: 100,
            bytes: 32 * 1024,
            fragments: 64,
        }
    }

    /// The records of a datagram that may pass, possibly none.
    pub(crate) fn pass(&mut self, datagram: &[u8]) -> Result<Vec<u8>, LimitExceeded> {
        let mut passed = Vec::new();
        for record in records(datagram) {
            let found = match (record.epoch, record.kind, record.body) {
                (0, HANDSHAKE, body) => fragments(body),
                (0, CHANGE_CIPHER_SPEC, [1])
                | (1, CHANGE_CIPHER_SPEC | ALERT | HANDSHAKE, [_, ..]) => Some(1),
                (_, _, _) => None,
            };
            let Some(found) = found else { continue };
            let left = (|| {
                Some(Self {
                    records: self.records.checked_sub(1)?,
                    bytes: self.bytes.checked_sub(record.whole.len())?,
                    fragments: self.fragments.checked_sub(found)?,
                })
            })();
            *self = left.ok_or(LimitExceeded)?;
            passed.extend_from_slice(record.whole);
        }
        Ok(passed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(kind: u8, epoch: u16, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 254, 253];
        out.extend(epoch.to_be_bytes());
        out.extend([0, 0, 0, 0, 0, 9]);
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    /// A fragment of a message of this length and number.
    pub(crate) fn fragment(
        length: u32,
        number: u16,
        offset: u32,
        part: u32,
        content: &[u8],
    ) -> Vec<u8> {
        let mut out = vec![1];
        out.extend(&length.to_be_bytes()[1..]);
        out.extend(number.to_be_bytes());
        out.extend(&offset.to_be_bytes()[1..]);
        out.extend(&part.to_be_bytes()[1..]);
        out.extend(content);
        out
    }

    fn passed(datagram: &[u8]) -> Vec<u8> {
        RecordFilter::handshake().pass(datagram).unwrap()
    }

    #[test]
    fn only_handshake_records_pass() {
        let whole = record(HANDSHAKE, 0, &fragment(3, 0, 0, 3, b"abc"));
        let two = record(
            HANDSHAKE,
            0,
            &[fragment(3, 0, 0, 3, b"abc"), fragment(0, 1, 0, 0, b"")].concat(),
        );
        let part = record(HANDSHAKE, 0, &fragment(300, 2, 100, 3, b"abc"));
        let change = record(CHANGE_CIPHER_SPEC, 0, &[1]);
        let sealed = record(HANDSHAKE, 1, &[7; 40]);
        let sealed_alert = record(ALERT, 1, &[7; 26]);
        let flight = [&whole[..], &two, &part, &change, &sealed, &sealed_alert].concat();
        assert_eq!(passed(&flight), flight);
        for bad in [
            record(ALERT, 0, &[2, 40]),
            record(23, 0, b"data"),
            record(23, 1, b"sealed data"),
            record(HANDSHAKE, 2, &[7; 40]),
            record(24, 0, b"heartbeat"),
            record(CHANGE_CIPHER_SPEC, 0, &[2]),
            record(CHANGE_CIPHER_SPEC, 0, &[1, 1]),
            record(HANDSHAKE, 0, b""),
            record(HANDSHAKE, 1, b""),
            record(HANDSHAKE, 0, &fragment(3, 0, 0, 3, b"ab")),
            record(HANDSHAKE, 0, &fragment(3, 12, 0, 3, b"abc")),
            record(HANDSHAKE, 0, &fragment(3, 0, 1, 3, b"abc")),
            record(HANDSHAKE, 0, &fragment(3, 0, 1, 0, b"")),
            record(HANDSHAKE, 0, &fragment(0, 0, 0, 1, b"")),
            record(HANDSHAKE, 0, &fragment(0x00ff_ffff, 0, 0, 3, b"abc")),
            record(
                HANDSHAKE,
                0,
                &[fragment(6, 0, 0, 3, b"abc"), fragment(6, 0, 3, 3, b"def")].concat(),
            ),
        ] {
            // Between two good records it goes, and they stay.
            assert_eq!(
                passed(&[&whole[..], &bad, &change].concat()),
                [&whole[..], &change].concat(),
                "{bad:?}"
            );
        }
        for end in 0..whole.len() {
            assert_eq!(
                passed(&[&whole[..], &whole[..end]].concat()),
                whole,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn alerts_are_found_at_any_position() {
        let whole = record(HANDSHAKE, 0, &fragment(3, 0, 0, 3, b"abc"));
        let alert = record(ALERT, 0, &[2, 40]);
        assert_eq!(fatal_alert_in_clear(&alert), Some(40));
        assert_eq!(
            fatal_alert_in_clear(&[&whole[..], &alert].concat()),
            Some(40)
        );
        for none in [
            whole,
            record(ALERT, 0, &[1, 0]),
            record(ALERT, 1, &[2, 40]),
            record(ALERT, 0, &[2]),
            alert[..14].to_vec(),
        ] {
            assert_eq!(fatal_alert_in_clear(&none), None, "{none:?}");
        }
    }

    #[test]
    fn every_limit_is_enforced() {
        let small = record(HANDSHAKE, 0, &fragment(300, 0, 0, 1, b"a"));
        let large = record(HANDSHAKE, 1, &vec![7; 16_000]);
        let many = record(HANDSHAKE, 0, &fragment(0, 0, 0, 0, b"").repeat(100));
        let change = record(CHANGE_CIPHER_SPEC, 0, &[1]);
        for (datagram, most) in [(small, 256), (large, 8), (many, 2), (change, 256)] {
            let mut record_filter = RecordFilter::handshake();
            let taken = (0..1000)
                .take_while(|_| record_filter.pass(&datagram).is_ok())
                .count();
            assert_eq!(taken, most);
            assert_eq!(
                record_filter.pass(&datagram),
                Err(LimitExceeded),
                "and stays so"
            );
        }
    }
}
