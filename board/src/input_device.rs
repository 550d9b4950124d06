//! Keys the kernel drives (evdev): USB keypads and handsets, `gpio-keys`, `matrix-keypad`.
//!
//! ```text
//! /dev/input/event* of a configured name or path ─▶ evdev (makes up for what an overrun lost) ─▶ KeyDecoder ─▶ BoardEvent
//!        ▲ looked for again every two seconds while one is missing: it may be plugged in late, and pulled out at any time
//! ```
//!
//! The devices stand behind one epoll descriptor of this module's own, so that the owner's set of
//! descriptors never changes. When a device is pulled out, its pressed keys are reported as
//! released, and the handset as put down if the device has a hook switch.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use types::FunctionKey;

use evdev::{Device, EventSummary, KeyCode};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use crate::{BoardError, BoardEvent, Input};

/// Between two looks for a device that is missing.
const SEARCH_INTERVAL: Duration = Duration::from_secs(2);
/// Most reads a device gets in one turn; what is left makes the descriptor readable again.
const MAX_READS: usize = 16;

/// What a key of an input device is to a telephone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMapping {
    /// `0`–`9`, `*`, `#`, `A`–`D`.
    Key(char),
    /// The flash key.
    Flash,
    /// A key beside the keypad.
    Function(FunctionKey),
    /// A switch that is down for as long as the handset is lifted.
    Hook,
    /// A button that lifts the handset.
    Lift,
    /// A button that puts it down.
    HangUp,
    /// Nothing.
    Nothing,
}

impl KeyMapping {
    /// As `hardware.toml` writes it: a key's character, `F` for flash, a function key's name, or
    /// `hook`, `lift`, `hang-up`, `none`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        match (characters.next(), characters.next()) {
            (Some('F'), None) => Some(Self::Flash),
            (Some(key @ ('0'..='9' | '*' | '#' | 'A'..='D')), None) => Some(Self::Key(key)),
            _ => match text {
                "hook" => Some(Self::Hook),
                "lift" => Some(Self::Lift),
                "hang-up" => Some(Self::HangUp),
                "none" => Some(Self::Nothing),
                name => FunctionKey::from_name(name).map(Self::Function),
            },
        }
    }

    /// What a key means by default. Keyboards have no `#`: Enter and `/` of a
    /// number pad stand in.
    pub fn standard(code: KeyCode) -> Self {
        const DIGITS: [[KeyCode; 3]; 10] = [
            [KeyCode::KEY_0, KeyCode::KEY_KP0, KeyCode::KEY_NUMERIC_0],
            [KeyCode::KEY_1, KeyCode::KEY_KP1, KeyCode::KEY_NUMERIC_1],
            [KeyCode::KEY_2, KeyCode::KEY_KP2, KeyCode::KEY_NUMERIC_2],
            [KeyCode::KEY_3, KeyCode::KEY_KP3, KeyCode::KEY_NUMERIC_3],
            [KeyCode::KEY_4, KeyCode::KEY_KP4, KeyCode::KEY_NUMERIC_4],
            [KeyCode::KEY_5, KeyCode::KEY_KP5, KeyCode::KEY_NUMERIC_5],
            [KeyCode::KEY_6, KeyCode::KEY_KP6, KeyCode::KEY_NUMERIC_6],
            [KeyCode::KEY_7, KeyCode::KEY_KP7, KeyCode::KEY_NUMERIC_7],
            [KeyCode::KEY_8, KeyCode::KEY_KP8, KeyCode::KEY_NUMERIC_8],
            [KeyCode::KEY_9, KeyCode::KEY_KP9, KeyCode::KEY_NUMERIC_9],
        ];
        if let Some(digit) = ('0'..='9')
            .zip(DIGITS)
            .find(|(_, codes)| codes.contains(&code))
        {
            return Self::Key(digit.0);
        }
        match code {
            KeyCode::KEY_KPASTERISK | KeyCode::KEY_NUMERIC_STAR => Self::Key('*'),
            KeyCode::KEY_KPENTER
            | KeyCode::KEY_ENTER
            | KeyCode::KEY_KPSLASH
            | KeyCode::KEY_NUMERIC_POUND => Self::Key('#'),
            KeyCode::KEY_NUMERIC_A => Self::Key('A'),
            KeyCode::KEY_NUMERIC_B => Self::Key('B'),
            KeyCode::KEY_NUMERIC_C => Self::Key('C'),
            KeyCode::KEY_NUMERIC_D => Self::Key('D'),
            KeyCode::KEY_VOLUMEUP => Self::Function(FunctionKey::VolumeUp),
            KeyCode::KEY_VOLUMEDOWN => Self::Function(FunctionKey::VolumeDown),
            KeyCode::KEY_MUTE | KeyCode::KEY_MICMUTE => Self::Function(FunctionKey::Mute),
            KeyCode::KEY_PHONE => Self::Function(FunctionKey::HandsFree),
            KeyCode::KEY_PICKUP_PHONE => Self::Lift,
            KeyCode::KEY_HANGUP_PHONE => Self::HangUp,
            _ => Self::Nothing,
        }
    }
}

