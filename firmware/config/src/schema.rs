//! The one schema: what `offhook.toml` may say, its defaults and its limits.
//!
//! The types are here, what may be written into them and what they hold by default is in
//! `settings`; parser, commented example and reference page all come from that table.
//!
//! ```text
//! settings (kind, default, text, field) ─▶ load ─▶ Config (these types)
//! ```

mod actions;
mod audio;
mod blank;
mod board;
mod direct;
mod encryption;
mod hardware;
mod mqtt;
mod paging;

pub use actions::Actions;
pub use audio::{AudioSettings, RingSound};
pub(crate) use blank::{blank, blank_account, blank_pin};
pub use board::{Audio, Board, EchoCancelling, RingerChoice};
pub use direct::DirectCaller;
pub use encryption::Encryption;
pub use hardware::Hardware;
pub use mqtt::{Mqtt, MqttOrder};
pub use paging::Paging;

use std::net::IpAddr;
use std::path::PathBuf;

use types::{Codec, Country, DtmfMethod, EncryptionPolicy, Language, OpusBand, Transport};

mod quality;
mod system;

pub use quality::Quality;
pub use system::{
    Eap, EapMethod, Ipv4Config, Ipv6Config, Link, Provision, System, Update, Wifi, WifiSecurity,
};

use crate::codes::Codes;

/// A whole configuration, validated.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `[phone]`
    pub phone: Phone,
    /// `[network]`
    pub network: Network,
    /// `[[account]]`, in order; the first that can place a call is used by default.
    pub accounts: Vec<Account>,
    /// `[dial]`
    pub dial: Dial,
    /// `[call]`
    pub call: Call,
    /// `[codecs]`
    pub codecs: Codecs,
    /// `[quality]`
    pub quality: Quality,
    /// `[encryption]`
    pub encryption: Encryption,
    /// `[tls]` and `[[tls.pin]]`
    pub tls: Tls,
    /// `[security]`
    pub security: Security,
    /// `[audio]`
    pub audio: AudioSettings,
    /// `[board]`
    pub board: Board,
    /// `[hardware]` and what of `[board.audio]` belongs to it.
    pub hardware: Hardware,
    /// `[control]`
    pub control: Control,
    /// `[network]`: addresses and cable.
    pub link: Link,
    /// `[wifi]`
    pub wifi: Wifi,
    /// `[system]`
    pub system: System,
    /// `[provision]`
    pub provision: Provision,
    /// `[update]`
    pub update: Update,
    /// `[codes]`
    pub codes: Codes,
    /// `[actions]`
    pub actions: Actions,
    /// `[paging]`
    pub paging: Paging,
    /// `[mqtt]`
    pub mqtt: Mqtt,
}

/// `[phone]`: who and where this telephone is.
#[derive(Debug, Clone, PartialEq)]
pub struct Phone {
    /// Country whose tones and numbers it has.
    pub country: Country,
    /// What it speaks; `None`: the country's, [`Language::of`].
    pub language: Option<Language>,
    /// Words say what tones mean.
    pub speech: bool,
    /// Name shown to others in direct calls.
    pub name: String,
    /// User part of the phone's own direct address, `sip:USER@host`.
    pub user: String,
    /// Text of User-Agent and Server; empty: neither is sent. `None`: name and version.
    pub user_agent: Option<String>,
    /// Log filter, e.g. `"info"` or `"offhook=debug"`.
    pub log: String,
}

/// `[network]`: addresses and ports.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Address SIP and RTP sockets are bound to; `::` for all, `0.0.0.0` for all of IPv4.
    pub bind: IpAddr,
    /// SIP port for UDP and TCP.
    pub sip_port: u16,
    /// First and last RTP port, inclusive. RTP takes the even one of a pair, RTCP the odd one.
    pub rtp_ports: (u16, u16),
    /// DSCP of RTP packets (46 is EF).
    pub rtp_dscp: u8,
    /// DSCP of SIP packets (24 is CS3).
    pub sip_dscp: u8,
    /// The address far ends outside the own network are given (static NAT).
    pub external_address: Option<IpAddr>,
    /// `host` or `host:port` of the STUN server.
    pub stun: Option<String>,
    /// The TURN server.
    pub turn: Option<Turn>,
    /// ICE (RFC 8445): offered and answered, or neither; `None`: answered.
    pub ice: Option<bool>,
    /// Others of this network find the phone by its host name (RFC 6762).
    pub mdns: bool,
}

/// A TURN server (RFC 8656) and who the phone is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// `host` or `host:port`.
    pub server: String,
    /// How the phone speaks to it.
    pub transport: Transport,
    /// User name.
    pub user: String,
    /// Password.
    pub password: Secret,
}

