//! An announcement in words.

use std::net::IpAddr;

use config::codes::{Setting, StarCode};
use phone::{Announcement, BarredNumber, DialError, Maintenance, Prompt, Question, RouteError};
use types::Language;

use super::words::Word;

/// What the phone itself does not know.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Facts {
    /// User part of the first account, and whether it is registered.
    pub(crate) account: Option<(String, bool)>,
    /// This machine's address, where the network gave it one.
    pub(crate) address: Option<IpAddr>,
    /// Estimated listening quality of the last call, 1 to 4.5.
    pub(crate) last_mos: Option<f64>,
}

/// The words of an announcement; never none.
pub(crate) fn sentence(
    announcement: &Announcement,
    language: Language,
    facts: &Facts,
) -> Vec<(Language, Word)> {
    if let Announcement::SetUp(prompt) = announcement {
        return prompt_words(prompt);
    }
    let words = match announcement {
        Announcement::OwnNumber => own_number(facts),
        Announcement::OwnAddress => own_address(facts),
        Announcement::LastQuality => vec![quality(facts.last_mos)],
        Announcement::Number(number) => spoken_number(number),
        Announcement::Set(code, number) => setting(*code, number),
        Announcement::Maintenance(what) => match what {
            Maintenance::SelfTest => vec![Word::SelfTest],
            Maintenance::Bundle => vec![Word::Bundle],
            // The name of what is written.
            Maintenance::HistoryToCard => spelled("csv").collect(),
            Maintenance::Reboot => vec![Word::Reboot],
            Maintenance::FactoryReset => vec![Word::FactoryReset],
        },
        Announcement::NotDialled(error) => vec![not_dialled(error)],
        Announcement::Failed(code) => vec![failed(*code)],
        Announcement::Fault(code) => fault(*code),
        // Above.
        Announcement::SetUp(_) => Vec::new(),
    };
    words.into_iter().map(|word| (language, word)).collect()
}

/// A number, name or address, character by character.
fn spelled(text: &str) -> impl Iterator<Item = Word> {
    let words = |character| [Word::before(character), Some(Word::of(character))];
    text.chars().flat_map(words).flatten()
}

/// The digits of a number, or the user part of an address.
fn spoken_number(number: &str) -> Vec<Word> {
    let user = number.split_once(':').map_or(number, |(_, rest)| rest);
    let user = user.split('@').next().unwrap_or(user);
    spelled(user).collect()
}

/// By the scale of ITU-T G.107 annex B: what most users think of it.
fn quality(mos: Option<f64>) -> Word {
    match mos {
        None => Word::NoCallYet,
        Some(mos) if mos >= 4.0 => Word::QualityGood,
        Some(mos) if mos >= 3.6 => Word::QualityFair,
        Some(_) => Word::QualityPoor,
    }
}

fn own_number(facts: &Facts) -> Vec<Word> {
    let Some((user, registered)) = &facts.account else {
        return vec![Word::NoAccount];
    };
    let mut words = vec![Word::YourNumber];
    words.extend(spelled(user));
    words.push(if *registered {
        Word::Registered
    } else {
        Word::NotRegistered
    });
    words
}

fn own_address(facts: &Facts) -> Vec<Word> {
    let Some(address) = facts.address else {
        return vec![Word::NoNetwork];
    };
    let mut words = vec![Word::YourAddress];
    words.extend(spelled(&address.to_string()));
    words
}

fn setting(code: StarCode, number: &str) -> Vec<Word> {
    let (word, number) = match code.setting() {
        None => return spelled(number).collect(),
        Some(Setting::Dnd(true)) => (Word::DndOn, ""),
        Some(Setting::Dnd(false)) => (Word::DndOff, ""),
        Some(Setting::ForwardAlways(true)) => (Word::ForwardAlways, number),
        Some(Setting::ForwardBusy(true)) => (Word::ForwardBusy, number),
        Some(Setting::ForwardNoAnswer(true)) => (Word::ForwardNoAnswer, number),
        Some(
            Setting::ForwardAlways(false)
            | Setting::ForwardBusy(false)
            | Setting::ForwardNoAnswer(false),
        ) => (Word::ForwardOff, ""),
        Some(Setting::Anonymous(true)) => (Word::AnonymousOn, ""),
        Some(Setting::Anonymous(false)) => (Word::AnonymousOff, ""),
        Some(Setting::RejectAnonymous(true)) => (Word::RejectAnonymousOn, ""),
        Some(Setting::RejectAnonymous(false)) => (Word::RejectAnonymousOff, ""),
        // The key it is stored under is its first digit.
        Some(Setting::SpeedDial) => (Word::SpeedDialSet, number.get(..1).unwrap_or_default()),
    };
    let mut words = vec![word];
    words.extend(spelled(number));
    words
}

