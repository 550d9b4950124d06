//! The control socket's requests and replies: one JSON object a line. `docs/ctl.md` documents each;
//! a test compares the page with these types.

use std::path::PathBuf;

use phone::VolumeOf;
use serde::{Deserialize, Serialize};
use types::FunctionKey;

use crate::history::HistoryEntry;
use crate::key_script::KeyScriptError;
use crate::quality::QualityReport;
use crate::status::{Stats, Status};

/// What somebody, or a script in their place, does with the phone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserAction {
    /// Lift the handset.
    Lift,
    /// Put the handset down.
    HangUp,
    /// Press keys one after the other; `,` is a pause of 500 ms.
    Press(String),
    /// Press the flash key.
    Flash,
    /// Dial digits on a rotary dial.
    Rotary(String),
    /// Lift the handset where it is down, and dial this number or address.
    Dial(String),
    /// Press a key beside the keypad.
    Function(FunctionKey),
    /// Switch the microphone off or on.
    Mute(bool),
    /// Set a volume to so many dB above or below the configuration's.
    Volume(VolumeOf, i8),
    /// Answer the call that rings or waits.
    Answer,
    /// Refuse the call that rings or waits.
    Reject,
    /// Transfer the call in the hand, or the one on hold, to this number or address.
    Transfer(String),
    /// Connect the call in the hand and the one on hold with each other and this phone.
    Conference,
    /// The short authentication strings of this call were compared, and are the same: trust the far
    /// end's certificate from now on.
    Verify(u32),
    /// Send a text message (RFC 3428).
    Message {
        /// Number or address.
        to: String,
        /// What it says.
        text: String,
    },
}

/// Why an action is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// Too late.
    #[error("the phone is shutting down")]
    ShuttingDown,
    /// Keys that cannot be pressed.
    #[error(transparent)]
    Keys(#[from] KeyScriptError),
    /// A call goes on, or a tone of failure is heard.
    #[error("the phone is not ready to dial: hang up first, or flash to put the call on hold")]
    NotReadyToDial,
    /// Nothing to answer or refuse.
    #[error("no one calls")]
    NoOneCalls,
    /// No one would be heard anyway.
    #[error("the handset is down: nothing is heard of this phone")]
    NothingToMute,
    /// Nothing to transfer.
    #[error("there is no established call to transfer")]
    NoCall,
    /// Nothing to connect.
    #[error("a conference needs a call in the hand and one on hold")]
    NoSecondCall,
    /// A call that cannot be verified.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// What may not be called, or cannot be, gets no message.
    #[error("the message is not sent: {0}")]
    NoRoute(#[from] phone::DialError),
    /// A message that cannot be sent.
    #[error("the message is not sent: {0}")]
    Message(#[from] sip::SendError),
    /// Those before were not taken yet.
    #[error("the message is not sent: too many are on their way")]
    TooManyMessages,
}

/// Why a call cannot be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// No such call.
    #[error("there is no call {0}; see `offhook ctl status`")]
    NoCall(u32),
    /// Its keys do not come from DTLS.
    #[error("call {0} is not keyed by DTLS: there are no key words to compare")]
    NoDtls(u32),
}

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Something a user does.
    Action(UserAction),
    /// The whole phone as one object.
    Status,
    /// How a call sounds, second by second; `None`: the one that is on, or was last.
    Quality(Option<u32>),
    /// The calls of this phone.
    History,
    /// The same as a table for a spreadsheet.
    HistoryCsv,
    /// What the display shows.
    Screen,
    /// The star codes.
    Codes,
    /// Every figure of every stream.
    Stats,
    /// Event lines until the connection closes.
    Events,
    /// Look again at what DHCP, the image and the provisioning server say.
    Refresh,
    /// Write the support bundle to this file.
    Bundle(PathBuf),
    /// Capture the headers of RTP and RTCP, no sound and no keys, for so many seconds, into this
    /// file.
    Capture {
        /// The file, pcap.
        file: PathBuf,
        /// 1 to 900.
        seconds: u32,
    },
    /// Orderly shutdown.
    Quit,
}

