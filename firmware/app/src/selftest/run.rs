//! The self-test on a real board: its card, its lines, and a report on standard output.

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use board::audio::{AudioDevice, AudioError, Period};
use board::{Board, BoardError, Profile, ProfileError};
use types::LampState;

use super::{Action, BoardParts, Fault, Passed, SelfTest};
use crate::output::print;

/// A card that gives nothing for so long gives nothing.
const SILENCE: Duration = Duration::from_secs(2);

/// Why the self-test does not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelfTestError {
    /// There is no such board.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// A device of the board fails.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The sound card fails.
    #[error(transparent)]
    Card(#[from] AudioError),
    /// The sound card is open and gives nothing.
    #[error("the sound card gives no sound at all; see [audio] in hardware.toml")]
    Silent,
}

/// Runs every step; whether all passed.
pub(crate) fn run(config: &config::Config) -> Result<bool, SelfTestError> {
    let mut profile = Profile::load_over(
        &config.board.profile_dir,
        &config.board.profile,
        &crate::hardware::overrides(config),
    )?;
    if let Err(error) = crate::hardware::override_profile(config, &mut profile) {
        print(&format!("  ringer: {error}"));
    }
    let parts = parts(&profile);
    let mut board = Board::open(&profile, Instant::now())?;
    let request = crate::hardware::audio_request(config, &profile);
    for wrong in board::audio::set_mixer(&request.playback, &profile.audio.mixer) {
        print(&format!("  mixer: {wrong}"));
    }
    let mut card = board::audio::open(&request)?;
    print(&format!("self-test of {}", profile.name));
    let bind = config.network.bind;
    let well = run_steps(&mut board, card.as_mut(), parts, bind)
        .map(|well| well && board.failed().is_empty());
    board.shutdown()?;
    let well = well?;
    print(if well {
        "all is well, as far as the phone can know"
    } else {
        "something does not work: see above"
    });
    Ok(well)
}

fn parts(profile: &Profile) -> BoardParts {
    let keys = profile
        .keypad
        .as_ref()
        .map(|keypad| keypad.keys.get_ref().concat())
        .unwrap_or_default();
    let lamps = &profile.lamps;
    BoardParts {
        keys: keys
            .chars()
            .filter(|key| "0123456789*#ABCD".contains(*key))
            .collect(),
        hook: profile.hook.is_some(),
        lamps: lamps.line.is_some() || lamps.in_use.is_some() || lamps.message.is_some(),
        bell: profile.ringer.is_some(),
    }
}

/// The addresses others reach the phone by, or why there is none.
fn network(bind: IpAddr) -> Result<Passed, Fault> {
    if !bind.is_unspecified() {
        return match UdpSocket::bind((bind, 0)) {
            Ok(_) => Ok(Passed::BoundAddress(bind)),
            Err(source) => Err(Fault::NotBound { bind, source }),
        };
    }
    let found = crate::net::local::all();
    if found.is_empty() {
        return Err(Fault::NoAddress);
    }
    Ok(Passed::Addresses(found))
}

fn run_steps(
    board: &mut Board,
    card: &mut dyn AudioDevice,
    parts: BoardParts,
    bind: IpAddr,
) -> Result<bool, SelfTestError> {
    let format = card.format();
    let mut test = SelfTest::new(format.rate_hz, parts);
    let (mut capture, mut playback) =
        (vec![0; format.period_frames], vec![0; format.period_frames]);
    let mut heard = Instant::now();
    let mut fed = None;
    loop {
        let mut fds: Vec<libc::pollfd> = card
            .poll_fds()
            .iter()
            .map(|fd| libc::pollfd {
                fd: *fd,
                events: libc::POLLIN,
                revents: 0,
            })
            .collect();
        // A poll that fails comes back at once and is tried again; the card's silence is noticed
        // below.
        let _ = crate::realtime::poll(&mut fds, Duration::from_millis(10));
        let now = Instant::now();
        board.handle_ready(now);
        while let Some(event) = board.poll_event() {
            test.handle(event);
        }
        while let Some(fault) = board.poll_fault() {
            print(&format!("  {fault}"));
        }
        match card.read(&mut capture)? {
            Period::Ready => {
                heard = now;
                fed = feed(board, fed, now);
                test.process(&capture, &mut playback);
                card.write(&playback)?;
            }
            Period::Xrun { .. } => heard = now,
            Period::NotYet if now.saturating_duration_since(heard) > SILENCE => {
                return Err(SelfTestError::Silent);
            }
            Period::NotYet => {}
        }
        while let Some(wish) = test.poll() {
            match wish {
                Action::Print(line) => print(&line),
                Action::Lamp(lamp, lit) => {
                    board.lamp(lamp, if lit { LampState::On } else { LampState::Off }, now);
                }
                Action::Ring(on) => board.ring(on.then_some(&[60_000, 1][..]), now),
                Action::CheckNetwork => test.network(network(bind)),
                Action::End(well) => return Ok(well),
            }
        }
    }
}

/// The self-test lasts longer than a watchdog waits: once a second, while sound flows.
fn feed(board: &mut Board, fed: Option<Instant>, now: Instant) -> Option<Instant> {
    if fed.is_some_and(|at| now.saturating_duration_since(at) < Duration::from_secs(1)) {
        return fed;
    }
    board.feed_watchdog(now);
    Some(now)
}
