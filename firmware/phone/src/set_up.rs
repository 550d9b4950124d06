//! The set-up by keypad, for a phone that has no settings yet: questions with a voice, answers by
//! keys.
//!
//! ```text
//! Language 1|2 ─▶ Country 49# ─▶ Server 192*0*2*1# ─▶ User 101# ─▶ Password 4711# ─▶ Save 1 ─▶ SetUpAnswers
//!     ▲       no network: │ ▲                                                            2 ┘
//!     │                   ▼ │ 3, or answered
//!     │                Network ─ 1 ─▶ Wi-Fi name ─▶ Wi-Fi password     2 ─▶ own address ─▶ router
//!     └────────────────────── a key that makes no sense: the question again ───────────────┘
//! ```
//!
//! Pure: a key in, what is said or saved out. Letters take two keys each ([`typed`]).

mod typed;

use std::net::Ipv4Addr;

use types::{Country, Key, Language};

use typed::{Answer, Typed};

/// Bits of an address that a router's own network has, as in houses.
const PREFIX: u32 = 24;
/// Longest name of a wireless network, and lengths of its password.
const MAX_SSID: usize = 32;
const WIFI_PASSWORD: std::ops::RangeInclusive<usize> = 8..=63;

/// What the dialogue asks, or says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Which language: asked in every one.
    Language,
    /// The country, by its telephone code.
    Country,
    /// There is no network: a wireless one, an address of its own, or neither.
    Network,
    /// The name of the wireless network.
    WifiName,
    /// Its password; none: it has none.
    WifiPassword,
    /// The phone's own address.
    OwnAddress,
    /// The router's address.
    Router,
    /// The server's address or name.
    Address,
    /// The account's user name.
    User,
    /// Its password.
    Password,
    /// From here on letters are keyed: how.
    Letters,
    /// A character was keyed.
    Spelled(char),
    /// The last character is gone.
    TakenBack,
    /// Whether this is right.
    Save {
        /// The server's address or name.
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

/// The network that was keyed.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum NetworkAnswer {
    /// As it is: by cable, with an address from DHCP.
    #[default]
    Automatic,
    /// A wireless one.
    Wifi {
        /// Its name.
        name: String,
        /// Its password; empty: it has none.
        password: String,
    },
    /// An address of its own.
    Fixed {
        /// The phone's.
        address: Ipv4Addr,
        /// Its network's prefix length.
        prefix: u32,
        /// The router's, which answers for names, too.
        router: Ipv4Addr,
    },
}

impl std::fmt::Debug for NetworkAnswer {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Automatic => f.write_str("Automatic"),
            Self::Wifi { name, .. } => f.debug_tuple("Wifi").field(name).finish(),
            Self::Fixed {
                address,
                prefix,
                router,
            } => write!(f, "Fixed({address}/{prefix}, {router})"),
        }
    }
}

/// What was keyed.
#[derive(Clone, PartialEq, Eq)]
pub struct SetUpAnswers {
    /// What the phone speaks.
    pub language: Language,
    /// Whose tones it has.
    pub country: Country,
    /// Its network.
    pub network: NetworkAnswer,
    /// The server: an address or a name.
    pub server: String,
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
            network,
            server,
            user,
            password: _,
        } = self;
        f.debug_struct("SetUpAnswers")
            .field("language", language)
            .field("country", country)
            .field("network", network)
            .field("server", server)
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
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Language,
    Country,
    Network,
    WifiName,
    /// Of the network with this name.
    WifiPassword(String),
    OwnAddress,
    /// Of the network in which the phone has this address.
    Router(Ipv4Addr),
    Server,
    User,
    Password,
    Save,
    Saved,
}

impl Step {
    /// Whether letters are keyed from the beginning.
    fn has_letters(&self) -> bool {
        matches!(self, Self::WifiName | Self::WifiPassword(_))
    }
}

/// The dialogue.
#[derive(Debug)]
pub(crate) struct SetUp {
    step: Step,
    has_network: bool,
    answer: Answer,
    language: Language,
    country: Country,
    network: NetworkAnswer,
    server: String,
    user: String,
    password: String,
}

impl SetUp {
    /// From the beginning; a phone that has a network is not asked for one.
    pub(crate) fn new(has_network: bool) -> Self {
        Self {
            step: Step::Language,
            has_network,
            answer: Answer::default(),
            language: Language::English,
            country: Country::Us,
            network: NetworkAnswer::default(),
            server: String::new(),
            user: String::new(),
            password: String::new(),
        }
    }

    /// The question that is open.
    pub(crate) fn prompt(&self, refused: bool) -> Prompt {
        let question = match &self.step {
            Step::Language => Question::Language,
            Step::Country => Question::Country,
            Step::Network => Question::Network,
            Step::WifiName => Question::WifiName,
            Step::WifiPassword(_) => Question::WifiPassword,
            Step::OwnAddress => Question::OwnAddress,
            Step::Router(_) => Question::Router,
            Step::Server => Question::Address,
            Step::User => Question::User,
            Step::Password => Question::Password,
            Step::Save => Question::Save {
                address: self.server.clone(),
                user: self.user.clone(),
            },
            Step::Saved => Question::Saving,
        };
        self.say(question, refused)
    }

