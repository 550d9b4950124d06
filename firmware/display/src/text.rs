//! Letters: what the fonts have (ISO 8859-1) stays, other letters become those nearest to them.

/// The text in letters that the fonts have. Letters of other Latin alphabets lose their marks,
/// Greek and Cyrillic ones are romanised (ISO 843 and ISO 9 in the spelling of passports), what no
/// Latin letter stands for becomes `?`.
pub fn legible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{ff}' => out.push(letter),
            '\u{a0}' | '\t' | '\n' | '\r' | '\u{2002}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => {
                out.push(' ');
            }
            // Marks over the letter before, joiners, selectors of how an emoji looks.
            '\u{300}'..='\u{36f}' => compose(&mut out, letter),
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => {}
            _ => match replacement(letter) {
                Some(latin) => out.push_str(latin),
                None => match romanised(letter) {
                    Some(latin) => out.push_str(&latin),
                    None => out.push('?'),
                },
            },
        }
    }
    out
}

/// The text as one sorts and looks it up: small letters without marks.
pub fn sort_key(text: &str) -> String {
    const MARKED: &[(&str, &str)] = &[
        ("àáâãäåæ", "a"),
        ("ç", "c"),
        ("èéêë", "e"),
        ("ìíîï", "i"),
        ("ñ", "n"),
        ("òóôõöø", "o"),
        ("ß", "ss"),
        ("ùúûü", "u"),
        ("ýÿ", "y"),
    ];
    let mut key = String::with_capacity(text.len());
    for letter in legible(text).to_lowercase().chars() {
        let found = MARKED.iter().find(|(letters, _)| letters.contains(letter));
        match found {
            Some((_, plain)) => key.push_str(plain),
            None => key.push(letter),
        }
    }
    key
}

/// A letter and a mark that follows it are one letter of the fonts, or the mark is left out.
fn compose(out: &mut String, mark: char) {
    let Some(before) = out.chars().next_back() else {
        return;
    };
    let (from, to) = match mark {
        '\u{300}' => ("AEIOUaeiou", "ÀÈÌÒÙàèìòù"),
        '\u{301}' => ("AEIOUYaeiouy", "ÁÉÍÓÚÝáéíóúý"),
        '\u{302}' => ("AEIOUaeiou", "ÂÊÎÔÛâêîôû"),
        '\u{303}' => ("ANOano", "ÃÑÕãñõ"),
        '\u{308}' => ("AEIOUaeiouy", "ÄËÏÖÜäëïöüÿ"),
        '\u{30a}' => ("Aa", "Åå"),
        '\u{327}' => ("Cc", "Çç"),
        _ => return,
    };
    if let Some((_, composed)) = from.chars().zip(to.chars()).find(|(one, _)| *one == before) {
        out.pop();
        out.push(composed);
    }
}

/// Latin letters with marks the fonts do not have, and signs.
fn replacement(letter: char) -> Option<&'static str> {
    const LATIN: &[(&str, &str)] = &[
        ("ĀĂĄǍ", "A"),
        ("āăąǎ", "a"),
        ("ĆĈĊČ", "C"),
        ("ćĉċč", "c"),
        ("ĎĐ", "D"),
        ("ďđ", "d"),
        ("ĒĔĖĘĚ", "E"),
        ("ēĕėęě", "e"),
        ("ĜĞĠĢǦ", "G"),
        ("ĝğġģǧ", "g"),
        ("ĤĦ", "H"),
        ("ĥħ", "h"),
        ("ĨĪĬĮİ", "I"),
        ("ĩīĭįı", "i"),
        ("Ĵ", "J"),
        ("ĵ", "j"),
        ("Ķ", "K"),
        ("ķĸ", "k"),
        ("ĹĻĽĿŁ", "L"),
        ("ĺļľŀł", "l"),
        ("ŃŅŇŊ", "N"),
        ("ńņňŋ", "n"),
        ("ŌŎƠ", "O"),
        ("ōŏơ", "o"),
        ("Ő", "Ö"),
        ("ő", "ö"),
        ("ŔŖŘ", "R"),
        ("ŕŗř", "r"),
        ("ŚŜŞŠȘ", "S"),
        ("śŝşšșſ", "s"),
        ("ŢŤŦȚ", "T"),
        ("ţťŧț", "t"),
        ("ŨŪŬŮŲƯ", "U"),
        ("ũūŭůųư", "u"),
        ("Ű", "Ü"),
        ("ű", "ü"),
        ("Ŵ", "W"),
        ("ŵ", "w"),
        ("ŶŸ", "Y"),
        ("ŷ", "y"),
        ("ŹŻŽ", "Z"),
        ("źżž", "z"),
        ("Œ", "OE"),
        ("œ", "oe"),
        ("ẞ", "SS"),
        ("‐‑‒–—―−", "-"),
        ("‘’‚‛′", "'"),
        ("“”„‟″", "\""),
        ("…", "..."),
        ("•‣", "·"),
        ("€", "EUR"),
        ("™", "TM"),
        ("№", "No"),
        ("→", ">"),
        ("←", "<"),
        ("✓✔", "v"),
        ("\u{fffd}", "?"),
    ];
    let mut table = LATIN.iter();
    let found = table.find(|(letters, _)| letters.contains(letter));
    found.map(|(_, latin)| *latin)
}