/// Why a line was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// Not JSON, or not an object with `cmd`.
    #[error("not a request: {0}; send one object a line, like {{\"cmd\":\"status\"}}")]
    Malformed(String),
    /// A command this phone does not know.
    #[error(
        "unknown command {0:?}; known are {list}",
        list = COMMANDS.join(", ")
    )]
    Unknown(String),
    /// A command with a value it does not know.
    #[error("{command} does not know {value:?}; known are {known}")]
    Value {
        /// Which command.
        command: &'static str,
        /// What it was given.
        value: String,
        /// What it knows.
        known: String,
    },
    /// A command without what it needs.
    #[error("{command} needs {missing:?}, like {example}")]
    Missing {
        /// Which command.
        command: &'static str,
        /// Which key.
        missing: &'static str,
        /// A line that works.
        example: &'static str,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Reply {
    /// The status.
    Status(Box<Status>),
    /// The figures.
    Stats(Box<Stats>),
    /// How a call sounds.
    Quality {
        /// Always true.
        ok: bool,
        /// The figures.
        quality: Box<QualityReport>,
    },
    /// The calls, the newest first.
    History {
        /// Always true.
        ok: bool,
        /// One entry a call.
        history: Vec<HistoryEntry>,
    },
    /// The calls as a table, the newest first.
    HistoryCsv {
        /// Always true.
        ok: bool,
        /// The text of the table (RFC 4180).
        csv: String,
    },
    /// What the display shows.
    Screen {
        /// Always true.
        ok: bool,
        /// How bright it is.
        brightness: &'static str,
        /// Its status bar.
        title: String,
        /// The texts below it, from the top.
        lines: Vec<String>,
    },
    /// The star codes that are on.
    Codes {
        /// Always true.
        ok: bool,
        /// One entry a code.
        codes: Vec<CodeEntry>,
    },
    /// It is done; a support bundle was written to this file.
    Done {
        /// Always true.
        ok: bool,
        /// The file.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<PathBuf>,
    },
    /// It is not done.
    Refused {
        /// Always false.
        ok: bool,
        /// Why, and what to do.
        error: String,
    },
}

/// One star code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeEntry {
    /// What is keyed.
    pub keys: String,
    /// Its name under `[codes]`.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

impl CodeEntry {
    /// Every code that is on.
    pub fn all(config: &config::Config) -> Vec<Self> {
        let entry = |(code, keys): (phone::StarCode, &str)| Self {
            keys: keys.to_owned(),
            name: code.as_str(),
            meaning: code.entry().doc,
        };
        config.codes.iter().map(entry).collect()
    }
}

impl Reply {
    /// It is done.
    pub fn done() -> Self {
        Self::Done {
            ok: true,
            file: None,
        }
    }

    /// The support bundle was written to this file.
    pub fn written(file: PathBuf) -> Self {
        Self::Done {
            ok: true,
            file: Some(file),
        }
    }

    /// It is not done, and why.
    pub fn refused(error: impl std::fmt::Display) -> Self {
        Self::Refused {
            ok: false,
            error: error.to_string(),
        }
    }

    /// The line to be written.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| format!("{{\"ok\":false,\"error\":{:?}}}", error.to_string()))
    }
}

/// Longest capture, and what it is where nothing is said, in seconds.
const MAX_CAPTURE_S: u32 = 900;
const DEFAULT_CAPTURE_S: u32 = 30;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    cmd: String,
    keys: Option<String>,
    digits: Option<String>,
    to: Option<String>,
    call: Option<u32>,
    file: Option<PathBuf>,
    seconds: Option<u32>,
    key: Option<String>,
    on: Option<bool>,
    of: Option<String>,
    db: Option<i8>,
    text: Option<String>,
    csv: Option<bool>,
}

/// Every command, as a request names it.
pub const COMMANDS: [&str; 26] = [
    "lift",
    "hang-up",
    "press",
    "flash",
    "rotary",
    "key",
    "mute",
    "volume",
    "dial",
    "answer",
    "reject",
    "transfer",
    "conference",
    "message",
    "verify",
    "status",
    "stats",
    "quality",
    "history",
    "screen",
    "codes",
    "events",
    "refresh",
    "bundle",
    "capture",
    "quit",
];

