//! `[actions]`: HTTP requests to home automation when something happens.

/// `[actions]`: an address each that is fetched (HTTP GET); `None`: nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actions {
    /// A call rings.
    pub ringing: Option<String>,
    /// A call is established.
    pub answered: Option<String>,
    /// The phone rests again.
    pub hung_up: Option<String>,
    /// An account can place calls, where none could.
    pub registered: Option<String>,
    /// None can any more.
    pub unregistered: Option<String>,
    /// Do not disturb was switched on.
    pub dnd_on: Option<String>,
    /// It was switched off.
    pub dnd_off: Option<String>,
    /// The door is to be opened.
    pub door: Option<String>,
    /// Keys that open it in a call.
    pub door_code: Option<String>,
}