/// From key codes to what a person did; pure. One a device.
#[derive(Debug, Clone)]
pub struct KeyDecoder {
    map: Vec<(KeyCode, KeyMapping)>,
    down: Vec<(KeyCode, char)>,
    lifted: bool,
}

impl KeyDecoder {
    /// `map` goes before [`KeyMapping::standard`].
    pub fn new(map: Vec<(KeyCode, KeyMapping)>) -> Self {
        Self {
            map,
            down: Vec::new(),
            lifted: false,
        }
    }

    /// A key of the device: `value` is 1 down, 0 up, 2 the keyboard's own repetition, which a
    /// telephone has not.
    pub fn key(&mut self, code: KeyCode, value: i32, out: &mut dyn FnMut(BoardEvent)) {
        let said = self
            .map
            .iter()
            .find(|(key, _)| *key == code)
            .map(|(_, meaning)| *meaning);
        match (said.unwrap_or_else(|| KeyMapping::standard(code)), value) {
            // A key that came up is known by its code, whatever else has its name.
            (KeyMapping::Key(_), 0) => {
                if let Some(at) = self.down.iter().position(|(key, _)| *key == code) {
                    out(BoardEvent::KeyUp(self.down.swap_remove(at).1));
                }
            }
            (KeyMapping::Key(name), 1) => {
                if !self.down.iter().any(|(key, _)| *key == code) {
                    self.down.push((code, name));
                    out(BoardEvent::KeyDown(name));
                }
            }
            (KeyMapping::Flash, 1) => out(BoardEvent::FlashKey),
            (KeyMapping::Function(key), 1) => out(BoardEvent::Function(key)),
            (KeyMapping::Hook, 0 | 1) => self.lift(value == 1, out),
            (KeyMapping::Lift, 1) => self.lift(true, out),
            (KeyMapping::HangUp, 1) => self.lift(false, out),
            (
                KeyMapping::Key(_)
                | KeyMapping::Flash
                | KeyMapping::Function(_)
                | KeyMapping::Hook
                | KeyMapping::Lift
                | KeyMapping::HangUp
                | KeyMapping::Nothing,
                _,
            ) => {}
        }
    }

    /// The device is gone: every key comes up, the handset lies.
    pub fn gone(&mut self, out: &mut dyn FnMut(BoardEvent)) {
        for (_, name) in self.down.drain(..) {
            out(BoardEvent::KeyUp(name));
        }
        self.lift(false, out);
    }

    fn lift(&mut self, lifted: bool, out: &mut dyn FnMut(BoardEvent)) {
        if lifted != self.lifted {
            self.lifted = lifted;
            out(BoardEvent::Hook(lifted));
        }
    }
}