/// Reads one line.
pub fn parse(line: &[u8]) -> Result<Request, ProtocolError> {
    let line: JsonLine = serde_json::from_slice(line)
        .map_err(|error| ProtocolError::Malformed(error.to_string()))?;
    match line.cmd.as_str() {
        "lift" => Ok(Request::Action(UserAction::Lift)),
        "hang-up" => Ok(Request::Action(UserAction::HangUp)),
        "flash" => Ok(Request::Action(UserAction::Flash)),
        "press" => {
            needed(line.keys, "press", "keys").map(|keys| Request::Action(UserAction::Press(keys)))
        }
        "rotary" => needed(line.digits, "rotary", "digits")
            .map(|digits| Request::Action(UserAction::Rotary(digits))),
        "key" => function_key(line.key),
        "mute" => needed(line.on, "mute", "on").map(|on| Request::Action(UserAction::Mute(on))),
        "volume" => volume(line.of, line.db),
        "answer" => Ok(Request::Action(UserAction::Answer)),
        "reject" => Ok(Request::Action(UserAction::Reject)),
        "conference" => Ok(Request::Action(UserAction::Conference)),
        "dial" => needed(line.to, "dial", "to").map(|to| Request::Action(UserAction::Dial(to))),
        "transfer" => {
            needed(line.to, "transfer", "to").map(|to| Request::Action(UserAction::Transfer(to)))
        }
        "message" => {
            let to = needed(line.to, "message", "to")?;
            let text = needed(line.text, "message", "text")?;
            Ok(Request::Action(UserAction::Message { to, text }))
        }
        "history" if line.csv == Some(true) => Ok(Request::HistoryCsv),
        "history" => Ok(Request::History),
        "screen" => Ok(Request::Screen),
        "quality" => Ok(Request::Quality(line.call)),
        "codes" => Ok(Request::Codes),
        "verify" => needed(line.call, "verify", "call")
            .map(|call| Request::Action(UserAction::Verify(call))),
        "bundle" => {
            let file = line.file.filter(|file| file.is_absolute());
            needed(file, "bundle", "file").map(Request::Bundle)
        }
        "capture" => {
            let seconds = line.seconds.unwrap_or(DEFAULT_CAPTURE_S);
            let file = line
                .file
                .filter(|file| file.is_absolute() && (1..=MAX_CAPTURE_S).contains(&seconds));
            needed(file, "capture", "file, or seconds from 1 to 900")
                .map(|file| Request::Capture { file, seconds })
        }
        "status" => Ok(Request::Status),
        "stats" => Ok(Request::Stats),
        "events" => Ok(Request::Events),
        "refresh" => Ok(Request::Refresh),
        "quit" => Ok(Request::Quit),
        _ => Err(ProtocolError::Unknown(line.cmd)),
    }
}

