//! What was set from the handset, as a file of the state directory holds it.

use phone::{Features, Volumes};
use serde::{Deserialize, Serialize};

/// The file's name.
pub const FILE: &str = "features.json";
/// Most bytes that are read of it.
pub const MAX_BYTES: usize = 16 * 1024;
/// Longest number.
const MAX_NUMBER: usize = 128;

/// The file's text.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Text {
    dnd: bool,
    forward_always: Option<String>,
    forward_busy: Option<String>,
    forward_no_answer: Option<String>,
    anonymous: bool,
    reject_anonymous: bool,
    speed_dial: Vec<(String, String)>,
    earpiece_db: i8,
    speaker_db: i8,
    ringer_db: i8,
    microphone_db: i8,
}

/// The file is not what this phone writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}; delete it, and set forwarding and speed dial again")]
pub struct FeaturesError(String);

/// The text to keep.
pub fn to_json(features: &Features) -> String {
    let text = Text {
        dnd: features.dnd,
        forward_always: features.forward_always.clone(),
        forward_busy: features.forward_busy.clone(),
        forward_no_answer: features.forward_no_answer.clone(),
        anonymous: features.anonymous,
        reject_anonymous: features.reject_anonymous,
        speed_dial: features.speed_dial.clone(),
        earpiece_db: features.volumes.earpiece_db,
        speaker_db: features.volumes.speaker_db,
        ringer_db: features.volumes.ringer_db,
        microphone_db: features.volumes.microphone_db,
    };
    serde_json::to_string(&text).unwrap_or_default()
}

/// Reads it.
pub fn from_json(bytes: &[u8]) -> Result<Features, FeaturesError> {
    if bytes.len() > MAX_BYTES {
        let what = format!("it has more than {MAX_BYTES} bytes");
        return Err(FeaturesError(what));
    }
    let text: Text =
        serde_json::from_slice(bytes).map_err(|error| FeaturesError(error.to_string()))?;
    let too_long = |number: &String| number.len() > MAX_NUMBER;
    let long = {
        let forwards = [
            &text.forward_always,
            &text.forward_busy,
            &text.forward_no_answer,
        ];
        let speed = &text.speed_dial;
        forwards.into_iter().flatten().any(too_long)
            || speed.iter().any(|(_, to)| too_long(to))
            || speed.len() > 10
    };
    if long {
        return Err(FeaturesError("a number in it is too long".to_owned()));
    }
    Ok(Features {
        dnd: text.dnd,
        forward_always: text.forward_always,
        forward_busy: text.forward_busy,
        forward_no_answer: text.forward_no_answer,
        anonymous: text.anonymous,
        reject_anonymous: text.reject_anonymous,
        speed_dial: text.speed_dial,
        volumes: Volumes {
            earpiece_db: text.earpiece_db,
            speaker_db: text.speaker_db,
            ringer_db: text.ringer_db,
            microphone_db: text.microphone_db,
        }
        .within_limits(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let features = Features {
            dnd: true,
            forward_busy: Some("300".into()),
            speed_dial: vec![("1".into(), "0301234".into())],
            volumes: Volumes {
                earpiece_db: -6,
                ringer_db: 12,
                ..Volumes::default()
            },
            ..Features::default()
        };
        let text = to_json(&features);
        assert_eq!(from_json(text.as_bytes()).unwrap(), features);
        assert_eq!(from_json(b"{}").unwrap(), Features::default());
        let deafening = from_json(b"{\"earpiece_db\":127}").unwrap();
        assert_eq!(deafening.volumes.earpiece_db, 12);
        let long = format!("{{\"forward_busy\":\"{}\"}}", "1".repeat(129));
        for bad in ["", "7", "{\"dnd\":1}", "{\"x\":1}", long.as_str()] {
            assert!(from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
