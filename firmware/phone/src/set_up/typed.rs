//! An answer keyed digit by digit, or letter by letter with two keys each.
//!
//! ```text
//! digits:   101#             `*` is a point in an address; `**` first: letters from here on
//! letters:  2 1 = a   2 5 = A   2 0 = 2   1 1 = .   2 9 = )      * takes the last one back, # ends
//! ```
//!
//! Each printable character of ASCII has its two keys: a Wi-Fi password may hold any of them
//! (IEEE 802.11 annex M.4).

use types::Key;

/// Longest answer: a Wi-Fi password.
pub(super) const MAX_LENGTH: usize = 63;
/// The letters of the keys 2 to 9.
const LETTERS: [&str; 8] = ["abc", "def", "ghi", "jkl", "mno", "pqrs", "tuv", "wxyz"];
/// The signs of the keys 1 and 0, by their place from 1 on.
const SIGNS: [(u8, &str); 2] = [(1, ".-_@!+ ,?"), (0, ":*#/&%$=;")];
/// The signs on the keys of the letters: key, place, sign. What opens is on place 8, what closes on
/// place 9.
const SIGNS_BESIDE_LETTERS: [(u8, u8, char); 15] = [
    (2, 8, '('),
    (2, 9, ')'),
    (3, 8, '['),
    (3, 9, ']'),
    (4, 8, '{'),
    (4, 9, '}'),
    (5, 8, '<'),
    (5, 9, '>'),
    (6, 8, '"'),
    (6, 9, '\''),
    (7, 9, '`'),
    (8, 4, '^'),
    (8, 8, '\\'),
    (8, 9, '|'),
    (9, 9, '~'),
];
/// Place of the first capital letter of a key.
const CAPITALS: u8 = 5;

/// What a key came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Typed {
    /// More keys are expected.
    More,
    /// From here on letters are keyed.
    LettersBegin,
    /// A character.
    Character(char),
    /// The last character is gone.
    TakenBack,
    /// There is no such character.
    NoCharacter,
    /// The answer is complete.
    Done(String),
}

/// An answer under way.
#[derive(Debug, Default)]
pub(super) struct Answer {
    text: String,
    letters: bool,
    /// The first key of a character.
    key: Option<u8>,
}

impl Answer {
    /// An answer that is keyed by letters from its beginning.
    pub(super) fn with_letters() -> Self {
        Self {
            letters: true,
            ..Self::default()
        }
    }

    /// Whether letters are keyed: a `*` is then no point.
    pub(super) fn has_letters(&self) -> bool {
        self.letters
    }

    pub(super) fn handle_key(&mut self, key: Key) -> Typed {
        match key {
            Key::Letter(_) => Typed::More,
            Key::Hash if self.key.take().is_some() => Typed::NoCharacter,
            Key::Hash => Typed::Done(std::mem::take(&mut self.text)),
            Key::Star if self.letters => {
                if self.key.take().is_none() {
                    self.text.pop();
                }
                Typed::TakenBack
            }
            Key::Digit(digit) if self.letters => self.handle_letter_key(digit),
            Key::Star | Key::Digit(_) => {
                self.push(key.as_char());
                if self.text == "**" {
                    *self = Self::with_letters();
                    return Typed::LettersBegin;
                }
                Typed::More
            }
        }
    }

    fn handle_letter_key(&mut self, digit: u8) -> Typed {
        let Some(key) = self.key.take() else {
            self.key = Some(digit);
            return Typed::More;
        };
        match character(key, digit) {
            Some(character) => {
                self.push(character);
                Typed::Character(character)
            }
            None => Typed::NoCharacter,
        }
    }

    fn push(&mut self, character: char) {
        if self.text.len() < MAX_LENGTH {
            self.text.push(character);
        }
    }
}

