//! Orders that come over MQTT: what a topic and a payload mean, and how many are taken.

use std::time::{Duration, Instant};

use config::schema::MqttOrder;
use phone::{RingOrderError, VolumeOf, Volumes};

/// Longest payload of an order, in bytes.
const MOST_BYTES: usize = 64;
/// So many orders may come at once.
const BURST: u32 = 10;
/// And then one each such time.
const EVERY: Duration = Duration::from_millis(500);

/// Something ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MqttCommand {
    /// Ring for a moment.
    Ring,
    /// Ring, and connect whoever lifts with this number.
    Dial(String),
    /// Do not disturb, on or off.
    Dnd(bool),
    /// What the volume keys add, in dB.
    Volume(VolumeOf, i8),
}

/// Why an order is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    /// It may have been given long ago.
    #[error("the broker kept it from before (retained)")]
    Retained,
    /// No entity of this phone takes orders there.
    #[error("there is nothing to order by that topic")]
    Unknown,
    /// The owner does not list it.
    #[error("`mqtt.orders` does not list \"{}\"", .0.as_str())]
    NotListed(MqttOrder),
    /// The text says nothing.
    #[error("{0} takes {1}, and nothing else")]
    Payload(&'static str, &'static str),
    /// It is no volume.
    #[error(
        "a volume is dB from {} to {}, and nothing else",
        Volumes::LIMITS_DB.0,
        Volumes::LIMITS_DB.1
    )]
    Volume,
    /// They come too fast.
    #[error("more orders come than a person gives; some are left out")]
    TooMany {
        /// Those before were not too many.
        first: bool,
    },
    /// The bell may not ring now.
    #[error(transparent)]
    Ring(#[from] RingOrderError),
}

impl MqttCommand {
    /// What a payload means to an entity.
    pub(super) fn read(entity: &str, payload: &[u8]) -> Result<Self, OrderError> {
        let text = std::str::from_utf8(payload).ok();
        let text = text.filter(|text| text.len() <= MOST_BYTES).map(str::trim);
        match entity {
            "ring" => match text {
                Some("PRESS") => Ok(Self::Ring),
                Some(_) | None => Err(OrderError::Payload("ring", "PRESS")),
            },
            "dial" => match text {
                // As people write numbers; what is left of them is looked at where it is dialled.
                Some(text) => Ok(Self::Dial(text.replace([' ', '-', '/', '(', ')'], ""))),
                None => Err(OrderError::Payload("dial", "a number")),
            },
            "dnd" => match text {
                Some("ON") => Ok(Self::Dnd(true)),
                Some("OFF") => Ok(Self::Dnd(false)),
                Some(_) | None => Err(OrderError::Payload("dnd", "ON or OFF")),
            },
            "ringer_volume" => volume(VolumeOf::Ringer, text),
            "earpiece_volume" => volume(VolumeOf::Earpiece, text),
            "speaker_volume" => volume(VolumeOf::Speaker, text),
            _ => Err(OrderError::Unknown),
        }
    }

    /// What the owner must list for it.
    pub(crate) fn kind(&self) -> MqttOrder {
        match self {
            Self::Ring => MqttOrder::Ring,
            Self::Dial(_) => MqttOrder::Dial,
            Self::Dnd(_) => MqttOrder::Dnd,
            Self::Volume(..) => MqttOrder::Volume,
        }
    }
}

/// dB, as a whole number; Home Assistant may write a fraction of 0.
fn volume(of: VolumeOf, text: Option<&str>) -> Result<MqttCommand, OrderError> {
    let (least, most, _) = Volumes::LIMITS_DB;
    let db = text.and_then(|text| text.parse::<f32>().ok());
    let within = db.filter(|db| (f32::from(least)..=f32::from(most)).contains(db));
    match within {
        Some(db) => Ok(MqttCommand::Volume(of, db.round() as i8)),
        None => Err(OrderError::Volume),
    }
}

/// How many orders are taken: a few at once, then two a second.
#[derive(Debug, Default)]
pub(super) struct OrderLimit {
    /// When all of the burst may be taken again.
    full_at: Option<Instant>,
    /// The order before was one too many.
    over: bool,
}

impl OrderLimit {
    /// One order more.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), OrderError> {
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + EVERY;
        if full_at > now + EVERY * BURST {
            let first = !std::mem::replace(&mut self.over, true);
            return Err(OrderError::TooMany { first });
        }
        self.over = false;
        self.full_at = Some(full_at);
        Ok(())
    }
}
