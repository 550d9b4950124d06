//! The card's mixer, set once when the card is opened, as `hardware.toml` says.

use alsa::mixer::{Mixer, Selem, SelemId};

use crate::profile::Mixer as Setting;

/// Applies the settings to the card behind a PCM name (`hw:CARD=x,DEV=0` → card `hw:x`). Returns
/// what could not be set, for the log; the phone works without it.
pub fn set_mixer(device: &str, settings: &[Setting]) -> Vec<String> {
    if settings.is_empty() {
        return Vec::new();
    }
    let card = card_of(device);
    let mixer = match Mixer::new(&card, true) {
        Ok(mixer) => mixer,
        Err(e) => {
            return vec![format!(
                "{device}: no mixer `{card}` ({e}); leave `mixer` out of [audio] in hardware.toml"
            )];
        }
    };
    let mut wrong = Vec::new();
    for setting in settings {
        let Some(element) = mixer.find_selem(&SelemId::new(&setting.control, 0)) else {
            let mut known: Vec<String> = mixer
                .iter()
                .filter_map(Selem::new)
                .filter_map(|e| Some(e.get_id().get_name().ok()?.to_owned()))
                .collect();
            known.truncate(24);
            wrong.push(format!(
                "{device}: the mixer has no control `{}`; it has: {}",
                setting.control,
                known.join(", ")
            ));
            continue;
        };
        if let Some(percent) = setting.volume {
            let share =
                |(low, high): (i64, i64)| low + (high - low) * i64::from(percent.min(100)) / 100;
            let playback = element.has_playback_volume().then(|| {
                element.set_playback_volume_all(share(element.get_playback_volume_range()))
            });
            let capture = element
                .has_capture_volume()
                .then(|| element.set_capture_volume_all(share(element.get_capture_volume_range())));
            if !matches!((playback, capture), (Some(Ok(())), _) | (_, Some(Ok(())))) {
                wrong.push(format!(
                    "{device}: control `{}` has no volume that can be set",
                    setting.control
                ));
            }
        }
        if let Some(choice) = &setting.choice {
            wrong.extend(choose(&element, device, &setting.control, choice));
        }
        if let Some(on) = setting.switch {
            let playback = element
                .has_playback_switch()
                .then(|| element.set_playback_switch_all(i32::from(on)));
            let capture = element.has_capture_switch().then(|| {
                alsa::mixer::SelemChannelId::all()
                    .iter()
                    .filter(|&&c| element.has_capture_channel(c))
                    .try_for_each(|&c| element.set_capture_switch(c, i32::from(on)))
            });
            if !matches!((playback, capture), (Some(Ok(())), _) | (_, Some(Ok(())))) {
                wrong.push(format!(
                    "{device}: control `{}` has no switch that can be set",
                    setting.control
                ));
            }
        }
    }
    wrong
}

/// Sets an enumerated control; returns what is wrong otherwise.
fn choose(element: &Selem<'_>, device: &str, control: &str, choice: &str) -> Option<String> {
    let items = if element.is_enumerated() {
        element.get_enum_items().unwrap_or(0)
    } else {
        0
    };
    let choices: Vec<String> = (0..items)
        .filter_map(|item| element.get_enum_item_name(item).ok())
        .collect();
    let Some(item) = choices.iter().position(|known| known == choice) else {
        return Some(format!(
            "{device}: control `{control}` has no choice `{choice}`; it has: {}",
            choices.join(", ")
        ));
    };
    // A control may be one for all channels or one a channel.
    let set = alsa::mixer::SelemChannelId::all()
        .iter()
        .filter(|&&channel| element.set_enum_item(channel, item as u32).is_ok())
        .count();
    (set == 0).then(|| format!("{device}: control `{control}` does not take `{choice}`"))
}

/// The control device of a PCM: `hw:CARD=x,DEV=0`, `plughw:x,0`, `hw:0` → `hw:x`; any other name is
/// its own.
fn card_of(device: &str) -> String {
    let Some((kind, rest)) = device.split_once(':') else {
        return device.to_owned();
    };
    if !matches!(
        kind,
        "hw" | "plughw" | "sysdefault" | "front" | "dsnoop" | "dmix"
    ) {
        return device.to_owned();
    }
    let first = rest.split(',').next().unwrap_or(rest);
    format!("hw:{}", first.strip_prefix("CARD=").unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_card_is_found_from_the_pcm_name() {
        for (pcm, card) in [
            ("hw:CARD=wm8960soundcard,DEV=0", "hw:wm8960soundcard"),
            ("plughw:Device,0", "hw:Device"),
            ("hw:1", "hw:1"),
            ("default", "default"),
            ("pulse:speaker", "pulse:speaker"),
        ] {
            assert_eq!(card_of(pcm), card);
        }
    }

    #[test]
    fn a_missing_card_is_one_warning() {
        let setting = Setting {
            control: "Headphone".to_owned(),
            volume: Some(80),
            switch: None,
            choice: None,
        };
        let wrong = set_mixer("hw:CARD=nothere,DEV=0", &[setting]);
        assert_eq!(wrong.len(), 1);
        assert!(
            wrong[0].starts_with("hw:CARD=nothere,DEV=0: no mixer `hw:nothere`"),
            "{}",
            wrong[0]
        );
    }
}