/// Commands that need something, each as it is written.
const EXAMPLES: [(&str, &str); 11] = [
    ("press", r#"{"cmd":"press","keys":"123#"}"#),
    ("rotary", r#"{"cmd":"rotary","digits":"112"}"#),
    ("mute", r#"{"cmd":"mute","on":true}"#),
    ("dial", r#"{"cmd":"dial","to":"0301234"}"#),
    ("transfer", r#"{"cmd":"transfer","to":"103"}"#),
    ("message", r#"{"cmd":"message","to":"102","text":"lunch?"}"#),
    ("verify", r#"{"cmd":"verify","call":1}"#),
    (
        "bundle",
        r#"{"cmd":"bundle","file":"/tmp/offhook-support.tar.gz"}"#,
    ),
    (
        "capture",
        r#"{"cmd":"capture","file":"/tmp/rtp.pcap","seconds":30}"#,
    ),
    ("key", r#"{"cmd":"key","key":"mute"}"#),
    ("volume", r#"{"cmd":"volume","of":"earpiece","db":-6}"#),
];

/// What a command cannot do without.
fn needed<T>(
    value: Option<T>,
    command: &'static str,
    missing: &'static str,
) -> Result<T, ProtocolError> {
    let found = EXAMPLES.iter().find(|(name, _)| *name == command);
    value.ok_or(ProtocolError::Missing {
        command,
        missing,
        example: found.map_or("", |(_, example)| example),
    })
}

fn function_key(name: Option<String>) -> Result<Request, ProtocolError> {
    let name = needed(name, "key", "key")?;
    if let Some(key) = FunctionKey::from_name(&name) {
        return Ok(Request::Action(UserAction::Function(key)));
    }
    let known: Vec<&str> = FunctionKey::all().map(FunctionKey::as_str).collect();
    Err(ProtocolError::Value {
        command: "key",
        value: name,
        known: known.join(", "),
    })
}

fn volume(of: Option<String>, db: Option<i8>) -> Result<Request, ProtocolError> {
    let of = needed(of, "volume", "of")?;
    let db = needed(db, "volume", "db")?;
    match VolumeOf::from_name(&of) {
        Some(of) => Ok(Request::Action(UserAction::Volume(of, db))),
        None => Err(ProtocolError::Value {
            command: "volume",
            value: of,
            known: VolumeOf::ALL.map(VolumeOf::as_str).join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_is_parsed() {
        let table: [(&str, Request); 28] = [
            (r#"{"cmd":"screen"}"#, Request::Screen),
            (r#"{"cmd":"history","csv":true}"#, Request::HistoryCsv),
            (
                r#"{"cmd":"key","key":"hands-free"}"#,
                Request::Action(UserAction::Function(FunctionKey::HandsFree)),
            ),
            (
                r#"{"cmd":"mute","on":true}"#,
                Request::Action(UserAction::Mute(true)),
            ),
            (
                r#"{"cmd":"volume","of":"ringer","db":-6}"#,
                Request::Action(UserAction::Volume(VolumeOf::Ringer, -6)),
            ),
            (
                r#"{"cmd":"dial","to":"100"}"#,
                Request::Action(UserAction::Dial("100".into())),
            ),
            (
                r#"{"cmd":"transfer","to":"100"}"#,
                Request::Action(UserAction::Transfer("100".into())),
            ),
            (
                r#"{"cmd":"message","to":"102","text":"lunch?"}"#,
                Request::Action(UserAction::Message {
                    to: "102".into(),
                    text: "lunch?".into(),
                }),
            ),
            (r#"{"cmd":"answer"}"#, Request::Action(UserAction::Answer)),
            (r#"{"cmd":"reject"}"#, Request::Action(UserAction::Reject)),
            (
                r#"{"cmd":"conference"}"#,
                Request::Action(UserAction::Conference),
            ),
            (r#"{"cmd":"history"}"#, Request::History),
            (r#"{"cmd":"quality"}"#, Request::Quality(None)),
            (r#"{"cmd":"quality","call":2}"#, Request::Quality(Some(2))),
            (r#"{"cmd":"codes"}"#, Request::Codes),
            (r#"{"cmd":"lift"}"#, Request::Action(UserAction::Lift)),
            (r#"{"cmd":"hang-up"}"#, Request::Action(UserAction::HangUp)),
            (r#"{"cmd":"flash"}"#, Request::Action(UserAction::Flash)),
            (
                r#"{"cmd":"press","keys":"12,#"}"#,
                Request::Action(UserAction::Press("12,#".into())),
            ),
            (
                r#"{"cmd":"rotary","digits":"90"}"#,
                Request::Action(UserAction::Rotary("90".into())),
            ),
            (
                r#"{"cmd":"verify","call":3}"#,
                Request::Action(UserAction::Verify(3)),
            ),
            (r#"{"cmd":"status"}"#, Request::Status),
            (r#"{"cmd":"stats"}"#, Request::Stats),
            (r#" { "cmd" : "events" } "#, Request::Events),
            (r#"{"cmd":"refresh"}"#, Request::Refresh),
            (
                r#"{"cmd":"bundle","file":"/tmp/b"}"#,
                Request::Bundle("/tmp/b".into()),
            ),
            (
                r#"{"cmd":"capture","file":"/tmp/c","seconds":9}"#,
                Request::Capture {
                    file: "/tmp/c".into(),
                    seconds: 9,
                },
            ),
            (r#"{"cmd":"quit"}"#, Request::Quit),
        ];
        for (line, order) in table {
            assert_eq!(parse(line.as_bytes()), Ok(order), "{line}");
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let said = |line: &str| parse(line.as_bytes()).unwrap_err().to_string();
        assert!(said(r#"{"cmd":"lfit"}"#).contains("lfit"));
        assert!(said(r#"{"cmd":"press"}"#).contains("keys"));
        assert!(said(r#"{"cmd":"rotary"}"#).contains("digits"));
        assert!(said(r#"{"cmd":"mute"}"#).contains("on"));
        assert!(said(r#"{"cmd":"volume","of":"ringer"}"#).contains("db"));
        assert!(said(r#"{"cmd":"volume","of":"bell","db":1}"#).contains("earpiece"));
        assert!(said(r#"{"cmd":"key","key":"hold"}"#).contains("volume-up"));
        assert!(said("lift").contains("one object a line"));
        assert!(said(r#"{"cmd":"lift","speed":9}"#).contains("speed"));
        assert!(parse(&[0xff, 0xfe]).is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"[[[[[[[[").is_err());
    }
}
