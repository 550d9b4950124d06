//! What happened and why, for log and listeners: what the phone notes, and what only its calls,
//! streams and handshakes know.

use std::fmt;

/// One thing that happened; [`Display`](fmt::Display) gives the line that people read.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    /// The phone's own.
    Phone(phone::Note),
    /// A call's sound cannot be set up.
    NoSound { call: u32, error: String },
    /// How a call that is over sounded.
    Quality { summary: String },
    /// The far end's certificate is another than before.
    PeerChanged {
        call: u32,
        peer: String,
        sas: String,
    },
    /// The short authentication strings of a call were compared.
    PeerVerified { call: u32, peer: String },
    /// A handshake gave no keys.
    NoKeys { call: u32, failure: String },
    /// The far end refused a re-INVITE that holds or resumes.
    HoldRefused { call: u32, code: u16 },
    /// The far end of a call is somebody else now: transferred over there.
    FarEnd { call: u32, peer: String },
    /// An incoming call was for somebody else first.
    Diverted {
        call: u32,
        from: String,
        first: String,
    },
    /// The far end wants somebody else called.
    Redirected { call: u32, to: String },
    /// The same, and the dial plan does not allow it.
    RedirectionBarred { call: u32, to: String, why: String },
    /// A transfer this phone asked for succeeded.
    TransferDone { to: String },
    /// A transfer this phone asked for failed.
    TransferFailed { to: String, code: u16 },
    /// A transfer this phone was to ask for cannot be asked for.
    NotTransferred { call: u32, why: String },
    /// An incoming call cannot be taken.
    Refused { call: u32, reason: String },
    /// An account's server asks for the configuration to be looked up again.
    CheckSync { account: String, reboot: bool },
    /// Nothing leads out of this machine any more.
    NetworkLost { fault: String },
    /// The network can be used again.
    NetworkBack,
    /// No checked way leads to a call's far end.
    NoPath { call: u32 },
    /// A call's far end no longer wants our packets.
    ConsentLost { call: u32 },
    /// A text message of ours was taken.
    MessageSent { to: String },
    /// The same, and it was not.
    MessageFailed { to: String, why: String },
    /// An announcement to a paging group is heard.
    Page { group: u8, from: String },
    /// Something was ordered over MQTT, and is done.
    MqttOrder { what: String },
    /// The same, and it is not done.
    MqttRefused { topic: String, why: String },
    /// The connection with the MQTT broker is there.
    MqttConnected { broker: String },
    /// It is not.
    MqttLost { why: String },
    /// A call cannot be placed.
    NotPlaced { call: u32, reason: String },
}

