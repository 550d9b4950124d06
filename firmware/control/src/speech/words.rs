//! The words there are, and what each says in each language.

use types::Language;

/// Declares the words: variant, name in the files, English, German.
macro_rules! words {
    ($($variant:ident $name:literal $english:literal $german:literal,)*) => {
        /// A word or sentence that is spoken as one piece.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Word {
            $(#[doc = $english] $variant,)*
        }

        impl Word {
            /// All of them, in the order of the files.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in the files.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// What is spoken.
            pub const fn text(self, language: Language) -> &'static str {
                match (self, language) {
                    $((Self::$variant, Language::English) => $english,
                    (Self::$variant, Language::German) => $german,)*
                }
            }
        }
    };
}

words! {
    Zero "0" "zero" "null",
    One "1" "one" "eins",
    Two "2" "two" "zwei",
    Three "3" "three" "drei",
    Four "4" "four" "vier",
    Five "5" "five" "fünf",
    Six "6" "six" "sechs",
    Seven "7" "seven" "sieben",
    Eight "8" "eight" "acht",
    Nine "9" "nine" "neun",
    A "a" "A" "A",
    B "b" "B" "B",
    C "c" "C" "C",
    D "d" "D" "D",
    E "e" "E" "E",
    F "f" "F" "F",
    G "g" "G" "G",
    H "h" "H" "H",
    I "i" "I" "I",
    J "j" "J" "J",
    K "k" "K" "K",
    L "l" "L" "L",
    M "m" "M" "M",
    N "n" "N" "N",
    O "o" "O" "O",
    P "p" "P" "P",
    Q "q" "Q" "Q",
    R "r" "R" "R",
    S "s" "S" "S",
    T "t" "T" "T",
    U "u" "U" "U",
    V "v" "V" "V",
    W "w" "W" "W",
    X "x" "X" "X",
    Y "y" "Y" "Y",
    Z "z" "Z" "Z",
    Point "point" "point" "Punkt",
    Colon "colon" "colon" "Doppelpunkt",
    Dash "dash" "dash" "Strich",
    Underscore "underscore" "underscore" "Unterstrich",
    Plus "plus" "plus" "Plus",
    Star "star" "star" "Stern",
    Hash "hash" "hash" "Raute",
    At "at" "at" "ätt",
    Sign "sign" "sign" "Zeichen",
    YourNumber "your-number" "Your number is" "Ihre Nummer ist",
    Registered "registered" "It is registered." "Sie ist angemeldet.",
    NotRegistered "not-registered" "It is not registered." "Sie ist nicht angemeldet.",
    NoAccount "no-account" "This phone has no account." "Dieses Telefon hat kein Konto.",
    YourAddress "your-address" "The address is" "Die Adresse ist",
    NoNetwork "no-network" "There is no network." "Es gibt kein Netzwerk.",
    DndOn "dnd-on" "Do not disturb is on." "Nicht stören ist eingeschaltet.",
    DndOff "dnd-off" "Do not disturb is off." "Nicht stören ist ausgeschaltet.",
    ForwardAlways "forward-always" "All calls are forwarded to" "Alle Anrufe gehen an",
    ForwardBusy "forward-busy"
        "When busy, calls are forwarded to"
        "Wenn besetzt ist, gehen Anrufe an",
    ForwardNoAnswer "forward-no-answer"
        "Without an answer, calls are forwarded to"
        "Ohne Antwort gehen Anrufe an",
    ForwardOff "forward-off" "Forwarding is off." "Die Weiterleitung ist ausgeschaltet.",
    AnonymousOn "anonymous-on" "Your number is withheld." "Ihre Nummer wird unterdrückt.",
    AnonymousOff "anonymous-off" "Your number is shown." "Ihre Nummer wird angezeigt.",
    RejectAnonymousOn "reject-anonymous-on"
        "Anonymous calls are refused."
        "Anonyme Anrufe werden abgewiesen.",
    RejectAnonymousOff "reject-anonymous-off"
        "Anonymous calls are accepted."
        "Anonyme Anrufe werden angenommen.",
    SpeedDialSet "speed-dial-set" "Stored under key" "Gespeichert unter Taste",
    SelfTest "self-test" "The self test begins." "Der Selbsttest beginnt.",
    Bundle "bundle" "The support file is written." "Die Diagnosedatei wird geschrieben.",
    Reboot "reboot" "The phone restarts." "Das Telefon startet neu.",
    FactoryReset "factory-reset" "All settings are erased." "Alle Einstellungen werden gelöscht.",
    NothingDialled "nothing-dialled" "Nothing was dialled." "Es wurde nichts gewählt.",
    Incomplete "incomplete" "The number is not complete." "Die Nummer ist unvollständig.",
    UnknownNumber "unknown-number" "This number does not exist." "Diese Nummer gibt es nicht.",
    EmergencyByHand "emergency-by-hand"
        "Emergency numbers are dialled by hand only."
        "Notrufnummern werden nur von Hand gewählt.",
    Barred "barred" "This number is barred." "Diese Nummer ist gesperrt.",
    PhoneNotRegistered "phone-not-registered"
        "The phone is not registered."
        "Das Telefon ist nicht angemeldet.",
    NoEmergencyRoute "no-emergency-route"
        "No emergency call can be placed."
        "Ein Notruf ist nicht möglich.",
    NothingToRedial "nothing-to-redial"
        "No number was dialled before."
        "Es wurde noch nichts gewählt.",
    NoOneCalled "no-one-called" "No one has called." "Es hat niemand angerufen.",
    NothingToTransfer "nothing-to-transfer" "No call is on hold." "Es wird kein Gespräch gehalten.",
    TooManyCalls "too-many-calls" "There are too many calls." "Es sind zu viele Gespräche.",
    ServerRefuses "server-refuses" "The server refuses the call." "Der Server lehnt den Anruf ab.",
    ServerSilent "server-silent" "The server does not answer." "Der Server antwortet nicht.",
    LineBusy "line-busy" "The line is busy." "Der Anschluss ist besetzt.",
    NoCallYet "no-call-yet" "There was no call yet." "Es gab noch kein Gespräch.",
    QualityGood "quality-good"
        "The last call was heard well."
        "Das letzte Gespräch war gut zu hören.",
    QualityFair "quality-fair"
        "The last call was heard fairly well."
        "Das letzte Gespräch war mäßig zu hören.",
    QualityPoor "quality-poor"
        "The last call was heard badly."
        "Das letzte Gespräch war schlecht zu hören.",
    CallFailed "call-failed" "The call failed." "Der Anruf ist fehlgeschlagen.",
    Error "error" "Error" "Fehler",
    LastGood "last-good"
        "The new settings are wrong. The ones before are in use."
        "Die neuen Einstellungen sind falsch. Die vorigen gelten.",
    Defaults "defaults"
        "The settings are wrong and not in use."
        "Die Einstellungen sind falsch und gelten nicht.",
    NetworkSettings "network-settings"
        "Settings from the network or the board are wrong."
        "Einstellungen vom Netzwerk oder vom Gerät sind falsch.",
    ChooseLanguage "choose-language" "For English, press one." "Für Deutsch drücken Sie die Zwei.",
    AskCountry "ask-country"
        "Key the code of your country, then the hash key."
        "Geben Sie die Landesvorwahl ein, dann die Rautetaste.",
    AskAddress "ask-address"
        "Key the address of the server, with the star key for the point, then the hash key."
        "Geben Sie die Adresse des Servers ein, mit der Sterntaste als Punkt, dann die Rautetaste.",
    AskUser "ask-user"
        "Key the user name, then the hash key."
        "Geben Sie den Benutzernamen ein, dann die Rautetaste.",
    AskPassword "ask-password"
        "Key the password, then the hash key."
        "Geben Sie das Passwort ein, dann die Rautetaste.",
    ServerIs "server-is" "The server is" "Der Server ist",
    UserIs "user-is" "The user is" "Der Benutzer ist",
    AskSave "ask-save"
        "To save, press one. To start again, press two."
        "Zum Speichern drücken Sie die Eins, für einen neuen Anfang die Zwei.",
    NotPossible "not-possible" "That is not possible." "Das geht nicht.",
    Saving "saving"
        "The settings are saved. Put the handset down."
        "Die Einstellungen werden gespeichert. Legen Sie auf.",
    CardFails "card-fails" "The card cannot be written." "Die Karte kann nicht beschrieben werden.",
    AskNetwork "ask-network"
        "For wireless, press one. For a fixed address, two. Else three."
        "Für ein Funknetz drücken Sie die Eins, für eine feste Adresse die Zwei, sonst die Drei.",
    AskWifiName "ask-wifi-name"
        "Key the name of the network."
        "Geben Sie den Namen des Funknetzes ein.",
    AskOwnAddress "ask-own-address"
        "Key the address of this phone."
        "Geben Sie die Adresse des Telefons ein.",
    AskRouter "ask-router"
        "Key the address of the router."
        "Geben Sie die Adresse des Routers ein.",
    HowToSpell "how-to-spell"
        "A letter is two keys: its key, then its place, from five on a capital. Zero is the digit."
        "Ein Buchstabe sind zwei Tasten: Taste und Platz, ab fünf groß. Null ist die Ziffer.",
    ForLetters "for-letters"
        "For letters begin with two stars."
        "Für Buchstaben beginnen Sie mit zwei Sternen.",
    Capital "capital" "capital" "groß",
    Space "space" "space" "Leerzeichen",
    Exclamation "exclamation" "exclamation mark" "Ausrufezeichen",
    TakenBack "taken-back" "Taken back." "Zurückgenommen.",
    Comma "comma" "comma" "Komma",
    QuestionMark "question-mark" "question mark" "Fragezeichen",
    Slash "slash" "slash" "Schrägstrich",
    And "and" "and sign" "und-Zeichen",
    Percent "percent" "percent" "Prozent",
    Dollar "dollar" "dollar" "Dollar",
    Equals "equals" "equals" "gleich",
    Semicolon "semicolon" "semicolon" "Semikolon",
    Opening "opening" "opening" "öffnende",
    Closing "closing" "closing" "schließende",
    Round "round" "round bracket" "runde Klammer",
    Square "square" "square bracket" "eckige Klammer",
    Curly "curly" "curly bracket" "geschweifte Klammer",
    Less "less" "less than" "kleiner als",
    Greater "greater" "greater than" "größer als",
    Quote "quote" "quotation mark" "Anführungszeichen",
    Apostrophe "apostrophe" "apostrophe" "Apostroph",
    Grave "grave" "grave accent" "Gravis",
    Caret "caret" "caret" "Zirkumflex",
    Backslash "backslash" "backslash" "Bäckslesch",
    Bar "bar" "vertical bar" "senkrechter Strich",
    Tilde "tilde" "tilde" "Tilde",
}