/// A secret that never shows in logs or `Debug`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(pub String);

impl Secret {
    /// What the file holds in place of a secret that moved into the phone.
    pub const MOVED: &str = "@moved";
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Which challenges an account answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestPolicy {
    /// The strongest that is offered, MD5 where there is nothing else.
    Any,
    /// SHA-256 and better.
    Sha256,
}

/// When an account keeps its way through routers open over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeepaliveMode {
    /// Where the server sees the phone at another address than its own.
    Auto,
    /// Always.
    Always,
    /// Never.
    Off,
}

/// What an account does about its mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageWaiting {
    /// It takes what the server reports by itself.
    Accept,
    /// It subscribes.
    Subscribe,
    /// Nothing.
    Off,
}

/// When this phone asks for a session timer (RFC 4028).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionTimer {
    /// Never; one that the far end asks for is kept.
    Answer,
    /// In the calls it places.
    Offer,
    /// In all calls.
    Always,
}

/// `[[account]]`: one line at a registrar.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// Short name used in status and dial plan; default is `user@domain`.
    pub name: String,
    /// User part of the address of record.
    pub user: String,
    /// SIP domain.
    pub domain: String,
    /// User name for digest authentication, where it differs from `user`.
    pub auth_user: Option<String>,
    /// Digest password.
    pub password: Secret,
    /// Which challenges are answered with it.
    pub digest: DigestPolicy,
    /// Name shown to the called party.
    pub display_name: Option<String>,
    /// Transport to the registrar.
    pub transport: Transport,
    /// `host` or `host:port` of the registrar where it is not found by `domain`.
    pub registrar: Option<String>,
    /// `host` or `host:port` every request is sent through.
    pub outbound_proxy: Option<String>,
    /// `host` or `host:port` of the servers tried when the first one does not answer.
    pub backup_servers: Vec<String>,
    /// Keepalives over UDP.
    pub keepalive: KeepaliveMode,
    /// Use the address the registrar makes for this phone (RFC 5627).
    pub gruu: bool,
    /// What `[network]` says, where that is another for this account.
    pub external_address: Option<IpAddr>,
    /// The same.
    pub stun: Option<String>,
    /// The same.
    pub turn: Option<Turn>,
    /// The same.
    pub ice: Option<bool>,
    /// Registration lifetime asked for, in seconds.
    pub expires_s: u32,
    /// `false`: calls go out by this account but it never registers.
    pub register: bool,
    /// What is done with news of its mailbox.
    pub messages: MessageWaiting,
    /// A registration that the server has removed is noticed and made again (RFC 3680).
    pub watch_registration: bool,
    /// Its server may have calls answered, resumed and put on hold.
    pub remote_control: bool,
    /// Keys before a number that uses this account.
    pub prefix: Option<String>,
    /// How its calls ring: 1 to 5 (Bellcore-dr1…).
    pub ring: Option<u8>,
    /// Calls by it withhold its number.
    pub anonymous: bool,
    /// Its server takes no 302: the phone forwards calls by calling the other number itself.
    pub forward_by_transfer: bool,
    /// Which numbers exist for it, where that differs from `dial.digit_map`.
    pub digit_map: Option<String>,
    /// How much encryption calls by this account want, where that differs from `[encryption]`.
    pub encryption: Option<EncryptionPolicy>,
    /// How digits are sent, where that differs from `[call]`.
    pub dtmf: Option<DtmfMethod>,
    /// Bits a second of Opus, where that differs from `[codecs]`.
    pub opus_bitrate: Option<u32>,
    /// The widest band of Opus, where that differs from `[codecs]`.
    pub opus_band: Option<OpusBand>,
    /// Whether nothing is sent in silence, where that differs from `[codecs]`.
    pub dtx: Option<bool>,
}

