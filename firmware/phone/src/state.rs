//! What the phone is doing, and what that means for hook, keys and calls.

/// What the phone is doing, as `status` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On hook, nothing happens.
    Idle,
    /// Off hook, dial tone.
    DialTone,
    /// Digits are coming in.
    Collecting,
    /// INVITE is out, no response yet.
    Calling,
    /// The far end rings.
    Ringback,
    /// The far end is heard before it answers.
    EarlyMedia,
    /// A call is established.
    Talking,
    /// On hook, ringing.
    Ringing,
    /// Busy tone.
    Busy,
    /// Congestion tone.
    Congestion,
    /// Off hook too long.
    Howler,
    /// Off hook after the howler: nothing more is heard until the handset is put down.
    Silent,
    /// A call is on hold and nothing else goes on; a flash takes it back. (Second dial tone is
    /// [`State::DialTone`].)
    OnHold,
    /// A voice asks for country and account; keys are answers.
    SetUp,
}

/// States that hook, keys and lamps treat alike. Every question about a state is answered by this
/// one division, so that a new state is classified once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The handset is down.
    OnHook,
    /// A number is being dialled.
    Dialling,
    /// A call is being placed; the far end is not heard yet.
    Placing,
    /// The handset is connected with a call.
    Connected,
    /// The handset is lifted and nothing came of it, or it is over.
    Failed,
    /// Nothing but a call on hold.
    Held,
    /// The handset is lifted and keys answer questions.
    SettingUp,
}

impl State {
    /// Every state, for tables and tests.
    pub const ALL: [Self; 14] = [
        Self::Idle,
        Self::DialTone,
        Self::Collecting,
        Self::Calling,
        Self::Ringback,
        Self::EarlyMedia,
        Self::Talking,
        Self::Ringing,
        Self::Busy,
        Self::Congestion,
        Self::Howler,
        Self::Silent,
        Self::OnHold,
        Self::SetUp,
    ];

    /// The state's name in `status` and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::DialTone => "dial_tone",
            Self::Collecting => "collecting",
            Self::Calling => "calling",
            Self::Ringback => "ringback",
            Self::EarlyMedia => "early_media",
            Self::Talking => "talking",
            Self::Ringing => "ringing",
            Self::Busy => "busy",
            Self::Congestion => "congestion",
            Self::Howler => "howler",
            Self::Silent => "silent",
            Self::OnHold => "on_hold",
            Self::SetUp => "set_up",
        }
    }

    pub(crate) const fn phase(self) -> Phase {
        match self {
            Self::Idle | Self::Ringing => Phase::OnHook,
            Self::DialTone | Self::Collecting => Phase::Dialling,
            Self::Calling | Self::Ringback => Phase::Placing,
            Self::EarlyMedia | Self::Talking => Phase::Connected,
            Self::Busy | Self::Congestion | Self::Howler | Self::Silent => Phase::Failed,
            Self::OnHold => Phase::Held,
            Self::SetUp => Phase::SettingUp,
        }
    }

    /// The handset is down, and no call answered itself.
    pub const fn is_on_hook(self) -> bool {
        match self.phase() {
            Phase::OnHook => true,
            Phase::Dialling
            | Phase::Placing
            | Phase::Connected
            | Phase::Failed
            | Phase::Held
            | Phase::SettingUp => false,
        }
    }

    /// Keys are digits of a number.
    pub const fn takes_digits(self) -> bool {
        match self.phase() {
            Phase::Dialling => true,
            Phase::OnHook
            | Phase::Placing
            | Phase::Connected
            | Phase::Failed
            | Phase::Held
            | Phase::SettingUp => false,
        }
    }

    /// The handset has a call, placed or established, that is not on hold.
    pub const fn has_call(self) -> bool {
        match self.phase() {
            Phase::Placing | Phase::Connected => true,
            Phase::OnHook | Phase::Dialling | Phase::Failed | Phase::Held | Phase::SettingUp => {
                false
            }
        }
    }

    /// The far end of that call is heard.
    pub const fn is_connected(self) -> bool {
        match self.phase() {
            Phase::Connected => true,
            Phase::OnHook
            | Phase::Dialling
            | Phase::Placing
            | Phase::Failed
            | Phase::Held
            | Phase::SettingUp => false,
        }
    }

    /// A call is established, talking or on hold, and nothing else goes on.
    pub const fn has_established_call(self) -> bool {
        match self {
            Self::Talking | Self::OnHold => true,
            Self::Idle
            | Self::DialTone
            | Self::Collecting
            | Self::Calling
            | Self::Ringback
            | Self::EarlyMedia
            | Self::Ringing
            | Self::Busy
            | Self::Congestion
            | Self::Howler
            | Self::Silent
            | Self::SetUp => false,
        }
    }

    /// A failure tone is heard, or was heard until the phone fell silent.
    pub const fn has_failed(self) -> bool {
        match self.phase() {
            Phase::Failed => true,
            Phase::OnHook
            | Phase::Dialling
            | Phase::Placing
            | Phase::Connected
            | Phase::Held
            | Phase::SettingUp => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the states for which a predicate holds.
    fn those(holds: fn(State) -> bool) -> Vec<&'static str> {
        let states = State::ALL.into_iter().filter(|state| holds(*state));
        states.map(State::as_str).collect()
    }

    #[test]
    fn each_predicate_holds_for_its_states() {
        assert_eq!(those(State::is_on_hook), ["idle", "ringing"]);
        assert_eq!(those(State::takes_digits), ["dial_tone", "collecting"]);
        assert_eq!(
            those(State::has_call),
            ["calling", "ringback", "early_media", "talking"]
        );
        assert_eq!(those(State::is_connected), ["early_media", "talking"]);
        assert_eq!(those(State::has_established_call), ["talking", "on_hold"]);
        assert_eq!(
            those(State::has_failed),
            ["busy", "congestion", "howler", "silent"]
        );
    }
}