struct OpenDevice {
    /// Its index in `names`.
    index: usize,
    device: Device,
    decoder: KeyDecoder,
}

/// The input devices a profile names.
pub struct InputDevices {
    folder: PathBuf,
    names: Vec<String>,
    grab: bool,
    map: Vec<(KeyCode, KeyMapping)>,
    epoll: Epoll,
    open: Vec<OpenDevice>,
    /// When to look for missing devices again; `None`: none is missing.
    search_at: Option<Instant>,
    /// Which of `names` were reported missing.
    reported: Vec<bool>,
    faults: Vec<BoardError>,
}

impl InputDevices {
    /// `names`: as `/proc/bus/input/devices` has them, or paths. `folder` is `/dev/input`.
    /// With `grab` no other reader, a console say, gets the keys. A missing device is a fault
    /// reported once, and is waited for.
    pub fn open(
        folder: &Path,
        names: Vec<String>,
        grab: bool,
        map: Vec<(KeyCode, KeyMapping)>,
        now: Instant,
    ) -> Result<Self, BoardError> {
        let epoll =
            Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|e| BoardError::Device {
                device: "[input]".to_owned(),
                problem: format!("no epoll: {e}"),
                help: "raise the limit on open files".to_owned(),
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            reported: vec![false; names.len()],
            names,
            grab,
            map,
            epoll,
            open: Vec::new(),
            search_at: Some(now),
            faults: Vec::new(),
        })
    }

    /// The event devices of the folder that are not in use here, with their names.
    fn present(&self) -> Vec<(PathBuf, Device)> {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let mut paths: Vec<PathBuf> = entries
            .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"event"))
            .map(|entry| entry.path())
            .collect();
        paths.sort_unstable();
        paths
            .into_iter()
            .filter_map(|path| Some((path.clone(), Device::open(&path).ok()?)))
            .collect()
    }

    fn search(&mut self, out: &mut dyn FnMut(BoardEvent)) {
        let mut present = self.present();
        let known = present.iter().map(|(path, device)| {
            format!(
                "{} \"{}\"",
                path.display(),
                device.name().unwrap_or_default()
            )
        });
        let known = known.collect::<Vec<_>>().join(", ");
        for index in 0..self.names.len() {
            if self.open.iter().any(|open| open.index == index) {
                continue;
            }
            let name = &self.names[index];
            let found = if name.starts_with('/') {
                Device::open(name).ok()
            } else {
                let at = present
                    .iter()
                    .position(|(_, device)| device.name() == Some(name));
                at.map(|at| present.swap_remove(at).1)
            };
            let problem = match found.map(|device| self.plug(index, device, out)) {
                Some(Ok(())) => {
                    self.reported[index] = false;
                    continue;
                }
                Some(Err(error)) => error.to_string(),
                None => "not present (yet)".to_owned(),
            };
            if !std::mem::replace(&mut self.reported[index], true) {
                let help = if known.is_empty() {
                    format!(
                        "there is no input device in {}; the phone waits for it",
                        self.folder.display()
                    )
                } else {
                    format!("there are {known}; the phone waits for it")
                };
                self.faults.push(BoardError::Device {
                    device: format!("[input] device \"{}\"", self.names[index]),
                    problem,
                    help,
                });
            }
        }
    }

    fn plug(
        &mut self,
        index: usize,
        mut device: Device,
        out: &mut dyn FnMut(BoardEvent),
    ) -> std::io::Result<()> {
        device.set_nonblocking(true)?;
        if self.grab {
            device.grab()?;
        }
        self.epoll
            .add(&device, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        let mut decoder = KeyDecoder::new(self.map.clone());
        // A handset may hang beside its hook already. Keys held since before are no presses.
        let held = device.get_key_state()?;
        for (code, meaning) in &self.map {
            if *meaning == KeyMapping::Hook && held.contains(*code) {
                decoder.key(*code, 1, out);
            }
        }
        self.open.push(OpenDevice {
            index,
            device,
            decoder,
        });
        Ok(())
    }
}

