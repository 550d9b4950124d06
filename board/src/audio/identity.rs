//! A card under another number: which of the cards that are there now is the one that was.
//!
//! ```text
//! first open: hw:1 ─ /proc/asound/cards ─▶ Identity (USB-Audio - Headset, at usb-…-1.2)
//! opened again: Identity ─ /proc/asound/cards ─▶ hw:2, or "is not there" where hw:1 is another card by now
//! ```
//!
//! The kernel numbers cards as they come, and gives a second one of the same make another id
//! (`Device`, `Device_1`). A USB card keeps its name, and the port it hangs on.

use std::ops::Range;

use super::{AudioError, AudioRequest, kernel_cards};

/// One card of `/proc/asound/cards`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    number: String,
    id: String,
    /// Driver and name: `USB-Audio - USB Headset`.
    name: String,
    /// Maker, name and place, as `… at usb-0000:01:00.0-1.2, full speed`.
    place: String,
}

/// The kernel's list: two lines a card.
fn parse(text: &str) -> Vec<Identity> {
    let mut cards: Vec<Identity> = Vec::new();
    for line in text.lines() {
        let head = line
            .split_once('[')
            .and_then(|(number, rest)| Some((number.trim(), rest.split_once("]:")?)))
            .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some((number, (id, name))) = head {
            cards.push(Identity {
                number: number.to_owned(),
                id: id.trim().to_owned(),
                name: name.trim().to_owned(),
                place: String::new(),
            });
        } else if let Some(card) = cards.last_mut() {
            line.trim().clone_into(&mut card.place);
        }
    }
    cards
}

/// Where an ALSA name says which card: `hw:1,0`, `plughw:CARD=Device,DEV=0`.
fn card_part(device: &str) -> Option<Range<usize>> {
    let start = device.find(':')? + 1;
    let arguments = &device[start..];
    let first = arguments.split(',').next()?;
    let (start, card) = match first.split_once('=') {
        Some(("CARD", card)) => (start + "CARD=".len(), card),
        Some(_) => return None,
        None => (start, first),
    };
    let plain = !card.is_empty()
        && card
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    plain.then(|| start..start + card.len())
}

fn find<'a>(device: &str, cards: &'a [Identity]) -> Option<&'a Identity> {
    let wanted = &device[card_part(device)?];
    cards
        .iter()
        .find(|card| card.number == wanted || card.id == wanted)
}

impl Identity {
    /// The name by which this card is reached now; `None`: it is not there.
    fn device(&self, device: &str, cards: &[Identity]) -> Option<String> {
        let Some(part) = card_part(device) else {
            return Some(device.to_owned());
        };
        let same = |card: &&Identity| card.name == self.name;
        let named = find(device, cards).filter(same);
        let on_port = |card: &&Identity| card.place == self.place;
        let mut others = cards.iter().filter(same);
        let only = others.next().filter(|_| others.next().is_none());
        let card = named
            .filter(on_port)
            .or_else(|| cards.iter().filter(same).find(on_port))
            .or(only)?;
        let by_number = device[part.clone()].bytes().all(|b| b.is_ascii_digit());
        let now = if by_number { &card.number } else { &card.id };
        let mut name = device.to_owned();
        name.replace_range(part, now);
        Some(name)
    }
}

/// The cards a request reached when it was opened the last time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownCards {
    capture: Option<Identity>,
    playback: Option<Identity>,
}

impl KnownCards {
    /// Those it reaches now.
    pub fn of(request: &AudioRequest) -> Self {
        Self::among(request, &kernel_cards())
    }

    fn among(request: &AudioRequest, cards: &str) -> Self {
        let cards = parse(cards);
        Self {
            capture: find(&request.capture, &cards).cloned(),
            playback: find(&request.playback, &cards).cloned(),
        }
    }

    /// The request with the names these cards have now.
    ///
    /// # Errors
    /// A card is not there.
    pub fn applied(&self, request: &AudioRequest) -> Result<AudioRequest, AudioError> {
        self.applied_among(request, &kernel_cards())
    }

