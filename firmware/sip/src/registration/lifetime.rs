//! The lifetime a registration asks for (RFC 3261 section 10.2.8).

use crate::message::Response;

/// Longest lifetime a registrar's 423 can make us ask for, in seconds.
const MAX_EXPIRES_S: u32 = 86_400;
/// How often in a row a registrar may ask for a longer lifetime.
const MAX_TOO_BRIEF: u8 = 2;
/// How often in a row a lifetime is doubled for a registrar that does not say what it wants: from
/// a minute to a day.
const MAX_DOUBLED: u8 = 11;

/// What is asked for, and how often in a row it was too short.
#[derive(Debug)]
pub(super) struct Lifetime {
    seconds: u32,
    too_brief: u8,
}

impl Lifetime {
    pub(super) fn new(seconds: u32) -> Self {
        Self {
            seconds: seconds.clamp(1, MAX_EXPIRES_S),
            too_brief: 0,
        }
    }

    /// To ask for, in seconds.
    pub(super) fn seconds(&self) -> u32 {
        self.seconds
    }

    /// A registrar takes it, or is asked from the beginning.
    pub(super) fn handle_agreed(&mut self) {
        self.too_brief = 0;
    }

    /// The lifetime asked for was too short (423). Whether another is to be asked for; a registrar
    /// that does not say what it wants is asked for twice as much.
    pub(super) fn handle_too_brief(&mut self, response: &Response) -> bool {
        let (least, most) = if response.headers.get("Min-Expires").is_some() {
            (response.headers.number("Min-Expires"), MAX_TOO_BRIEF)
        } else {
            let doubled = self.seconds.saturating_mul(2).min(MAX_EXPIRES_S);
            (Some(doubled), MAX_DOUBLED)
        };
        let longer = self.seconds + 1..=MAX_EXPIRES_S;
        let Some(least) = least.filter(|least| longer.contains(least)) else {
            return false;
        };
        if self.too_brief >= most {
            return false;
        }
        self.seconds = least;
        self.too_brief += 1;
        true
    }
}
