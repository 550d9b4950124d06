//! Opening each device that a profile names. What the profile does not name is `Ok(None)`.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use types::FunctionKey;

use crate::button::Button;
use crate::gpio::{self, ActiveLevel, BellLines, Drive, EdgeInput, FoundLine, GpioPin};
use crate::hook::HookSwitch;
use crate::input_device::InputDevices;
use crate::keypad::{Keypad, KeypadDecoder};
use crate::lamp::LampDriver;
use crate::profile::{GpioLine, Profile};
use crate::ringer::{RingSequencer, Ringer};
use crate::rotary::RotaryDial;
use crate::watchdog::{LinuxWatchdog, Watchdog};
use crate::{BoardError, BoardEvent, Input};

type Opened<T> = Result<Option<T>, BoardError>;

/// The device, if it could be opened; its fault goes to the others.
pub(super) fn or_fault<T>(opened: Opened<T>, faults: &mut VecDeque<BoardError>) -> Option<T> {
    opened.unwrap_or_else(|fault| {
        faults.push_back(fault);
        None
    })
}

fn find(profile: &Profile, device: &str, line: &GpioLine) -> Result<FoundLine, BoardError> {
    gpio::find(device, &profile.gpio.chip, &line.name)
}

/// What the decoder has to debounce itself: nothing where the kernel does it.
fn remaining_debounce(line: &EdgeInput, debounce: Duration) -> Duration {
    if line.is_debounced() {
        Duration::ZERO
    } else {
        debounce
    }
}

pub(super) fn open_hook(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(hook) = &profile.hook else {
        return Ok(None);
    };
    let debounce = ms(hook.debounce_ms);
    let line = EdgeInput::open(
        &find(profile, "[hook]", &hook.line)?,
        hook.closed,
        hook.bias,
        debounce,
    )?;
    let own_debounce = remaining_debounce(&line, debounce);
    let hook = HookSwitch::new(line, hook.contact, own_debounce, now)?;
    Ok(Some(Box::new(hook)))
}

pub(super) fn open_flash(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(key) = &profile.flash else {
        return Ok(None);
    };
    let debounce = ms(key.debounce_ms);
    let line = EdgeInput::open(
        &find(profile, "[flash]", &key.line)?,
        key.pressed,
        key.bias,
        debounce,
    )?;
    let own_debounce = remaining_debounce(&line, debounce);
    let press = BoardEvent::FlashKey;
    Ok(Some(Box::new(Button::new(line, press, own_debounce, now)?)))
}

pub(super) fn open_key(
    profile: &Profile,
    key: FunctionKey,
    line: &GpioLine,
    now: Instant,
) -> Result<Box<dyn Input>, BoardError> {
    let settings = profile.keys.as_ref();
    let debounce = ms(settings.map_or(0, |keys| keys.debounce_ms));
    let line = EdgeInput::open(
        &find(profile, "[keys]", line)?,
        settings.map_or(ActiveLevel::Low, |keys| keys.pressed),
        settings.and_then(|keys| keys.bias),
        debounce,
    )?;
    let own_debounce = remaining_debounce(&line, debounce);
    let press = BoardEvent::Function(key);
    Ok(Box::new(Button::new(line, press, own_debounce, now)?))
}

pub(super) fn open_rotary(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(rotary) = &profile.rotary else {
        return Ok(None);
    };
    // Not debounced by the kernel: the decoder wants the moment a contact really moved.
    let contact = |line: &GpioLine, active| {
        let line = find(profile, "[rotary]", line)?;
        EdgeInput::open(&line, active, rotary.bias, Duration::ZERO)
    };
    let pulse = contact(&rotary.pulse, rotary.pulse_closed)?;
    let off_normal = rotary
        .off_normal
        .as_ref()
        .map(|line| contact(line, rotary.off_normal_away))
        .transpose()?;
    let dial = RotaryDial::new(pulse, off_normal, rotary.numbering, now)?;
    Ok(Some(Box::new(dial)))
}

pub(super) fn open_keypad(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(keypad) = &profile.keypad else {
        return Ok(None);
    };
    let rows = keypad.rows.iter().map(|row| {
        gpio::output(
            &find(profile, "[keypad] rows", row)?,
            keypad.drive,
            ActiveLevel::High,
        )
    });
    let rows = rows.collect::<Result<Vec<_>, _>>()?;
    let columns = keypad.columns.iter().map(|column| {
        gpio::input(
            &find(profile, "[keypad] columns", column)?,
            Some(keypad.bias),
        )
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let decoder = KeypadDecoder::new(keypad.labels(), ms(keypad.debounce_ms));
    let keypad = Keypad::new(rows, columns, decoder, ms(keypad.step_ms), now)?;
    Ok(Some(Box::new(keypad)))
}

pub(super) fn open_input_devices(profile: &Profile, now: Instant) -> Opened<Box<dyn Input>> {
    let Some(input) = &profile.input else {
        return Ok(None);
    };
    let devices = InputDevices::open(
        "/dev/input".as_ref(),
        input.devices.clone(),
        input.grab,
        input.mappings(),
        now,
    )?;
    Ok(Some(Box::new(devices)))
}

pub(super) fn open_ringer(profile: &Profile) -> Opened<Ringer<BellLines>> {
    let Some(ringer) = &profile.ringer else {
        return Ok(None);
    };
    let lines = ringer
        .lines
        .iter()
        .map(|line| find(profile, "[ringer]", line))
        .collect::<Result<Vec<FoundLine>, _>>()?;
    let Some((a, rest)) = lines.split_first() else {
        return Ok(None);
    };
    let sequencer = RingSequencer::new(ringer.kind, ringer.frequency_hz);
    Ringer::new(BellLines::open(a, rest.first())?, sequencer).map(Some)
}

pub(super) fn open_lamp(
    profile: &Profile,
    line: &GpioLine,
    now: Instant,
) -> Result<LampDriver<GpioPin>, BoardError> {
    let line = find(profile, "[lamps]", line)?;
    let pin = gpio::output(&line, Drive::PushPull, profile.lamps.lit)?;
    LampDriver::new(pin, now)
}

pub(super) fn open_watchdog(profile: &Profile) -> Opened<Box<dyn Watchdog>> {
    let Some(watchdog) = &profile.watchdog else {
        return Ok(None);
    };
    let timeout = Duration::from_secs(u64::from(watchdog.timeout_s));
    Ok(Some(Box::new(LinuxWatchdog::open(
        &watchdog.device,
        timeout,
    )?)))
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}