fn not_dialled(error: &DialError) -> Word {
    match error {
        DialError::Nothing => Word::NothingDialled,
        DialError::Incomplete(_) => Word::Incomplete,
        DialError::Unknown(_) => Word::UnknownNumber,
        DialError::Barred(BarredNumber::Emergency(_)) => Word::EmergencyByHand,
        DialError::Barred(BarredNumber::DigitMap(_)) => Word::Barred,
        DialError::NoRoute { why, .. } => match why {
            RouteError::NotRegistered(_) => Word::PhoneNotRegistered,
            RouteError::DirectOff | RouteError::NoAccount => Word::NoAccount,
            RouteError::NoEmergencyRoute => Word::NoEmergencyRoute,
        },
        DialError::NothingToRedial => Word::NothingToRedial,
        DialError::NoOneCalled => Word::NoOneCalled,
        DialError::NothingToTransfer | DialError::NothingToConnect => Word::NothingToTransfer,
        DialError::TooManyCalls(_) => Word::TooManyCalls,
    }
}

/// What a status code means for who dialled.
fn failed(code: Option<u16>) -> Word {
    match code {
        Some(486 | 600) => Word::LineBusy,
        Some(404 | 410 | 484 | 485 | 604) => Word::UnknownNumber,
        Some(401 | 402 | 403 | 407 | 603 | 607) => Word::ServerRefuses,
        None | Some(408 | 503 | 504) => Word::ServerSilent,
        Some(_) => Word::CallFailed,
    }
}

fn fault(code: u8) -> Vec<Word> {
    let mut words = vec![Word::Error];
    words.extend(spelled(&code.to_string()));
    match code {
        1 => words.push(Word::LastGood),
        2 => words.push(Word::Defaults),
        3 => words.push(Word::NetworkSettings),
        _ => {}
    }
    words
}

