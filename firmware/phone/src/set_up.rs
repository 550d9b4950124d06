//! The set-up by keypad, for a phone that has no settings yet: questions with a voice, answers by
//! keys.
//!
//! ```text
//! Language 1|2 ─▶ Country 49# ─▶ Address 192*0*2*1# ─▶ User 101# ─▶ Password 4711# ─▶ Save 1 ─▶ SetUpAnswers
//!     ▲                                                                                   2 ┘
//!     └────────────────────────── a key that makes no sense: the question again ──────────┘
//! ```
//!
//! Pure: a key in, what is said or saved out. Names with letters cannot be keyed; an account that
//! needs them is written into `offhook.toml`.

use std::net::Ipv4Addr;

use types::{Country, Key, Language};

/// Longest answer.
const MAX_DIGITS: usize = 32;

/// What the dialogue asks, or says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Which language: asked in every one.
    Language,
    /// The country, by its telephone code.
    Country,
    /// The server's address.
    Address,
    /// The account's user name.
    User,
    /// Its password.
    Password,
    /// Whether this is right.
    Save {
        /// The server's address.
        address: String,
        /// The account's user name.
        user: String,
    },
    /// It is being written to the card.
    Saving,
    /// It could not be written.
    CardFails,
}

/// Something said in the dialogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// In this language.
    pub language: Language,
    /// The answer before made no sense: that is said first.
    pub refused: bool,
    /// What is asked.
    pub question: Question,
}

/// What was keyed.
#[derive(Clone, PartialEq, Eq)]
pub struct SetUpAnswers {
    /// What the phone speaks.
    pub language: Language,
    /// Whose tones it has.
    pub country: Country,
    /// The server.
    pub address: Ipv4Addr,
    /// The account's user name.
    pub user: String,
    /// Its password.
    pub password: String,
}

impl std::fmt::Debug for SetUpAnswers {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            language,
            country,
            address,
            user,
            password: _,
        } = self;
        f.debug_struct("SetUpAnswers")
            .field("language", language)
            .field("country", country)
            .field("address", address)
            .field("user", user)
            .finish_non_exhaustive()
    }
}

/// What follows a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// More keys are expected.
    Nothing,
    /// Say this.
    Say(Prompt),
    /// Everything was answered.
    Save(SetUpAnswers),
}

/// Which question is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Language,
    Country,
    Address,
    User,
    Password,
    Save,
    Saved,
}

/// The dialogue.
#[derive(Debug)]
pub(crate) struct SetUp {
    step: Step,
    digits: String,
    language: Language,
    country: Country,
    address: Ipv4Addr,
    user: String,
    password: String,
}

impl SetUp {
    /// From the beginning.
    pub(crate) fn new() -> Self {
        Self {
            step: Step::Language,
            digits: String::new(),
            language: Language::English,
            country: Country::Us,
            address: Ipv4Addr::UNSPECIFIED,
            user: String::new(),
            password: String::new(),
        }
    }

    /// The question that is open.
    pub(crate) fn prompt(&self, refused: bool) -> Prompt {
        let question = match self.step {
            Step::Language => Question::Language,
            Step::Country => Question::Country,
            Step::Address => Question::Address,
            Step::User => Question::User,
            Step::Password => Question::Password,
            Step::Save => Question::Save {
                address: self.address.to_string(),
                user: self.user.clone(),
            },
            Step::Saved => Question::Saving,
        };
        Prompt {
            language: self.language,
            refused,
            question,
        }
    }

    /// The card could not be written: what is said; the question before is open again.
    pub(crate) fn handle_failure(&mut self) -> Prompt {
        self.step = Step::Save;
        Prompt {
            language: self.language,
            refused: false,
            question: Question::CardFails,
        }
    }

    /// A key was pressed.
    pub(crate) fn handle_key(&mut self, key: Key) -> Reply {
        match (self.step, key) {
            (Step::Saved, _) => Reply::Nothing,
            (Step::Language, Key::Digit(1)) => self.speak(Language::English),
            (Step::Language, Key::Digit(2)) => self.speak(Language::German),
            (Step::Save, Key::Digit(1)) => {
                self.step = Step::Saved;
                Reply::Save(SetUpAnswers {
                    language: self.language,
                    country: self.country,
                    address: self.address,
                    user: self.user.clone(),
                    password: self.password.clone(),
                })
            }
            (Step::Save, Key::Digit(2)) => self.go(Step::Country),
            (Step::Language | Step::Save, _) => self.refuse(),
            (Step::Country | Step::Address | Step::User | Step::Password, Key::Hash) => {
                self.take_answer()
            }
            (Step::Country | Step::Address | Step::User | Step::Password, key) => {
                if self.digits.len() < MAX_DIGITS {
                    self.digits.push(key.as_char());
                }
                Reply::Nothing
            }
        }
    }

    fn speak(&mut self, language: Language) -> Reply {
        self.language = language;
        self.go(Step::Country)
    }

    fn go(&mut self, step: Step) -> Reply {
        self.step = step;
        Reply::Say(self.prompt(false))
    }