/// `[dial]`: from keys to numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Dial {
    /// RFC 3435 digit map plus `<a:b>`, `,` and `!`; [`crate::digit_map::parse`] reads it.
    pub digit_map: String,
    /// Service codes of the country's networks are dialled besides.
    pub service_codes: bool,
    /// Long digit timer in ms: nothing complete yet.
    pub long_timer_ms: u32,
    /// Short digit timer in ms: complete, but more could follow (or a `T` is all that is missing).
    pub short_timer_ms: u32,
    /// Numbers matched first, sent at once and never blocked; added to the country's own.
    pub emergency: Vec<String>,
    /// SIP address used for an emergency number when no account is registered.
    pub emergency_route: Option<String>,
    /// The mailbox.
    pub voicemail: Option<String>,
    /// A service that sends one's own voice back.
    pub echo_test: Option<String>,
    /// Where the PBX parks calls.
    pub park: Option<String>,
    /// What takes a parked or ringing call.
    pub pick_up: Option<String>,
    /// Phones whose state is watched: numbers or addresses, one a lamp.
    pub watch: Vec<String>,
    /// What each key beside the keypad does, by its number from 1.
    pub feature_keys: Vec<(u8, FeatureKey)>,
    /// Names and their numbers or addresses.
    pub contacts: Vec<(String, String)>,
    /// URL of a phone book.
    pub phone_book: Option<String>,
    /// Number dialled → SIP address or other number.
    pub speed_dial: Vec<(String, String)>,
    /// Dialled by itself this many ms after lifting (baby call): (number, delay).
    pub hotline: Option<(String, u32)>,
}

/// What a key with a purpose of its owner's does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeatureKey {
    /// Dials this number, address or star code; takes the call that rings at that phone, where it
    /// is watched.
    Dial(String),
    /// The next number is called by the account of this name.
    Account(String),
    /// Speaks the numbers dialled before, one a press, and dials the one that was spoken last.
    RedialList,
    /// Opens the door (`actions.door`).
    Door,
    /// Connects the call on hold and the one in the hand.
    Conference,
}

impl FeatureKey {
    /// What stands before an account's name.
    const ACCOUNT: &'static str = "account:";
    /// The name of [`FeatureKey::RedialList`].
    pub(crate) const REDIAL_LIST: &'static str = "redial-list";
    /// The name of [`FeatureKey::Door`].
    pub(crate) const DOOR: &'static str = "door";
    /// The name of [`FeatureKey::Conference`].
    pub(crate) const CONFERENCE: &'static str = "conference";

    /// `200`, `sip:…`, `*66`, `account:NAME`, or the name of one of the others.
    pub fn from_text(text: &str) -> Self {
        if text == Self::REDIAL_LIST {
            return Self::RedialList;
        }
        if text == Self::DOOR {
            return Self::Door;
        }
        if text == Self::CONFERENCE {
            return Self::Conference;
        }
        match text.strip_prefix(Self::ACCOUNT) {
            Some(name) => Self::Account(name.to_owned()),
            None => Self::Dial(text.to_owned()),
        }
    }
}

/// What becomes of a blocked caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockAction {
    /// Refused.
    Reject,
    /// Hears busy.
    Busy,
    /// Hears ringing; the phone makes no sound.
    Silent,
    /// Speaks to the mailbox, `dial.voicemail`.
    Voicemail,
}

impl BlockAction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reject, Self::Busy, Self::Silent, Self::Voicemail];

    /// Its name in `offhook.toml`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Busy => "busy",
            Self::Silent => "silent",
            Self::Voicemail => "voicemail",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == name)
    }
}

/// From when to when, every day, in minutes since midnight; over midnight where it ends before it
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    /// The first minute.
    pub from: u16,
    /// The first minute after it.
    pub until: u16,
}

