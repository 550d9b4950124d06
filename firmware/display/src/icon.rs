//! Small pictures of the status bar.

/// Pixels across and down.
pub(crate) const SIZE: u32 = 8;

/// One picture of the status bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    /// No line can be used.
    NoLine,
    /// The call is encrypted.
    Encrypted,
    /// It was to be, and is not.
    NotEncrypted,
    /// The microphone is off.
    Muted,
    /// One talks without the handset.
    HandsFree,
    /// The bell is silent: do not disturb, or quiet hours.
    Silent,
    /// Calls are forwarded.
    Forwarded,
    /// Messages wait.
    Message,
    /// Calls were missed.
    Missed,
    /// How well the call is heard: 0 to 4.
    Quality(u8),
}

impl Icon {
    /// Whether a pixel of it is lit.
    pub(crate) fn is_lit(self, x: u32, y: u32) -> bool {
        if let Self::Quality(bars) = self {
            // Four bars, each taller than the one before; a missing one leaves its foot.
            let bar = x / 2;
            let tall = x.is_multiple_of(2) && y >= 6 - bar.min(3) * 2;
            let foot = y == SIZE - 1 && x.is_multiple_of(2);
            return foot || (bar < u32::from(bars.min(4)) && tall);
        }
        let row = self.rows()[y.min(SIZE - 1) as usize];
        row & (0x80 >> x.min(SIZE - 1)) != 0
    }

    const fn rows(self) -> [u8; SIZE as usize] {
        match self {
            Self::NoLine => [0x82, 0x44, 0x28, 0x10, 0x28, 0x44, 0x82, 0x00],
            Self::Encrypted => [0x3c, 0x42, 0x42, 0xff, 0xe7, 0xe7, 0xff, 0xff],
            Self::NotEncrypted => [0x0f, 0x11, 0x10, 0xfe, 0xce, 0xce, 0xfe, 0xfe],
            Self::Muted => [0x9c, 0x5c, 0x3c, 0x1e, 0x3b, 0x22, 0x1d, 0x3e],
            Self::HandsFree => [0x0a, 0x19, 0xf9, 0xf9, 0xf9, 0xf9, 0x19, 0x0a],
            Self::Silent => [0x91, 0x5a, 0x3c, 0x3c, 0x7e, 0x4e, 0xff, 0x19],
            Self::Forwarded => [0x10, 0x18, 0xfc, 0xfe, 0xfc, 0x98, 0x90, 0x80],
            Self::Message => [0xff, 0xc3, 0xa5, 0x99, 0x81, 0x81, 0xff, 0x00],
            Self::Missed => [0x81, 0x42, 0x24, 0x18, 0x00, 0x7e, 0xc3, 0xc3],
            Self::Quality(_) => [0; SIZE as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Icon; 14] = [
        Icon::NoLine,
        Icon::Encrypted,
        Icon::NotEncrypted,
        Icon::Muted,
        Icon::HandsFree,
        Icon::Silent,
        Icon::Forwarded,
        Icon::Message,
        Icon::Missed,
        Icon::Quality(0),
        Icon::Quality(1),
        Icon::Quality(2),
        Icon::Quality(3),
        Icon::Quality(4),
    ];

    #[test]
    fn no_two_look_alike() {
        let pixels = |icon: Icon| -> Vec<bool> {
            (0..SIZE)
                .flat_map(|y| (0..SIZE).map(move |x| icon.is_lit(x, y)))
                .collect()
        };
        for (index, icon) in ALL.iter().enumerate() {
            for other in &ALL[index + 1..] {
                let (a, b) = (pixels(*icon), pixels(*other));
                assert!(a != b && a.contains(&true), "{icon:?} {other:?}");
            }
        }
    }
}