    fn applied_among(
        &self,
        request: &AudioRequest,
        cards: &str,
    ) -> Result<AudioRequest, AudioError> {
        let cards = parse(cards);
        let now = |known: &Option<Identity>, device: &String| {
            let Some(known) = known else {
                return Ok(device.clone());
            };
            known.device(device, &cards).ok_or_else(|| {
                let problem = format!("`{}` is not there", known.name);
                AudioError::open(device, &problem, "plug it in again")
            })
        };
        Ok(AudioRequest {
            capture: now(&self.capture, &request.capture)?,
            playback: now(&self.playback, &request.playback)?,
            ..request.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use types::MicrophoneChannel;

    use super::*;

    const BEFORE: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xf7110000 irq 31
 1 [Device         ]: USB-Audio - USB Headset
                      C-Media USB Headset at usb-0000:00:14.0-3, full speed
";
    const NUMBERED: &str = " 0 [PCH            ]: HDA-Intel - HDA Intel PCH
                      HDA Intel PCH at 0xf7110000 irq 31
 1 [Webcam         ]: USB-Audio - Webcam
                      Webcam at usb-0000:00:14.0-4, high speed
 2 [Device_1       ]: USB-Audio - USB Headset
                      C-Media USB Headset at usb-0000:00:14.0-3, full speed
";
    const TWO: &str = " 1 [Device         ]: USB-Audio - USB Headset
                      C-Media USB Headset at usb-0000:00:14.0-4, full speed
 2 [Device_1       ]: USB-Audio - USB Headset
                      C-Media USB Headset at usb-0000:00:14.0-3, full speed
";

    fn request(device: &str) -> AudioRequest {
        AudioRequest {
            capture: device.into(),
            playback: device.into(),
            rate_hz: 48_000,
            codec_rate_hz: 48_000,
            period_ms: 5,
            periods: 2,
            microphone_channel: MicrophoneChannel::Mix,
        }
    }

    fn again(device: &str, cards: &str) -> Result<String, String> {
        let known = KnownCards::among(&request(device), BEFORE);
        let now = known.applied_among(&request(device), cards);
        now.map(|now| now.playback).map_err(|e| e.to_string())
    }

    #[test]
    fn a_card_is_found_under_another_number_and_id() {
        for (device, now) in [
            ("hw:1", "hw:2"),
            ("plughw:1,0", "plughw:2,0"),
            ("hw:CARD=Device,DEV=0", "hw:CARD=Device_1,DEV=0"),
            ("hw:0", "hw:0"),
            ("hw:CARD=PCH", "hw:CARD=PCH"),
        ] {
            assert_eq!(again(device, NUMBERED).as_deref(), Ok(now), "{device}");
            assert_eq!(again(device, BEFORE).as_deref(), Ok(device), "{device}");
        }
        // Of two alike, the one on the same port.
        assert_eq!(again("hw:1", TWO).as_deref(), Ok("hw:2"));
        assert_eq!(
            again("hw:CARD=Device", TWO).as_deref(),
            Ok("hw:CARD=Device_1")
        );
        // Alone, on another port.
        let moved = NUMBERED.replace("14.0-3", "14.0-7");
        assert_eq!(again("hw:1", &moved).as_deref(), Ok("hw:2"));
    }

    #[test]
    fn another_card_under_its_number_is_not_taken() {
        let without = " 1 [Webcam         ]: USB-Audio - Webcam\n   Webcam at usb-1, high speed\n";
        let error = again("hw:1", without).unwrap_err();
        assert!(
            error.contains("`USB-Audio - USB Headset` is not there"),
            "{error}"
        );
        // Two alike on other ports: which of them is not known.
        let elsewhere = TWO.replace("14.0-3", "14.0-8");
        assert!(again("hw:1", &elsewhere).is_err());
    }

    #[test]
    fn a_name_without_a_card_stays_what_it_is() {
        for device in [
            "default",
            "pulse",
            "silence",
            "wav:/tmp/a.wav",
            "plug:'hw:1'",
        ] {
            assert_eq!(again(device, NUMBERED).as_deref(), Ok(device));
        }
    }
}
