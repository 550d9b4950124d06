//! The spoken words as files hold them: Opus, wideband, mono.
//!
//! ```text
//! file: { length of name u8, name, packets u16, { length u16, Opus packet } … } …     big endian
//! ```

use types::Language;

use super::words::Word;

const ENGLISH: &[u8] = include_bytes!("../../speech/en.words");
const GERMAN: &[u8] = include_bytes!("../../speech/de.words");

/// Most bytes of all languages together: some 2.5 kB for each of the words, of which there are 132.
pub const BUDGET: usize = 340 * 1024;

/// A language's file.
pub const fn file(language: Language) -> &'static [u8] {
    match language {
        Language::English => ENGLISH,
        Language::German => GERMAN,
    }
}

/// Takes a number of `N` bytes off the front.
fn take<'f, const N: usize>(rest: &mut &'f [u8]) -> Option<&'f [u8; N]> {
    let (number, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(number)
}

/// Takes `length` bytes off the front.
fn take_bytes<'f>(rest: &mut &'f [u8], length: usize) -> Option<&'f [u8]> {
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

/// The Opus packets of a word; `None`: the file does not hold it.
pub fn packets(language: Language, word: Word) -> Option<Vec<&'static [u8]>> {
    let mut rest = file(language);
    while !rest.is_empty() {
        let [length] = take(&mut rest)?;
        let name = take_bytes(&mut rest, usize::from(*length))?;
        let count = u16::from_be_bytes(*take(&mut rest)?);
        let mut packets = Vec::new();
        for _ in 0..count {
            let length = u16::from_be_bytes(*take(&mut rest)?);
            packets.push(take_bytes(&mut rest, usize::from(length))?);
        }
        if name == word.name().as_bytes() {
            return Some(packets);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_there_and_decodes() {
        for language in Language::ALL {
            for word in Word::ALL {
                let name = word.name();
                let packets = packets(language, *word)
                    .unwrap_or_else(|| panic!("{} has no {name}", language.as_str()));
                let sound = media::speech::decode(packets.into_iter(), 16_000).unwrap();
                let seconds = sound.len() as f64 / 16_000.0;
                assert!((0.1..8.0).contains(&seconds), "{name}: {seconds} s");
                let loudest = sound.iter().map(|sample| sample.unsigned_abs()).max();
                assert!(loudest > Some(4000), "{name} is silent: {loudest:?}");
            }
        }
    }

    #[test]
    fn all_languages_fit_the_budget() {
        let bytes: usize = Language::ALL.iter().map(|l| file(*l).len()).sum();
        assert!(bytes <= BUDGET, "{bytes} bytes, {BUDGET} are allowed");
    }
}
