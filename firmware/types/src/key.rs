//! Keys of a keypad or dial.

/// A key of the keypad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// 0 to 9.
    Digit(u8),
    /// `*`
    Star,
    /// `#`
    Hash,
    /// A to D of a 4×4 keypad: 0 is A.
    Letter(u8),
}

impl Key {
    /// The key as it is written: `0`–`9`, `*`, `#`, `A`–`D`. A digit or letter out of range is the
    /// last one.
    pub const fn as_char(self) -> char {
        match self {
            Self::Digit(digit @ 0..=9) => (b'0' + digit) as char,
            Self::Digit(10..) => '9',
            Self::Star => '*',
            Self::Hash => '#',
            Self::Letter(letter @ 0..=3) => (b'A' + letter) as char,
            Self::Letter(4..) => 'D',
        }
    }

    /// The key written like this; `None` if there is no such key.
    pub const fn from_char(key: char) -> Option<Self> {
        match key {
            '0'..='9' => Some(Self::Digit(key as u8 - b'0')),
            '*' => Some(Self::Star),
            '#' => Some(Self::Hash),
            'A'..='D' => Some(Self::Letter(key as u8 - b'A')),
            'a'..='d' => Some(Self::Letter(key as u8 - b'a')),
            _ => None,
        }
    }

    /// Its event code in RFC 4733 (section 3.2), 0 to 15.
    pub const fn event(self) -> u8 {
        match self {
            Self::Digit(digit @ 0..=9) => digit,
            Self::Digit(10..) => 9,
            Self::Star => 10,
            Self::Hash => 11,
            Self::Letter(letter @ 0..=3) => 12 + letter,
            Self::Letter(4..) => 15,
        }
    }

    /// The key of an event code; `None` above 15.
    pub const fn from_event(event: u8) -> Option<Self> {
        match event {
            0..=9 => Some(Self::Digit(event)),
            10 => Some(Self::Star),
            11 => Some(Self::Hash),
            12..=15 => Some(Self::Letter(event - 12)),
            16.. => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_character_and_one_event() {
        for (event, char) in "0123456789*#ABCD".chars().enumerate() {
            let key = Key::from_char(char).unwrap();
            assert_eq!((key.as_char(), usize::from(key.event())), (char, event));
            assert_eq!(Key::from_event(key.event()), Some(key));
        }
        assert_eq!(Key::from_char('d'), Some(Key::Letter(3)));
        assert_eq!((Key::from_char('x'), Key::from_event(16)), (None, None));
    }

    #[test]
    fn a_number_out_of_range_is_the_last_key() {
        assert_eq!((Key::Digit(12).as_char(), Key::Digit(12).event()), ('9', 9));
        assert_eq!(
            (Key::Letter(9).as_char(), Key::Letter(9).event()),
            ('D', 15)
        );
    }
}
