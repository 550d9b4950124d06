//! The bell rings without a call, because home automation orders it: somebody looks for the phone,
//! or whoever lifts the handset is to be connected with a number.
//!
//! ```text
//! RingOrder + number ─▶ check ─▶ the bell, for a while ─┬─ lifted ─▶ dial tone, or the number is called
//!                                                       └─ time, mute key, a call, do not disturb ─▶ silence
//! ```
//!
//! The microphone opens by the hand that lifts, never by the order.

use std::time::{Duration, Instant};

use super::Phone;
use crate::note::RingOrderError;
use crate::output::CallOptions;
use crate::state::State;

/// How long the bell rings to be found.
const RING: Duration = Duration::from_secs(5);
/// How long it rings for somebody to lift the handset.
const RING_TO_DIAL: Duration = Duration::from_secs(30);
/// Longest number.
const MOST_DIGITS: usize = 32;

/// An order that is being carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RingOrder {
    /// When the bell falls silent.
    pub(super) until: Instant,
    /// Who is called when the handset is lifted.
    number: Option<String>,
}

impl Phone {
    /// Whether the bell may be rung by an order now, for this number.
    ///
    /// # Errors
    /// Why not.
    pub fn check_ring_order(&self, number: Option<&str>) -> Result<(), RingOrderError> {
        if let Some(number) = number {
            let digits = number.strip_prefix('+').unwrap_or(number);
            let keyed = digits.bytes().all(|byte| byte.is_ascii_digit());
            if digits.is_empty() || !keyed || number.len() > MOST_DIGITS {
                return Err(RingOrderError::NoNumber);
            }
            // An emergency number is one with a digit for an outside line before it, too.
            if let Some(why) = self.plan.bars_request(number) {
                return Err(why.into());
            }
            // A code may be of digits only.
            if self.plan.whole_code(number).is_some() {
                return Err(RingOrderError::StarCode(number.to_owned()));
            }
            self.check_barred(number)?;
        }
        if self.state != State::Idle || self.in_hand() {
            Err(RingOrderError::InUse)
        } else if self.features.dnd {
            Err(RingOrderError::DoNotDisturb)
        } else if self.quiet.now {
            Err(RingOrderError::QuietHours)
        } else {
            Ok(())
        }
    }

    /// Rings, where that may be. A later order takes the place of an earlier one.
    pub(super) fn ring_order(&mut self, number: Option<String>, now: Instant) {
        if self.check_ring_order(number.as_deref()).is_ok() {
            let length = if number.is_some() { RING_TO_DIAL } else { RING };
            self.ordered = Some(RingOrder {
                until: now + length,
                number,
            });
        }
    }

    /// Do not disturb, on or off. Whoever switches it to and fro does not wear the card out.
    pub(super) fn order_dnd(&mut self, on: bool, now: Instant) {
        if self.features.dnd != on {
            self.features.dnd = on;
            self.keep_soon(now);
        }
    }

    /// Do not disturb and quiet hours end an order, too.
    pub(super) fn drop_silenced_order(&mut self) {
        if self.features.dnd || self.quiet.now {
            self.ordered = None;
        }
    }

    /// The handset is lifted: the number of an order is called. Returns whether there was one.
    pub(super) fn call_ordered(&mut self, now: Instant) -> bool {
        let Some(number) = self.ordered.take().and_then(|order| order.number) else {
            return false;
        };
        self.enter(State::DialTone, None);
        self.place_number(&number, CallOptions::default(), now);
        true
    }
}