fn prompt_words(prompt: &Prompt) -> Vec<(Language, Word)> {
    let mut words = Vec::new();
    if prompt.refused {
        words.push(Word::NotPossible);
    }
    match &prompt.question {
        Question::Language => {
            // Each in its own language: it is not known yet which one is understood.
            let refused = words.into_iter().map(|word| (Language::English, word));
            let each = Language::ALL.map(|language| (language, Word::ChooseLanguage));
            return refused.chain(each).collect();
        }
        Question::Country => {
            words.push(Word::AskCountry);
        }
        Question::Network => words.extend([Word::NoNetwork, Word::AskNetwork]),
        Question::WifiName => words.extend([Word::AskWifiName, Word::HowToSpell]),
        Question::OwnAddress => words.push(Word::AskOwnAddress),
        Question::Router => words.push(Word::AskRouter),
        Question::Address => words.extend([Word::AskAddress, Word::ForLetters]),
        Question::User => words.push(Word::AskUser),
        Question::WifiPassword | Question::Password => words.push(Word::AskPassword),
        Question::Letters => words.push(Word::HowToSpell),
        Question::Spelled(character) => {
            words.extend(character.is_ascii_uppercase().then_some(Word::Capital));
            words.extend(Word::before(*character));
            words.push(Word::of(*character));
        }
        Question::TakenBack => words.push(Word::TakenBack),
        Question::Save { address, user } => {
            words.push(Word::ServerIs);
            words.extend(spelled(address));
            words.push(Word::UserIs);
            words.extend(spelled(user));
            words.push(Word::AskSave);
        }
        Question::Saving => words.push(Word::Saving),
        Question::CardFails => words.extend([Word::CardFails, Word::AskSave]),
    }
    let language = prompt.language;
    words.into_iter().map(|word| (language, word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(announcement: &Announcement, facts: &Facts) -> Vec<Word> {
        let words = sentence(announcement, Language::English, facts);
        words.into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn the_own_number_is_spelled() {
        let facts = Facts {
            account: Some(("10a".into(), true)),
            ..Facts::default()
        };
        let words = said(&Announcement::OwnNumber, &facts);
        let expected = [
            Word::YourNumber,
            Word::One,
            Word::Zero,
            Word::A,
            Word::Registered,
        ];
        assert_eq!(words, expected);
        let none = said(&Announcement::OwnNumber, &Facts::default());
        assert_eq!(none, [Word::NoAccount]);
    }

    #[test]
    fn the_own_address_is_spelled() {
        let words = |address: &str| {
            let facts = Facts {
                address: Some(address.parse().unwrap()),
                ..Facts::default()
            };
            said(&Announcement::OwnAddress, &facts)
        };
        let v4 = words("10.0.0.2");
        assert_eq!(
            v4[..4],
            [Word::YourAddress, Word::One, Word::Zero, Word::Point]
        );
        assert_eq!(v4.len(), 9);
        let v6 = words("fe80::1");
        assert_eq!(
            v6[1..6],
            [Word::F, Word::E, Word::Eight, Word::Zero, Word::Colon]
        );
        assert_eq!(
            said(&Announcement::OwnAddress, &Facts::default()),
            [Word::NoNetwork]
        );
    }

    #[test]
    fn the_prompt_for_the_language_is_in_every_language() {
        let prompt = |question, refused| {
            Announcement::SetUp(Prompt {
                language: Language::German,
                refused,
                question,
            })
        };
        let words = sentence(
            &prompt(Question::Language, false),
            Language::English,
            &Facts::default(),
        );
        assert_eq!(words, Language::ALL.map(|l| (l, Word::ChooseLanguage)));
        let again = sentence(
            &prompt(Question::Password, true),
            Language::English,
            &Facts::default(),
        );
        let expected = [Word::NotPossible, Word::AskPassword].map(|w| (Language::German, w));
        assert_eq!(again, expected);
    }

    #[test]
    fn what_is_keyed_by_letters_is_spoken_back() {
        let words = |question| {
            let prompt = Announcement::SetUp(Prompt {
                language: Language::English,
                refused: false,
                question,
            });
            said(&prompt, &Facts::default())
        };
        assert_eq!(
            words(Question::Network),
            [Word::NoNetwork, Word::AskNetwork]
        );
        assert_eq!(words(Question::Spelled('a')), [Word::A]);
        assert_eq!(words(Question::Spelled('A')), [Word::Capital, Word::A]);
        assert_eq!(words(Question::Spelled(' ')), [Word::Space]);
        assert_eq!(words(Question::Spelled('{')), [Word::Opening, Word::Curly]);
        assert_eq!(words(Question::Spelled(']')), [Word::Closing, Word::Square]);
        // Whatever can be keyed, which is printable ASCII, sounds like no other.
        let mut said = std::collections::BTreeSet::new();
        for character in ' '..='~' {
            let words = words(Question::Spelled(character));
            assert!(!words.contains(&Word::Sign), "{character}");
            assert!(said.insert(words), "{character} sounds as another");
        }
    }

    /// Every announcement there can be has words. A new variant is a new line here: the matches
    /// above are exhaustive, and this shows that none of their arms is empty.
    #[test]
    fn every_announcement_has_words() {
        let number = || "0301".to_owned();
        let mut all = vec![Announcement::OwnNumber, Announcement::OwnAddress];
        let codes = config::codes::CODES.iter();
        all.extend(codes.map(|entry| Announcement::Set(entry.code, number())));
        all.extend(
            [
                Maintenance::SelfTest,
                Maintenance::Bundle,
                Maintenance::HistoryToCard,
                Maintenance::Reboot,
                Maintenance::FactoryReset,
            ]
            .map(Announcement::Maintenance),
        );
        let routes = [
            RouteError::NotRegistered(number()),
            RouteError::DirectOff,
            RouteError::NoAccount,
            RouteError::NoEmergencyRoute,
        ];
        let mut errors = vec![
            DialError::Nothing,
            DialError::Incomplete(number()),
            DialError::Unknown(number()),
            DialError::Barred(BarredNumber::Emergency(number())),
            DialError::Barred(BarredNumber::DigitMap(number())),
            DialError::NothingToRedial,
            DialError::NoOneCalled,
            DialError::NothingToTransfer,
            DialError::NothingToConnect,
            DialError::TooManyCalls(number()),
        ];
        errors.extend(routes.map(|why| DialError::NoRoute {
            number: number(),
            why,
        }));
        all.extend(errors.into_iter().map(Announcement::NotDialled));
        let codes = (300..700).map(Some).chain([None]);
        all.extend(codes.map(Announcement::Failed));
        all.extend((0..=255).map(Announcement::Fault));
        for question in [
            Question::Language,
            Question::Country,
            Question::Network,
            Question::WifiName,
            Question::WifiPassword,
            Question::OwnAddress,
            Question::Router,
            Question::Letters,
            Question::Spelled('A'),
            Question::Spelled(' '),
            Question::Spelled('!'),
            Question::TakenBack,
            Question::Address,
            Question::User,
            Question::Password,
            Question::Save {
                address: "10.0.0.2".into(),
                user: number(),
            },
            Question::Saving,
            Question::CardFails,
        ] {
            for (language, refused) in [(Language::English, false), (Language::German, true)] {
                all.push(Announcement::SetUp(Prompt {
                    language,
                    refused,
                    question: question.clone(),
                }));
            }
        }
        let mut used = std::collections::BTreeSet::new();
        for announcement in &all {
            for language in Language::ALL {
                let words = sentence(announcement, language, &Facts::default());
                assert!(!words.is_empty(), "{announcement:?}");
                used.extend(words.into_iter().map(|(_, word)| word));
            }
        }
        let facts = Facts {
            account: Some((('!'..='~').chain(['é']).collect(), true)),
            address: "fe80::1".parse().ok(),
            last_mos: None,
        };
        used.extend(said(&Announcement::OwnNumber, &facts));
        used.extend(said(&Announcement::OwnAddress, &facts));
        let facts = Facts {
            account: Some(("1".into(), false)),
            ..facts
        };
        used.extend(said(&Announcement::OwnNumber, &facts));
        for last_mos in [None, Some(1.0), Some(3.7), Some(4.4)] {
            let facts = Facts {
                last_mos,
                ..Facts::default()
            };
            used.extend(said(&Announcement::LastQuality, &facts));
        }
        let address = Announcement::Number("sip:10@a".into());
        assert_eq!(said(&address, &Facts::default()), [Word::One, Word::Zero]);
        let unused: Vec<_> = Word::ALL
            .iter()
            .filter(|word| !used.contains(word))
            .collect();
        assert!(unused.is_empty(), "never said: {unused:?}");
    }
}