    fn refuse(&self) -> Reply {
        Reply::Say(self.prompt(true))
    }

    /// `#`: what was keyed is the answer.
    fn take_answer(&mut self) -> Reply {
        let digits = std::mem::take(&mut self.digits);
        match self.step {
            Step::Country => {
                let found = Country::ALL
                    .iter()
                    .find(|country| country.calling_code() == digits);
                let Some(country) = found else {
                    return self.refuse();
                };
                self.country = *country;
                self.go(Step::Address)
            }
            Step::Address => {
                let address = digits.replace('*', ".").parse::<Ipv4Addr>();
                let usable = |address: &Ipv4Addr| {
                    !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast()
                };
                let Some(address) = address.ok().filter(usable) else {
                    return self.refuse();
                };
                self.address = address;
                self.go(Step::User)
            }
            Step::User | Step::Password if digits.is_empty() => self.refuse(),
            Step::User => {
                self.user = digits;
                self.go(Step::Password)
            }
            Step::Password => {
                self.password = digits;
                self.go(Step::Save)
            }
            Step::Language | Step::Save | Step::Saved => Reply::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Presses keys; the last reply.
    fn press(set_up: &mut SetUp, keys: &str) -> Reply {
        let mut last = Reply::Nothing;
        for key in keys.chars() {
            last = set_up.handle_key(Key::from_char(key).unwrap());
        }
        last
    }

    fn question(reply: &Reply) -> (&Question, bool) {
        match reply {
            Reply::Say(prompt) => (&prompt.question, prompt.refused),
            Reply::Nothing | Reply::Save(_) => panic!("{reply:?}"),
        }
    }

    #[test]
    fn five_answers_make_an_account() {
        let mut set_up = SetUp::new();
        assert_eq!(set_up.prompt(false).question, Question::Language);
        assert_eq!(
            question(&press(&mut set_up, "2")),
            (&Question::Country, false)
        );
        assert_eq!(
            question(&press(&mut set_up, "49#")),
            (&Question::Address, false)
        );
        let reply = press(&mut set_up, "192*168*1*5#");
        assert_eq!(question(&reply), (&Question::User, false));
        assert_eq!(
            question(&press(&mut set_up, "101#")),
            (&Question::Password, false)
        );
        let reply = press(&mut set_up, "4711*0#");
        let save = Question::Save {
            address: "192.168.1.5".into(),
            user: "101".into(),
        };
        assert_eq!(question(&reply), (&save, false));
        let Reply::Save(answers) = press(&mut set_up, "1") else {
            panic!("it is saved");
        };
        assert_eq!(
            (answers.country, answers.language),
            (Country::De, Language::German)
        );
        assert_eq!(answers.address.to_string(), "192.168.1.5");
        assert_eq!(
            (answers.user.as_str(), answers.password.as_str()),
            ("101", "4711*0")
        );
        assert!(!format!("{answers:?}").contains("4711"));
        assert_eq!(press(&mut set_up, "1"), Reply::Nothing, "once");
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_asked_for_again() {
        let mut set_up = SetUp::new();
        assert_eq!(
            question(&press(&mut set_up, "7")),
            (&Question::Language, true)
        );
        press(&mut set_up, "1");
        assert_eq!(
            question(&press(&mut set_up, "9999#")),
            (&Question::Country, true)
        );
        press(&mut set_up, "44#");
        for bad in ["#", "192*168*1#", "300*1*1*1#", "0*0*0*0#", "1234#"] {
            assert_eq!(
                question(&press(&mut set_up, bad)),
                (&Question::Address, true),
                "{bad}"
            );
        }
        press(&mut set_up, "10*0*0*1#");
        assert_eq!(question(&press(&mut set_up, "#")), (&Question::User, true));
        press(&mut set_up, "5#");
        assert_eq!(
            question(&press(&mut set_up, "#")),
            (&Question::Password, true)
        );
    }

    #[test]
    fn two_starts_again_and_a_full_card_can_be_tried_again() {
        let mut set_up = SetUp::new();
        press(&mut set_up, "11#10*0*0*1#5#6#");
        assert!(question(&press(&mut set_up, "3")).1);
        assert_eq!(
            question(&press(&mut set_up, "2")),
            (&Question::Country, false)
        );
        press(&mut set_up, "1#10*0*0*2#5#6#");
        assert!(matches!(press(&mut set_up, "1"), Reply::Save(_)));
        assert_eq!(set_up.handle_failure().question, Question::CardFails);
        assert!(matches!(press(&mut set_up, "1"), Reply::Save(_)));
    }

    #[test]
    fn keys_without_end_stay_within_bounds() {
        let mut set_up = SetUp::new();
        press(&mut set_up, "1");
        press(&mut set_up, &"9".repeat(5000));
        assert!(set_up.digits.len() <= MAX_DIGITS);
    }

    #[test]
    fn every_country_can_be_keyed() {
        for country in Country::ALL {
            let mut set_up = SetUp::new();
            let keys = format!("1{}#", country.calling_code());
            press(&mut set_up, &keys);
            assert_eq!(set_up.country, *country);
        }
    }
}
