//! The steps of a random walk, and the settings it is made under.

use proptest::prelude::*;

use config::codes::StarCode;
use types::FunctionKey;

use super::*;

/// What a person may key after lifting.
pub(super) const CODES: [&str; 30] = [
    "*66", "*69", "*78", "*79", "*72200#", "*73", "*90201#", "*91", "*92202#", "*93", "*67200#",
    "*81", "*82", "*77", "*87", "*741200#", "*85300#", "*75", "*80200#", "911", "*67911", "200#",
    "*55#", "*56#", "*57#", "*59#", "*71", "*86", "*94#", "*99#",
];
/// Who calls.
pub(super) const CALLERS: [&str; 6] = ["301", "0900123", "302", "303", "304", "door"];

/// A step of a random walk. Calls are named by their age, so that most updates concern calls there
/// are.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Hook(bool),
    HangUp,
    Key(char),
    KeyUp(char),
    Rotary(u8),
    Flash,
    /// Volume, mute, hands-free.
    Function(FunctionKey),
    Line(usize, bool),
    Messages(bool),
    Incoming {
        alert: u8,
        auto_answer: bool,
        from: &'static str,
    },
    Update {
        age: u32,
        what: Update,
    },
    /// A call that takes the place of another.
    Replacing {
        age: u32,
    },
    /// A call that could not be transferred comes back.
    Returned,
    /// An id that may never have been, or that is long gone.
    Unknown {
        id: u32,
        what: Update,
    },
    /// The handset is lifted and a code is keyed.
    Code(&'static str),
    /// A choice of the display's menu.
    Setting(StarCode),
    /// Quiet hours begin or end.
    Quiet(bool),
    /// A text message comes.
    Text,
    /// A call rings at a watched phone, or no more.
    PickUp(bool),
    /// The server takes the handset's part.
    Remote {
        age: u32,
        talk: bool,
    },
    /// `ctl dial`.
    Dial(&'static str),
    /// Home automation sets do not disturb.
    Dnd(bool),
    /// Home automation has the bell rung, for this number.
    RingOrder(Option<&'static str>),
    /// The other verbs of `ctl`.
    Ctl(u8),
    /// What is spoken is said.
    Spoken,
    /// What was keyed is written, or not.
    Written(bool),
    /// Time passes: this many ms.
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Update {
    Ringing,
    EarlyMedia,
    Answered,
    Held(bool),
    HeldByPeer(bool),
    Encryption(Encryption),
    Refer(bool),
    Ended(Option<u16>),
}

pub(super) fn update(what: Update) -> CallUpdate {
    match what {
        Update::Ringing => CallUpdate::Ringing,
        Update::EarlyMedia => CallUpdate::EarlyMedia,
        Update::Answered => CallUpdate::Answered,
        Update::Held(held) => CallUpdate::Held(held),
        Update::HeldByPeer(held) => CallUpdate::HeldByPeer(held),
        Update::Encryption(encryption) => CallUpdate::Encryption(encryption),
        Update::Refer(emergency) => CallUpdate::Refer {
            to: "sip:carol@pbx".to_owned(),
            user: if emergency { "112" } else { "carol" }.to_owned(),
        },
        Update::Ended(code) => CallUpdate::Ended(EndCause {
            code,
            reason: "random".to_owned(),
        }),
    }
}

pub(super) fn updates() -> impl Strategy<Value = Update> {
    prop_oneof![
        3 => Just(Update::Ringing),
        2 => Just(Update::EarlyMedia),
        4 => Just(Update::Answered),
        1 => any::<bool>().prop_map(Update::Held),
        1 => any::<bool>().prop_map(Update::HeldByPeer),
        2 => prop::sample::select(vec![Encryption::Unwanted, Encryption::Missing,
            Encryption::Pending, Encryption::Working]).prop_map(Update::Encryption),
        2 => prop::bool::weighted(0.1).prop_map(Update::Refer),
        2 => prop_oneof![Just(None), Just(Some(486)), Just(Some(404)),
            Just(Some(603))].prop_map(Update::Ended),
    ]
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let key = || prop::sample::select("0123456789*#A".chars().collect::<Vec<_>>());
    prop_oneof![
        4 => Just(Step::Hook(true)),
        1 => Just(Step::Hook(false)),
        1 => Just(Step::HangUp),
        3 => key().prop_map(Step::Key),
        3 => Just(Step::Key('#')),
        2 => key().prop_map(Step::KeyUp),
        1 => (0u8..10).prop_map(Step::Rotary),
        3 => Just(Step::Flash),
        3 => prop::sample::select(FunctionKey::all().collect::<Vec<_>>()).prop_map(Step::Function),
        1 => (0usize..3, any::<bool>()).prop_map(|(account, usable)| Step::Line(account, usable)),
        1 => any::<bool>().prop_map(Step::Messages),
        3 => (0u8..3, prop::bool::weighted(0.2), prop::sample::select(CALLERS.to_vec()))
            .prop_map(|(alert, auto_answer, from)| Step::Incoming { alert, auto_answer, from }),
        8 => (0u32..3, updates()).prop_map(|(age, what)| Step::Update { age, what }),
        1 => (0u32..3).prop_map(|age| Step::Replacing { age }),
        1 => Just(Step::Returned),
        1 => (any::<u32>(), updates()).prop_map(|(id, what)| Step::Unknown { id, what }),
        4 => prop::sample::select(CODES.to_vec()).prop_map(Step::Code),
        2 => prop::sample::select(config::codes::CODES.iter().map(|entry| entry.code)
            .collect::<Vec<_>>()).prop_map(Step::Setting),
        1 => any::<bool>().prop_map(Step::Quiet),
        1 => Just(Step::Text),
        1 => any::<bool>().prop_map(Step::PickUp),
        1 => (0u32..3, any::<bool>()).prop_map(|(age, talk)| Step::Remote { age, talk }),
        1 => prop::sample::select(vec!["200", "112", "sip:a@b"]).prop_map(Step::Dial),
        2 => prop::sample::select(vec![None, Some("200"), Some("112"), Some("*99"), Some("5")])
            .prop_map(Step::RingOrder),
        1 => prop::bool::weighted(0.3).prop_map(Step::Dnd),
        1 => (0u8..8).prop_map(Step::Ctl),
        2 => Just(Step::Spoken),
        1 => any::<bool>().prop_map(Step::Written),
        4 => prop::sample::select(vec![10, 60, 200, 400, 1000, 3000, 10_000, 31_000, 61_000])
            .prop_map(Step::Wait),
    ]
}

pub(super) fn configuration() -> impl Strategy<Value = String> {
    let flash = prop::sample::select(vec!["hook", "hook", "key", "network", "off"]);
    let map = prop::sample::select(vec!["xx.T", "[2-8]xx|0x.T|9,x.T|1!", "x"]);
    let auto = prop::sample::select(vec!["false", "false", "false", "true", "700"]);
    // What keys beside the keypad do, who is screened, who is answered at once.
    let more = prop::sample::select(vec![
        "",
        "[dial.feature_keys]\n1 = \"205\"\n2 = \"*66\"\n3 = \"redial-list\"\n4 = \"door\"\n\
         5 = \"*78\"\n6 = \"112\"\n7 = \"sip:a@b\"\n8 = \"*72200\"\n\
         [actions]\ndoor = \"http://door/open\"\ndoor_code = \"*9\"\n",
        "[call.screen]\n\"0900*\" = \"reject\"\n302 = \"busy\"\n303 = \"silent\"\n\
         304 = \"voicemail\"\n",
        "[call.ring]\n\"30*\" = 2\n[phone]\nspeech = false\n",
    ]);
    let intercom = prop::sample::select(vec![
        "",
        "",
        "intercom = [\"door\"]\n",
        "intercom = [\"*\"]\nintercom_microphone = true\n",
        "block = [\"0900*\", \"anonymous\"]\nquiet_hours = \"00:00-23:59\"\n",
        "hold_reminder_s = 10\nforward_after_s = 5\n",
    ]);
    let hotline = prop::sample::select(vec![
        "",
        "",
        "",
        "hotline = \"5\"\n",
        "hotline = \"5\"\nhotline_after_ms = 500\n",
    ]);
    (
        flash,
        map,
        auto,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        hotline,
        (more, intercom),
    )
        .prop_map(
            |(flash, map, auto, waiting, account, transfer, hotline, (more, intercom))| {
                let account = if account {
                    "[[account]]\nuser = \"1\"\ndomain = \"p\"\nregister = false\n\
                 [[account]]\nuser = \"2\"\ndomain = \"p\"\n"
                } else {
                    ""
                };
                format!(
                    "{account}[dial]\nvoicemail = \"500\"\n{hotline}\
                 digit_map = \"{map}\"\n[dial.speed]\n1 = \"sip:a@b\"\n\
                 [call]\nflash = \"{flash}\"\nauto_answer = {auto}\nwaiting = {waiting}\n\
                 transfer_on_hangup = {transfer}\n{intercom}{more}"
                )
            },
        )
}
