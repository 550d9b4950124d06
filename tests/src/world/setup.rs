//! How a phone of a world is furnished, and what it is called.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use testkit::signal::Source;

use super::{PeerId, PhoneId};
use crate::card::CardSetup;

/// What a phone of the story is like. The defaults: an 8 kHz card with 20 ms periods, PCMU, no
/// account, speed dials to every phone (`201` is `l`) and scripted peer (`301` is the first).
#[derive(Debug, Clone)]
pub struct Setup {
    /// Further lines of its `offhook.toml`, by section, after those the world writes itself.
    pub sections: BTreeMap<String, String>,
    /// Its `[[account]]` sections.
    pub accounts: String,
    /// Country.
    pub country: String,
    /// `codecs.order`.
    pub codecs: String,
    /// Its card.
    pub card: CardSetup,
    /// What its user says; `None`: a voice of its own.
    pub voice: Option<Source>,
    /// Its speed dials go by TLS.
    pub tls: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            sections: BTreeMap::new(),
            accounts: String::new(),
            country: "de".to_owned(),
            codecs: "\"pcmu\"".to_owned(),
            card: CardSetup::new(8_000, 20),
            voice: None,
            tls: false,
        }
    }
}

impl Setup {
    /// A card with this rate and period.
    #[must_use]
    pub fn card(mut self, rate_hz: u32, period_ms: u32) -> Self {
        self.card = CardSetup {
            start: self.card.start,
            ..CardSetup::new(rate_hz, period_ms)
        };
        self
    }

    /// Codecs, best first, as in the configuration: `"opus", "pcmu"`.
    #[must_use]
    pub fn codecs(mut self, order: &str) -> Self {
        order.clone_into(&mut self.codecs);
        self
    }

    /// Further lines of a section of its configuration: `("call", "waiting = false")`.
    #[must_use]
    pub fn toml(mut self, section: &str, lines: &str) -> Self {
        let text = self.sections.entry(section.to_owned()).or_default();
        text.push_str(lines);
        text.push('\n');
        self
    }

    /// Calls go by TLS.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// A country.
    #[must_use]
    pub fn country(mut self, code: &str) -> Self {
        code.clone_into(&mut self.country);
        self
    }

    /// What its user says.
    #[must_use]
    pub fn voice(mut self, source: Source) -> Self {
        self.voice = Some(source);
        self
    }

    /// An account at the registrar of the world, `10.0.0.100`.
    #[must_use]
    pub fn account(self, user: &str, password: &str) -> Self {
        self.account_with(user, password, "10.0.0.100", "")
    }

    /// An account with further lines.
    #[must_use]
    pub fn account_with(mut self, user: &str, password: &str, domain: &str, lines: &str) -> Self {
        let _ = writeln!(
            self.accounts,
            "[[account]]\nuser = \"{user}\"\ndomain = \"{domain}\"\npassword = \"{password}\"\n\
             {lines}"
        );
        self
    }
}

/// Address of a phone.
pub fn phone_ip(id: PhoneId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id.0 as u8 + 1))
}

/// Address of a scripted peer.
pub fn peer_ip(id: PeerId) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, id.0 as u8 + 9))
}

/// Address of the registrar.
pub fn registrar_ip() -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 100))
}

/// Address of a further registrar.
pub fn backup_registrar_ip(index: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 101 + index as u8))
}

/// The number that speed-dials a phone.
pub fn number_of(id: PhoneId) -> String {
    format!("20{}", id.0 + 1)
}

/// The number that speed-dials a scripted peer.
pub fn number_of_peer(id: PeerId) -> String {
    format!("30{}", id.0 + 1)
}

pub(super) fn configuration(name: &str, ip: IpAddr, setup: &Setup) -> config::Config {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut add = |section: &str, lines: &str| {
        let text = sections.entry(section.to_owned()).or_default();
        text.push_str(lines);
        text.push('\n');
    };
    add(
        "phone",
        &format!(
            "country = \"{}\"\nname = \"{name}\"\nuser = \"{name}\"",
            setup.country
        ),
    );
    add(
        "network",
        &format!("bind = \"{ip}\"\nsip_port = 5060\nrtp_ports = [20000, 20019]"),
    );
    add("codecs", &format!("order = [{}]", setup.codecs));
    add(
        "control",
        "socket = \"/nowhere/ctl.sock\"\nstate_dir = \"/nowhere\"",
    );
    add("board", "profile = \"sim\"");
    if !setup
        .sections
        .get("dial")
        .is_some_and(|own| own.contains("digit_map"))
    {
        add("dial", "digit_map = \"[2-9]xx\"");
    }
    let way = if setup.tls { ":5061;transport=tls" } else { "" };
    for id in 0..5 {
        let id = PhoneId(id);
        add(
            "dial.speed",
            &format!(
                "{} = \"sip:{}@{}{way}\"",
                number_of(id),
                id.0 + 1,
                phone_ip(id)
            ),
        );
    }
    for id in 0..3 {
        let id = PeerId(id);
        add(
            "dial.speed",
            &format!(
                "{} = \"sip:script@{}{way}\"",
                number_of_peer(id),
                peer_ip(id)
            ),
        );
    }
    for (section, lines) in &setup.sections {
        add(section, lines);
    }
    let mut text = String::new();
    for (section, lines) in &sections {
        let _ = writeln!(text, "[{section}]\n{lines}");
    }
    text += &setup.accounts;
    config::load(&text, "simulated offhook.toml")
        .unwrap_or_else(|error| panic!("configuration of {name}:\n{text}\n{error:?}"))
}