    fn say(&self, question: Question, refused: bool) -> Prompt {
        Prompt {
            language: self.language,
            refused,
            question,
        }
    }

    /// The card could not be written: what is said; the question before is open again.
    pub(crate) fn handle_failure(&mut self) -> Prompt {
        self.step = Step::Save;
        self.say(Question::CardFails, false)
    }

    /// A key was pressed.
    pub(crate) fn handle_key(&mut self, key: Key) -> Reply {
        match (&self.step, key) {
            (Step::Saved, _) => Reply::Nothing,
            (Step::Language, Key::Digit(1)) => self.speak(Language::English),
            (Step::Language, Key::Digit(2)) => self.speak(Language::German),
            (Step::Network, Key::Digit(1)) => self.go(Step::WifiName),
            (Step::Network, Key::Digit(2)) => self.go(Step::OwnAddress),
            (Step::Network, Key::Digit(3)) => self.go_on_with(NetworkAnswer::Automatic),
            (Step::Save, Key::Digit(1)) => {
                self.step = Step::Saved;
                Reply::Save(SetUpAnswers {
                    language: self.language,
                    country: self.country,
                    network: self.network.clone(),
                    server: self.server.clone(),
                    user: self.user.clone(),
                    password: self.password.clone(),
                })
            }
            (Step::Save, Key::Digit(2)) => self.go(Step::Country),
            (Step::Language | Step::Network | Step::Save, _) => self.refuse(),
            (_, key) => match self.answer.handle_key(key) {
                Typed::More => Reply::Nothing,
                Typed::LettersBegin => Reply::Say(self.say(Question::Letters, false)),
                Typed::Character(one) => Reply::Say(self.say(Question::Spelled(one), false)),
                Typed::TakenBack => Reply::Say(self.say(Question::TakenBack, false)),
                Typed::NoCharacter => Reply::Say(self.say(Question::Letters, true)),
                Typed::Done(text) => self.take_answer(text),
            },
        }
    }

    fn speak(&mut self, language: Language) -> Reply {
        self.language = language;
        self.go(Step::Country)
    }

    fn go(&mut self, step: Step) -> Reply {
        self.answer = if step.has_letters() {
            Answer::with_letters()
        } else {
            Answer::default()
        };
        self.step = step;
        Reply::Say(self.prompt(false))
    }

    /// The question again, from its beginning.
    fn refuse(&mut self) -> Reply {
        let step = self.step.clone();
        self.go(step);
        Reply::Say(self.prompt(true))
    }

    fn go_on_with(&mut self, network: NetworkAnswer) -> Reply {
        self.network = network;
        self.go(Step::Server)
    }

    /// `#`: what was keyed is the answer.
    fn take_answer(&mut self, text: String) -> Reply {
        let address = || address_of(&text);
        match &self.step {
            Step::Country => {
                let known = |country: &&Country| country.calling_code() == text;
                let Some(country) = Country::ALL.iter().find(known) else {
                    return self.refuse();
                };
                self.country = *country;
                self.go(if self.has_network {
                    Step::Server
                } else {
                    Step::Network
                })
            }
            Step::WifiName if (1..=MAX_SSID).contains(&text.len()) => {
                self.go(Step::WifiPassword(text))
            }
            Step::WifiPassword(name) if text.is_empty() || WIFI_PASSWORD.contains(&text.len()) => {
                let name = name.clone();
                self.go_on_with(NetworkAnswer::Wifi {
                    name,
                    password: text,
                })
            }
            Step::OwnAddress => match address() {
                Some(address) => self.go(Step::Router(address)),
                None => self.refuse(),
            },
            Step::Router(own) => match address() {
                Some(router) if router != *own && network_of(router) == network_of(*own) => {
                    let address = *own;
                    self.go_on_with(NetworkAnswer::Fixed {
                        address,
                        prefix: PREFIX,
                        router,
                    })
                }
                Some(_) | None => self.refuse(),
            },
            Step::Server => {
                let server = if self.answer.has_letters() {
                    is_name(&text).then_some(text)
                } else {
                    address().map(|address| address.to_string())
                };
                let Some(server) = server else {
                    return self.refuse();
                };
                self.server = server;
                self.go(Step::User)
            }
            Step::User if !text.is_empty() => {
                self.user = text;
                self.go(Step::Password)
            }
            Step::Password if !text.is_empty() => {
                self.password = text;
                self.go(Step::Save)
            }
            Step::WifiName | Step::WifiPassword(_) | Step::User | Step::Password => self.refuse(),
            Step::Language | Step::Network | Step::Save | Step::Saved => Reply::Nothing,
        }
    }
}

/// An address with `*` for the point, of one machine.
fn address_of(text: &str) -> Option<Ipv4Addr> {
    let address = text.replace('*', ".").parse::<Ipv4Addr>().ok()?;
    let usable = !address.is_unspecified() && !address.is_broadcast() && !address.is_multicast();
    usable.then_some(address)
}

fn network_of(address: Ipv4Addr) -> u32 {
    address.to_bits() >> (32 - PREFIX)
}

/// Whether this can be a host's name (RFC 1123 section 2.1).
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && !label.starts_with('-') && label.chars().all(known)
    };
    text.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