impl Note {
    /// A stable name for programs.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Phone(note) => phone_kind(note),
            Self::NoSound { .. } => "no_sound",
            Self::Quality { .. } => "quality",
            Self::PeerChanged { .. } => "peer_changed",
            Self::PeerVerified { .. } => "peer_verified",
            Self::NoKeys { .. } => "no_keys",
            Self::HoldRefused { .. } => "hold_refused",
            Self::FarEnd { .. } => "far_end",
            Self::Diverted { .. } => "diverted",
            Self::Redirected { .. } => "redirected",
            Self::RedirectionBarred { .. } => "redirection_barred",
            Self::TransferDone { .. } => "transfer_done",
            Self::TransferFailed { .. } => "transfer_failed",
            Self::NotTransferred { .. } => "not_transferred",
            Self::Refused { .. } => "refused",
            Self::CheckSync { .. } => "check_sync",
            Self::NetworkLost { .. } => "network_lost",
            Self::NetworkBack => "network_back",
            Self::NoPath { .. } => "no_path",
            Self::ConsentLost { .. } => "consent_lost",
            Self::MessageSent { .. } => "message_sent",
            Self::MessageFailed { .. } => "message_failed",
            Self::Page { .. } => "page",
            Self::MqttOrder { .. } => "mqtt_order",
            Self::MqttRefused { .. } => "mqtt_refused",
            Self::MqttConnected { .. } => "mqtt_connected",
            Self::MqttLost { .. } => "mqtt_lost",
            Self::NotPlaced { .. } => "not_placed",
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Phone(note) => note.fmt(f),
            Self::NoSound { call, error } => {
                write!(f, "call {call}: its sound cannot be set up: {error}")
            }
            Self::Quality { summary } => f.write_str(summary),
            Self::PeerChanged { call, peer, sas } => write!(
                f,
                "call {call}: {peer} has another certificate than before; compare key words \
                 ({sas}) before you trust it"
            ),
            Self::PeerVerified { call, peer } => write!(f, "call {call}: {peer} is verified"),
            Self::NoPath { call } => write!(
                f,
                "call {call}: ICE found no way to the far end; its sound goes where its \
                 description says"
            ),
            Self::ConsentLost { call } => write!(
                f,
                "call {call}: the far end has not answered on the way of its sound for 30 s; \
                 nothing is sent, another way is looked for"
            ),
            Self::NoKeys { call, failure } => {
                write!(f, "call {call}: no keys, so no call: {failure}")
            }
            Self::HoldRefused { call, code } => {
                write!(f, "call {call}: hold or resume was refused with {code}")
            }
            Self::FarEnd { call, peer } => write!(f, "call {call}: the far end is {peer} now"),
            Self::Diverted { call, from, first } => {
                write!(
                    f,
                    "call {call} from {from} was diverted: it was for {first}"
                )
            }
            Self::Redirected { call, to } => write!(f, "call {call}: redirected to {to}"),
            Self::RedirectionBarred { call, to, why } => {
                write!(
                    f,
                    "call {call}: redirected to {to}, which is not called: {why}"
                )
            }
            Self::TransferDone { to } => write!(f, "the call is transferred to {to}"),
            Self::TransferFailed { to, code } => {
                write!(f, "the transfer to {to} failed ({code})")
            }
            Self::NotTransferred { call, why } => {
                write!(
                    f,
                    "call {call} is not transferred: {why}; who is still there comes back"
                )
            }
            Self::Refused { call, reason } => write!(f, "call {call} refused: {reason}"),
            Self::CheckSync { account, reboot } => write!(
                f,
                "account {account}: the server asks to look up the configuration again{}",
                if *reboot { " and to restart" } else { "" }
            ),
            Self::NetworkLost { fault } => f.write_str(fault),
            Self::NetworkBack => f.write_str("the network is back"),
            Self::MessageSent { to } => write!(f, "the message to {to} is sent"),
            Self::MessageFailed { to, why } => {
                write!(f, "the message to {to} was not taken: {why}")
            }
            Self::Page { group, from } => write!(f, "page to group {group} from {from}"),
            Self::MqttOrder { what } => write!(f, "ordered over MQTT: {what}"),
            Self::MqttRefused { topic, why } => {
                write!(f, "an order over MQTT ({topic}) is refused: {why}")
            }
            Self::MqttConnected { broker } => write!(f, "MQTT: connected with {broker}"),
            Self::MqttLost { why } => write!(f, "MQTT: {why}"),
            Self::NotPlaced { call, reason } => write!(f, "call {call} failed: {reason}"),
        }
    }
}

fn phone_kind(note: &phone::Note) -> &'static str {
    match note {
        phone::Note::Placed { .. } => "placed",
        phone::Note::Incoming { .. } => "incoming",
        phone::Note::Answered { .. } => "answered",
        phone::Note::Refused { .. } => "refused",
        phone::Note::Missed { .. } => "missed",
        phone::Note::Failed { .. } => "failed",
        phone::Note::NoAnswer { .. } => "no_answer",
        phone::Note::NotDialled(_) => "not_dialled",
        phone::Note::EndedByPeer { .. } => "ended_by_peer",
        phone::Note::Held { .. } => "held",
        phone::Note::HeldByPeer { .. } => "held_by_peer",
        phone::Note::HoldRefused { .. } => "taken_back",
        phone::Note::AnsweredElsewhere { .. } => "answered_elsewhere",
        phone::Note::NotEncrypted { .. } => "not_encrypted",
        phone::Note::FlashInEmergency => "flash_in_emergency",
        phone::Note::Conference => "conference",
        phone::Note::Forwarded { .. } => "forwarded",
        phone::Note::StarCode(_) => "star_code",
        phone::Note::Transferring { .. } => "transferring",
        phone::Note::TransferDeclined { .. } => "transfer_declined",
        phone::Note::Transferred { .. } => "transferred",
        phone::Note::Replaced { .. } => "replaced",
    }
}