/// Greek and Cyrillic letters.
fn romanised(letter: char) -> Option<String> {
    const SMALL: &[(&str, &str)] = &[
        ("αά", "a"),
        ("β", "v"),
        ("γ", "g"),
        ("δ", "d"),
        ("εέ", "e"),
        ("ζ", "z"),
        ("ηήιίϊΐ", "i"),
        ("θ", "th"),
        ("κ", "k"),
        ("λ", "l"),
        ("μ", "m"),
        ("ν", "n"),
        ("ξ", "x"),
        ("οόωώ", "o"),
        ("π", "p"),
        ("ρ", "r"),
        ("σς", "s"),
        ("τ", "t"),
        ("υύϋΰ", "y"),
        ("φ", "f"),
        ("χ", "ch"),
        ("ψ", "ps"),
        ("а", "a"),
        ("б", "b"),
        ("в", "v"),
        ("гґ", "g"),
        ("д", "d"),
        ("ђ", "dj"),
        ("еэ", "e"),
        ("ё", "yo"),
        ("є", "ye"),
        ("ж", "zh"),
        ("з", "z"),
        ("иі", "i"),
        ("ї", "yi"),
        ("йј", "j"),
        ("к", "k"),
        ("л", "l"),
        ("љ", "lj"),
        ("м", "m"),
        ("н", "n"),
        ("њ", "nj"),
        ("о", "o"),
        ("п", "p"),
        ("р", "r"),
        ("с", "s"),
        ("т", "t"),
        ("ћ", "c"),
        ("уў", "u"),
        ("ф", "f"),
        ("х", "kh"),
        ("ц", "ts"),
        ("ч", "ch"),
        ("џ", "dz"),
        ("ш", "sh"),
        ("щ", "shch"),
        ("ъь", ""),
        ("ы", "y"),
        ("ю", "yu"),
        ("я", "ya"),
    ];
    let small = letter.to_lowercase().next()?;
    let mut table = SMALL.iter();
    let (_, latin) = table.find(|(letters, _)| letters.contains(small))?;
    if small == letter {
        return Some((*latin).to_owned());
    }
    let mut letters = latin.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    Some(first.into_iter().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_europe_can_be_read() {
        for (name, shown) in [
            ("Jörg Müller-Weiß", "Jörg Müller-Weiß"),
            ("Łukasz Wąż", "Lukasz Waz"),
            ("Győző Erdős", "Gyözö Erdös"),
            ("Ștefan Țuțea", "Stefan Tutea"),
            ("Αθηνά Ψωμά", "Athina Psoma"),
            ("Юлия Щукина", "Yuliya Shchukina"),
            ("Dvořák “Tony” – office…", "Dvorák \"Tony\" - office..."),
        ] {
            assert_eq!(legible(name), shown);
        }
    }

    #[test]
    fn names_are_sorted_without_marks() {
        assert_eq!(sort_key("Éva Groß"), "eva gross");
        assert!(sort_key("Ödön") < sort_key("Otto") && sort_key("anna") < sort_key("Bob"));
    }

    #[test]
    fn decomposed_letters_are_composed() {
        assert_eq!(legible("Mu\u{308}ller, Andre\u{301}"), "Müller, André");
        assert_eq!(legible("s\u{30c}\u{301}"), "s");
        assert_eq!(legible("\u{301}"), "");
    }

    #[test]
    fn every_letter_of_the_result_is_in_the_fonts() {
        for code in 0..0x1_1000_u32 {
            let Some(letter) = char::from_u32(code) else {
                continue;
            };
            for shown in legible(&letter.to_string()).chars() {
                assert!(
                    matches!(shown, ' '..='~' | '\u{a1}'..='\u{ff}'),
                    "{letter:?} becomes {shown:?}"
                );
            }
        }
        assert_eq!(legible("田中\u{1b}[2J"), "???[2J");
    }
}