impl Word {
    /// What is said before the word of a character: which of the two brackets it is.
    pub const fn before(character: char) -> Option<Self> {
        match character {
            '(' | '[' | '{' => Some(Self::Opening),
            ')' | ']' | '}' => Some(Self::Closing),
            _ => None,
        }
    }

    /// The word of a character of a number, name, address or password.
    pub fn of(character: char) -> Self {
        match character.to_ascii_lowercase() {
            '.' => Self::Point,
            ':' => Self::Colon,
            '-' => Self::Dash,
            '_' => Self::Underscore,
            '+' => Self::Plus,
            '*' => Self::Star,
            '#' => Self::Hash,
            '@' => Self::At,
            ' ' => Self::Space,
            '!' => Self::Exclamation,
            ',' => Self::Comma,
            '?' => Self::QuestionMark,
            '/' => Self::Slash,
            '&' => Self::And,
            '%' => Self::Percent,
            '$' => Self::Dollar,
            '=' => Self::Equals,
            ';' => Self::Semicolon,
            '(' | ')' => Self::Round,
            '[' | ']' => Self::Square,
            '{' | '}' => Self::Curly,
            '<' => Self::Less,
            '>' => Self::Greater,
            '"' => Self::Quote,
            '\'' => Self::Apostrophe,
            '`' => Self::Grave,
            '^' => Self::Caret,
            '\\' => Self::Backslash,
            '|' => Self::Bar,
            '~' => Self::Tilde,
            letter => {
                let mut name = [0; 4];
                let name: &str = letter.encode_utf8(&mut name);
                let found = Self::ALL.iter().find(|word| word.name() == name);
                found.copied().unwrap_or(Self::Sign)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_there_once() {
        for (index, word) in Word::ALL.iter().enumerate() {
            for other in &Word::ALL[index + 1..] {
                assert_ne!(word.name(), other.name());
                for language in Language::ALL {
                    assert_ne!(word.text(language), other.text(language));
                }
            }
            for language in Language::ALL {
                assert!(!word.text(language).is_empty());
            }
        }
    }

    #[test]
    fn every_character_has_a_word() {
        for (character, word) in [
            ('0', Word::Zero),
            ('9', Word::Nine),
            ('a', Word::A),
            ('Z', Word::Z),
            ('.', Word::Point),
            ('é', Word::Sign),
            ('~', Word::Tilde),
            ('\u{7f}', Word::Sign),
        ] {
            assert_eq!(Word::of(character), word);
        }
        // All of printable ASCII sounds different; a capital is announced beside its letter.
        let mut said = std::collections::BTreeSet::new();
        for character in ' '..='~' {
            assert_ne!(Word::of(character), Word::Sign, "{character}");
            if !character.is_ascii_uppercase() {
                let words = (Word::before(character), Word::of(character));
                assert!(said.insert(words), "{character} sounds as another");
            }
        }
    }
}