/// Reads what a device has; an error means it is gone.
fn drain(open: &mut OpenDevice, out: &mut dyn FnMut(BoardEvent)) -> std::io::Result<()> {
    for _ in 0..MAX_READS {
        match open.device.fetch_events() {
            Ok(events) => {
                for event in events {
                    if let EventSummary::Key(_, code, value) = event.destructure() {
                        open.decoder.key(code, value, out);
                    }
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl Input for InputDevices {
    fn fds(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.epoll.0.as_fd()]
    }

    fn handle_ready(
        &mut self,
        now: Instant,
        out: &mut dyn FnMut(BoardEvent),
    ) -> Result<(), BoardError> {
        if self.search_at.is_some_and(|at| at <= now) {
            self.search(out);
        }
        for at in (0..self.open.len()).rev() {
            if let Err(error) = drain(&mut self.open[at], out) {
                let mut lost = self.open.swap_remove(at);
                lost.decoder.gone(out);
                self.reported[lost.index] = true;
                self.faults.push(BoardError::Device {
                    device: format!("[input] device \"{}\"", self.names[lost.index]),
                    problem: error.to_string(),
                    help: "plug it in again; the phone waits for it".to_owned(),
                });
            }
        }
        let missing = self.open.len() < self.names.len();
        self.search_at = match self.search_at {
            _ if !missing => None,
            Some(at) if at > now => Some(at),
            Some(_) | None => Some(now + SEARCH_INTERVAL),
        };
        Ok(())
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.search_at
    }

    fn is_present(&self) -> bool {
        self.open.len() == self.names.len()
    }

    fn poll_fault(&mut self) -> Option<BoardError> {
        self.faults.pop()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use testkit::process::TestDir;

    use super::*;

    fn story(
        map: &[(KeyCode, KeyMapping)],
        keys: &[(KeyCode, i32)],
        gone: bool,
    ) -> Vec<BoardEvent> {
        let mut decoder = KeyDecoder::new(map.to_vec());
        let mut seen = Vec::new();
        for (code, value) in keys {
            decoder.key(*code, *value, &mut |event| seen.push(event));
        }
        if gone {
            decoder.gone(&mut |event| seen.push(event));
        }
        seen
    }

    #[test]
    fn number_pad_top_row_and_telephone_keys_are_equal() {
        use BoardEvent::{KeyDown, KeyUp};
        for five in [KeyCode::KEY_5, KeyCode::KEY_KP5, KeyCode::KEY_NUMERIC_5] {
            assert_eq!(
                story(&[], &[(five, 1), (five, 2), (five, 0)], false),
                [KeyDown('5'), KeyUp('5')]
            );
        }
        let pads = [
            (KeyCode::KEY_KP0, '0'),
            (KeyCode::KEY_NUMERIC_9, '9'),
            (KeyCode::KEY_KPASTERISK, '*'),
            (KeyCode::KEY_KPENTER, '#'),
            (KeyCode::KEY_NUMERIC_POUND, '#'),
            (KeyCode::KEY_NUMERIC_D, 'D'),
        ];
        for (code, name) in pads {
            assert_eq!(story(&[], &[(code, 1)], false), [KeyDown(name)], "{code:?}");
        }
        assert_eq!(
            story(&[], &[(KeyCode::KEY_Q, 1), (KeyCode::KEY_Q, 0)], false),
            []
        );
    }

    #[test]
    fn the_map_overrides_the_standard() {
        let map = [
            (KeyCode::KEY_KPDOT, KeyMapping::Flash),
            (KeyCode::KEY_5, KeyMapping::Nothing),
            (KeyCode::KEY_PHONE, KeyMapping::Hook),
        ];
        let keys = [
            (KeyCode::KEY_PHONE, 1),
            (KeyCode::KEY_5, 1),
            (KeyCode::KEY_KPDOT, 1),
            (KeyCode::KEY_KPDOT, 0),
            (KeyCode::KEY_PHONE, 0),
        ];
        let want = [
            BoardEvent::Hook(true),
            BoardEvent::FlashKey,
            BoardEvent::Hook(false),
        ];
        assert_eq!(story(&map, &keys, false), want);
    }

    #[test]
    fn buttons_lift_and_hang_up_once() {
        let keys = [
            (KeyCode::KEY_HANGUP_PHONE, 1),
            (KeyCode::KEY_PICKUP_PHONE, 1),
            (KeyCode::KEY_PICKUP_PHONE, 0),
            (KeyCode::KEY_PICKUP_PHONE, 1),
            (KeyCode::KEY_HANGUP_PHONE, 1),
        ];
        assert_eq!(
            story(&[], &keys, false),
            [BoardEvent::Hook(true), BoardEvent::Hook(false)]
        );
    }

    #[test]
    fn an_unplugged_device_releases_its_keys() {
        let map = [(KeyCode::KEY_PHONE, KeyMapping::Hook)];
        let keys = [(KeyCode::KEY_PHONE, 1), (KeyCode::KEY_KP7, 1)];
        assert_eq!(
            story(&map, &keys, true)[2..],
            [BoardEvent::KeyUp('7'), BoardEvent::Hook(false)]
        );
    }

    #[test]
    fn a_missing_device_is_reported_once_and_awaited() {
        let folder = TestDir::new("input");
        // No device at all, but a file that has the name of one: it is passed over.
        std::fs::write(folder.join("event0"), "not a device").unwrap();
        let now = Instant::now();
        let mut devices = InputDevices::open(
            &folder,
            vec!["USB Keypad".to_owned()],
            true,
            Vec::new(),
            now,
        )
        .unwrap();
        let mut reported = Vec::new();
        for turn in 0..5 {
            devices
                .handle_ready(now + SEARCH_INTERVAL * turn, &mut |event| {
                    panic!("{event:?}")
                })
                .unwrap();
            reported.extend(std::iter::from_fn(|| devices.poll_fault()));
            assert_eq!(
                devices.poll_timeout(),
                Some(now + SEARCH_INTERVAL * (turn + 1))
            );
        }
        let reported: Vec<String> = reported.iter().map(ToString::to_string).collect();
        assert_eq!(reported.len(), 1, "{reported:?}");
        assert!(
            reported[0].starts_with(
                "[input] device \"USB Keypad\": not present (yet); there is no input device in "
            ),
            "{reported:?}"
        );
    }

    proptest! {
        /// Whatever a device sends: downs and ups of a key alternate, and nothing stays down when
        /// it is gone.
        #[test]
        fn downs_and_ups_alternate(keys in prop::collection::vec(
            (prop::sample::select(vec![2u16, 3, 79, 80, 96, 98, 169, 0x1bd, 0x1be]), 0..3i32),
            0..60)) {
            let map = [(KeyCode::KEY_PHONE, KeyMapping::Hook)];
            let keys: Vec<(KeyCode, i32)> = keys.into_iter()
                .map(|(code, value)| (KeyCode(code), value)).collect();
            let (mut balance, mut lifted) = (std::collections::HashMap::new(), false);
            for event in story(&map, &keys, true) {
                match event {
                    BoardEvent::KeyDown(name) => *balance.entry(name).or_insert(0) += 1,
                    BoardEvent::KeyUp(name) => *balance.entry(name).or_insert(0) -= 1,
                    BoardEvent::Hook(up) => {
                        prop_assert!(up != lifted);
                        lifted = up;
                    }
                    BoardEvent::FlashKey | BoardEvent::Rotary(_) | BoardEvent::Function(_) => {
                        prop_assert!(false);
                    }
                }
                prop_assert!(balance.values().all(|&n| (0..=3).contains(&n)));
            }
            prop_assert!(balance.values().all(|&n| n == 0) && !lifted);
        }
    }
}