/// The character of a key and its place there.
fn character(key: u8, place: u8) -> Option<char> {
    if place == 0 {
        return Some(Key::Digit(key).as_char());
    }
    let at = |text: &str, place: u8| text.chars().nth(usize::from(place).checked_sub(1)?);
    if let Some((_, signs)) = SIGNS.iter().find(|(of, _)| *of == key) {
        return at(signs, place);
    }
    let mut beside = SIGNS_BESIDE_LETTERS.iter();
    if let Some((.., sign)) = beside.find(|(of, at, _)| (*of, *at) == (key, place)) {
        return Some(*sign);
    }
    let letters = LETTERS.get(usize::from(key).checked_sub(2)?)?;
    match place.checked_sub(CAPITALS - 1) {
        Some(place @ 1..) => at(letters, place).map(|letter| letter.to_ascii_uppercase()),
        Some(0) | None => at(letters, place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(answer: &mut Answer, keys: &str) -> Typed {
        let mut last = Typed::More;
        for key in keys.chars() {
            last = answer.handle_key(Key::from_char(key).unwrap());
        }
        last
    }

    #[test]
    fn two_keys_make_a_character() {
        for (keys, expected) in [
            ("21", 'a'),
            ("22", 'b'),
            ("25", 'A'),
            ("27", 'C'),
            ("74", 's'),
            ("78", 'S'),
            ("94", 'z'),
            ("98", 'Z'),
            ("20", '2'),
            ("00", '0'),
            ("10", '1'),
            ("11", '.'),
            ("17", ' '),
            ("02", '*'),
            ("19", '?'),
            ("09", ';'),
            ("28", '('),
            ("29", ')'),
            ("88", '\\'),
            ("99", '~'),
        ] {
            let mut answer = Answer::with_letters();
            assert_eq!(
                press(&mut answer, keys),
                Typed::Character(expected),
                "{keys}"
            );
        }
        for keys in ["24", "34", "44", "54", "64"] {
            let mut answer = Answer::with_letters();
            assert_eq!(press(&mut answer, keys), Typed::NoCharacter, "{keys}");
        }
    }

    #[test]
    fn every_printable_character_can_be_keyed_in_one_way() {
        let mut all: Vec<char> = (0..10)
            .flat_map(|key| (0..10).filter_map(move |place| character(key, place)))
            .collect();
        let keyed = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), keyed, "twice");
        let printable: Vec<char> = (' '..='~').collect();
        assert_eq!(all, printable);
    }

    /// What stands in backquotes, or the word `space`.
    fn marked(cell: &str) -> Vec<char> {
        let cell = cell.replace("`` ` ``", "`\u{0}`").replace("space", "` `");
        let cell = cell.replace("\\|", "|");
        let parts = cell.split('`').skip(1).step_by(2);
        let one = |part: &str| part.chars().next().unwrap();
        parts
            .map(one)
            .map(|c| if c == '\0' { '`' } else { c })
            .collect()
    }

    #[test]
    fn the_guide_has_the_keys_of_every_sign() {
        let page = include_str!("../../../../docs/guide/src/voice.md");
        let rows = page.lines().filter(|line| line.contains(", then `"));
        let mut keyed = Vec::new();
        for row in rows {
            let cells: Vec<&str> = row.split(" | ").collect();
            let signs = marked(cells[0]);
            let keys: Vec<u8> = marked(cells[1])
                .into_iter()
                .map(|key| key.to_digit(10).unwrap() as u8)
                .collect();
            let places = match &keys[1..] {
                [from, to] if cells[1].contains(" to ") => (*from..=*to).collect(),
                places => places.to_vec(),
            };
            assert_eq!(places.len(), signs.len(), "{row}");
            for (sign, place) in signs.into_iter().zip(places) {
                assert_eq!(character(keys[0], place), Some(sign), "{row}");
                keyed.push(sign);
            }
        }
        keyed.sort_unstable();
        let signs = (' '..='~').filter(|c| !c.is_ascii_alphanumeric());
        assert_eq!(keyed, signs.collect::<Vec<_>>());
    }

    #[test]
    fn the_star_takes_back_and_the_hash_ends() {
        let mut answer = Answer::with_letters();
        assert_eq!(press(&mut answer, "2122*"), Typed::TakenBack);
        // A key whose place was not pressed yet.
        assert_eq!(press(&mut answer, "3*"), Typed::TakenBack);
        assert_eq!(press(&mut answer, "3#"), Typed::NoCharacter);
        assert_eq!(press(&mut answer, "30#"), Typed::Done("a3".into()));
        assert_eq!(press(&mut answer, "****#"), Typed::Done(String::new()));
    }

    #[test]
    fn two_stars_first_begin_letters() {
        let mut answer = Answer::default();
        assert_eq!(
            press(&mut answer, "10*0*0*2#"),
            Typed::Done("10*0*0*2".into())
        );
        assert_eq!(press(&mut answer, "4**5#"), Typed::Done("4**5".into()));
        assert_eq!(press(&mut answer, "**"), Typed::LettersBegin);
        assert!(answer.has_letters());
        assert_eq!(press(&mut answer, "21#"), Typed::Done("a".into()));
    }

    #[test]
    fn an_answer_has_a_longest_length() {
        let mut answer = Answer::default();
        press(&mut answer, &"9".repeat(5000));
        assert_eq!(answer.text.len(), MAX_LENGTH);
        let mut answer = Answer::with_letters();
        press(&mut answer, &"21".repeat(5000));
        assert_eq!(answer.text.len(), MAX_LENGTH);
    }
}
