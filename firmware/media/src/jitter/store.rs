//! Where packets wait for their time: a ring of fixed slots, each packet at its sequence number's
//! place, so that reordering and duplicates sort themselves out without moving anything.

/// Slots: 2.5 s of 20 ms packets.
pub(crate) const SLOTS: usize = 128;
/// Largest payload kept: an Opus packet of one frame (RFC 6716 section 3.2.1) is at most 1275
/// bytes, 60 ms of G.711 is 480.
pub(crate) const MAX_PAYLOAD: usize = 1276;

/// What a waiting packet is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Sound for the decoder of this number.
    Sound(u8),
    /// A telephone event or comfort-noise packet: it takes a sequence number, but brings no sound
    /// of its own.
    Other,
}

/// One waiting packet's facts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Extended sequence number.
    pub(crate) sequence: i64,
    /// Extended RTP timestamp.
    pub(crate) timestamp: i64,
    /// What it is.
    pub(crate) kind: Kind,
}

struct Slot {
    used: bool,
    head: Head,
    len: u16,
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// It waits.
    Stored,
    /// It is there already.
    Duplicate,
    /// Its turn is over.
    Late,
    /// Its payload is larger than any codec's.
    TooLarge,
}

/// The ring.
pub(crate) struct Store {
    slots: Box<[Slot]>,
    payloads: Box<[u8]>,
    /// The next sequence number to be played, once known.
    next: Option<i64>,
    highest: i64,
    count: usize,
    dropped: u64,
}

impl Store {
    pub(crate) fn new() -> Self {
        let empty = || Slot {
            used: false,
            head: Head {
                sequence: 0,
                timestamp: 0,
                kind: Kind::Other,
            },
            len: 0,
        };
        Self {
            slots: (0..SLOTS).map(|_| empty()).collect(),
            payloads: vec![0; SLOTS * MAX_PAYLOAD].into_boxed_slice(),
            next: None,
            highest: i64::MIN,
            count: 0,
            dropped: 0,
        }
    }

    fn index(sequence: i64) -> usize {
        sequence.rem_euclid(SLOTS as i64) as usize
    }

    /// Takes a packet.
    pub(crate) fn insert(&mut self, head: Head, payload: &[u8]) -> Inserted {
        if payload.len() > MAX_PAYLOAD {
            return Inserted::TooLarge;
        }
        if self.next.is_some_and(|next| head.sequence < next) {
            return Inserted::Late;
        }
        let index = Self::index(head.sequence);
        if self.count > 0 {
            if self.slots[index].used && self.slots[index].head.sequence == head.sequence {
                return Inserted::Duplicate;
            }
            if head.sequence + (SLOTS as i64) <= self.highest {
                return Inserted::Late;
            }
            // Too far ahead for the ring: the oldest make room.
            while self.count > 0
                && self
                    .first_sequence()
                    .is_some_and(|first| first + SLOTS as i64 <= head.sequence)
            {
                self.pop();
                self.dropped += 1;
            }
        }
        let slot = &mut self.slots[index];
        slot.used = true;
        slot.head = head;
        slot.len = payload.len() as u16;
        self.payloads[index * MAX_PAYLOAD..index * MAX_PAYLOAD + payload.len()]
            .copy_from_slice(payload);
        self.highest = if self.count == 0 {
            head.sequence
        } else {
            self.highest.max(head.sequence)
        };
        self.count += 1;
        Inserted::Stored
    }

    fn first_sequence(&self) -> Option<i64> {
        if self.count == 0 {
            return None;
        }
        let from = (self.highest - SLOTS as i64 + 1).max(self.next.unwrap_or(i64::MIN));
        (from..=self.highest).find(|&s| {
            let slot = &self.slots[Self::index(s)];
            slot.used && slot.head.sequence == s
        })
    }

    /// The earliest waiting packet.
    pub(crate) fn head(&self) -> Option<Head> {
        self.first_sequence()
            .map(|s| self.slots[Self::index(s)].head)
    }

    /// The second earliest.
    pub(crate) fn second(&self) -> Option<Head> {
        let first = self.first_sequence()?;
        (first + 1..=self.highest).find_map(|s| {
            let slot = &self.slots[Self::index(s)];
            (slot.used && slot.head.sequence == s).then_some(slot.head)
        })
    }

    /// The latest.
    pub(crate) fn last(&self) -> Option<Head> {
        (self.count > 0).then(|| self.slots[Self::index(self.highest)].head)
    }

    /// The earliest packet's payload.
    pub(crate) fn payload(&self) -> &[u8] {
        match self.first_sequence() {
            Some(s) => {
                let index = Self::index(s);
                &self.payloads
                    [index * MAX_PAYLOAD..index * MAX_PAYLOAD + usize::from(self.slots[index].len)]
            }
            None => &[],
        }
    }

    /// Lets the earliest packet go; the sequence number after it is next.
    pub(crate) fn pop(&mut self) {
        if let Some(first) = self.first_sequence() {
            self.slots[Self::index(first)].used = false;
            self.count -= 1;
            self.next = Some(first + 1);
        }
    }

    /// The next sequence number to be played.
    pub(crate) fn next(&self) -> Option<i64> {
        self.next
    }

    /// Packets that wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Packets pushed out unplayed because the ring was full.
    #[cfg(test)]
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Forgets everything: a new source begins.
    pub(crate) fn clear(&mut self) {
        for slot in &mut self.slots {
            slot.used = false;
        }
        self.next = None;
        self.count = 0;
        self.highest = i64::MIN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(sequence: i64) -> Head {
        Head {
            sequence,
            timestamp: sequence * 160,
            kind: Kind::Sound(0),
        }
    }

    fn drain(store: &mut Store) -> Vec<i64> {
        let mut out = Vec::new();
        while let Some(h) = store.head() {
            assert_eq!(store.payload(), &[h.sequence as u8]);
            out.push(h.sequence);
            store.pop();
        }
        out
    }

    #[test]
    fn order_is_restored_and_copies_are_dropped() {
        let mut store = Store::new();
        for s in [5, 4, 6, 4, 8, 7, 7] {
            let want = matches!((s, store.len()), (4, 3) | (7, 5))
                .then_some(Inserted::Duplicate)
                .unwrap_or(Inserted::Stored);
            assert_eq!(store.insert(head(s), &[s as u8]), want, "{s}");
        }
        assert_eq!(drain(&mut store), [4, 5, 6, 7, 8]);
        assert_eq!(store.insert(head(6), &[6]), Inserted::Late);
        assert_eq!(
            store.insert(head(9), &[0; MAX_PAYLOAD + 1]),
            Inserted::TooLarge
        );
    }

    #[test]
    fn the_ring_never_holds_more_than_its_slots() {
        let mut store = Store::new();
        for s in 0..1000 {
            store.insert(head(s), &[s as u8]);
            assert!(store.len() <= SLOTS);
        }
        assert_eq!(
            drain(&mut store),
            (1000 - SLOTS as i64..1000).collect::<Vec<_>>()
        );
        assert_eq!(store.dropped(), 1000 - SLOTS as u64);
        store.insert(head(1010), &[1]);
        store.insert(head(900_000), &[2]);
        assert_eq!(store.len(), 1, "a far jump leaves only the new");
    }
}