impl Hours {
    /// `22:00-07:00`.
    pub fn from_text(text: &str) -> Option<Self> {
        let minute = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let digits = hour.len() == 2 && minute.len() == 2;
            let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
            (digits && hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let (from, until) = text.split_once('-')?;
        let (from, until) = (minute(from)?, minute(until)?);
        (from != until).then_some(Self { from, until })
    }

    /// Whether a minute of the day is within.
    pub fn contain(self, minute: u16) -> bool {
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

/// How a flash is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flash {
    /// A short press of the hook switch (in the country's window) or the flash key.
    Hook,
    /// Only the flash key: hanging up then ends the call without waiting for the window.
    Key,
    /// As `Hook`, but the network learns of it instead of this phone doing anything.
    Network,
    /// No flash at all.
    Off,
}

/// `[call]`: how calls behave.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Answer every incoming call by itself after this many ms; `None`: never.
    pub auto_answer_ms: Option<u32>,
    /// Calls between phones without a server are placed, and accepted from everyone. `None`:
    /// placed, and accepted from everyone where there is no account.
    pub direct: Option<bool>,
    /// Whose calls without a server are accepted; empty: as `direct` says.
    pub direct_from: Vec<DirectCaller>,
    /// Who may watch this phone, and take calls that ring here.
    pub watched_by: Vec<DirectCaller>,
    /// Seconds an outgoing call may ring before it is given up.
    pub no_answer_s: u32,
    /// When a session timer is asked for.
    pub session_timer: SessionTimer,
    /// Longest time between two signs of the far end in the signalling (RFC 4028), in seconds.
    pub session_timer_s: u32,
    /// Shortest such time that a far end may ask for, in seconds.
    pub session_timer_min_s: u32,
    /// Callers hear this phone's line before it is answered (183 with a session description).
    pub early_media: bool,
    /// Seconds sound is sent in a call without any RTP or RTCP from where it goes; 0: no limit.
    pub media_timeout_s: u32,
    /// How a flash is given.
    pub flash: Flash,
    /// A second caller hears ringing (180) and the user a call-waiting tone; `false`: 486.
    pub waiting: bool,
    /// Patterns of callers who do not get through.
    pub block: Vec<String>,
    /// Patterns of callers who do, whatever `block` says.
    pub allow: Vec<String>,
    /// What becomes of those who do not.
    pub block_action: BlockAction,
    /// Patterns of callers, and what becomes of each; they go before `block`.
    pub screen: Vec<(String, BlockAction)>,
    /// When the bell is silent.
    pub quiet_hours: Option<Hours>,
    /// Patterns of callers who ring in quiet hours all the same.
    pub quiet_except: Vec<String>,
    /// Patterns of callers who are answered at once.
    pub intercom: Vec<String>,
    /// They hear the room at once, not only when the handset is lifted.
    pub intercom_microphone: bool,
    /// Patterns of callers, and the number of their ring.
    pub ring: Vec<(String, String)>,
    /// After a flash with two calls a digit says what to do; `None`: as the country does.
    pub flash_menu: Option<bool>,
    /// Seconds an incoming call rings before it is forwarded, where that is set.
    pub forward_after_s: u32,
    /// Seconds after which a call on hold is called to mind; 0: never.
    pub hold_reminder_s: u32,
    /// Hanging up while a consulted call rings or is established hands the call on hold over to it;
    /// `false`: both end.
    pub transfer_on_hangup: bool,
    /// During a call the user's own keys are heard in the handset, too.
    pub key_tones: bool,
    /// How digits are sent.
    pub dtmf: DtmfMethod,
    /// Shortest digit in ms; `None`: what suits how it is sent.
    pub dtmf_ms: Option<u16>,
    /// Shortest pause between two digits in ms.
    pub dtmf_gap_ms: u16,
    /// Seconds of congestion tone after the far end hung up, before the howler.
    pub howler_after_s: u32,
    /// Seconds of howler before silence.
    pub howler_s: u32,
}

/// `[codecs]`: what is offered, best first.
#[derive(Debug, Clone, PartialEq)]
pub struct Codecs {
    /// Order of preference.
    pub order: Vec<Codec>,
    /// Packet length in ms: 10, 20, 30, 40 or 60.
    pub ptime_ms: u8,
    /// Opus: bits a second; `None`: what suits the band.
    pub opus_bitrate: Option<u32>,
    /// Opus: the widest band; `None`: wideband is sent, anything is received.
    pub opus_band: Option<OpusBand>,
    /// Nothing but comfort noise is sent in silence.
    pub dtx: bool,
}

/// Who may connect to the TLS port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Listen {
    /// Those who are pinned; without any, no one.
    Pinned,
    /// Everyone.
    All,
    /// No one.
    Off,
}

/// `[tls]`: encrypted signalling.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// File of certificates to trust instead of the system's.
    pub ca: Option<PathBuf>,
    /// File of this phone's certificate chain, shown to servers that ask and to callers.
    pub certificate: Option<PathBuf>,
    /// File of its private key.
    pub key: Option<PathBuf>,
    /// `false`: servers are not verified. Dangerous; log, status and events show it.
    pub verify: bool,
    /// Port for SIP over TLS.
    pub sip_port_tls: u16,
    /// Who may connect to it.
    pub listen: Listen,
    /// `[[tls.pin]]`
    pub pins: Vec<Pin>,
}

/// `[[tls.pin]]`: a phone or server known by its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Its owner's name for it.
    pub name: String,
    /// `host` or `host:port`.
    pub address: String,
    /// SHA-256 of its certificate.
    pub fingerprint: [u8; 32],
}

/// `[security]`: keys and passwords at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Security {
    /// Move passwords off the file into the phone's own directory.
    pub move_secrets: bool,
}

/// `[control]`: the local socket and the phone's own files.
#[derive(Debug, Clone, PartialEq)]
pub struct Control {
    /// Path of the JSON-lines socket for `offhook ctl`.
    pub socket: PathBuf,
    /// Directory for the last good configuration and history.
    pub state_dir: PathBuf,
}
