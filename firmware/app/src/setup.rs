//! From a command to a running phone: configuration, log, board, card.
//!
//! ```text
//! offhook.toml ─▶ provision::load ─▶ Config, note for status ─▶ Setup ─▶ driver::run
//! ```

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use board::audio::AudioRequest;
use board::display::Panel;
use board::profile::Override;
use board::ringer::RingerKind;
use board::{Board, BoardError, Profile, ProfileError, RingerError};
use config::Config;
use config::schema::RingerChoice;
use control::DisplaySettings;
use control::readable::OneLineWriter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use types::MicrophoneChannel;

use crate::appliance::{Appliance, Ending};
use crate::audio_thread::CardUse;
use crate::bundle::log::Tee;
use crate::confine::broker::Broker;
use crate::confine::{self, Reach};
use crate::driver::{self, CardSource, DriverError, FurtherSource, Setup};
use crate::provision::{ConfigPaths, ProvisionError, reset};
use crate::selftest::SelfTestError;
use crate::storage::Files;

#[cfg(feature = "tools")]
pub(crate) mod tools;

/// Why a phone does not start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// There is no configuration to run by.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// There is no such board.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The ringer wanted is not what the board can have.
    #[error("[board] ringer: {0}")]
    Ringer(#[from] RingerError),
    /// A device of the board cannot be opened.
    #[error(transparent)]
    Board(#[from] BoardError),
    /// The phone cannot run.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// The self-test cannot run.
    #[error(transparent)]
    SelfTest(#[from] SelfTestError),
}

/// In the run directory: the next process begins with the self-test.
pub(crate) const SELF_TEST: &str = "self-test";
/// What stands in it where not the self-test is wanted, but the search for what is wired.
const WIRING: &str = "wiring";

/// `offhook run`. With a broker the phone gives up every right it does not need.
pub(crate) fn run(paths: &ConfigPaths, broker: Option<Broker>) -> Result<Ending, SetupError> {
    let broker = broker.map(Arc::new);
    if broker.is_some() {
        let config = crate::provision::load(paths, false)?.config;
        let flag = self_test_flag(&config);
        let wanted = std::fs::read_to_string(&flag).ok();
        if let Some(wanted) = wanted.filter(|_| std::fs::remove_file(&flag).is_ok()) {
            self_test(&config, wanted == WIRING, paths.card.as_deref());
        }
    }
    loop {
        let ending = run_once(paths, broker.as_ref())?;
        let wiring = match ending {
            Ending::SelfTest => false,
            Ending::Wiring => true,
            Ending::Quit | Ending::Restart | Ending::Reboot => return Ok(ending),
        };
        let config = crate::provision::load(paths, false)?.config;
        if let Some(broker) = &broker {
            // It opens devices, which a confined process cannot: the next process does it.
            let wanted = if wiring { WIRING } else { "" };
            let flag = self_test_flag(&config);
            if let Err(error) = broker.write_atomic(&flag, wanted.as_bytes()) {
                tracing::error!("self-test: {error}");
            }
            return Ok(Ending::Restart);
        }
        self_test(&config, wiring, paths.card.as_deref());
    }
}

fn self_test_flag(config: &Config) -> PathBuf {
    let run_dir = config.control.socket.parent().unwrap_or(Path::new("/run"));
    run_dir.join(SELF_TEST)
}

/// The phone comes back whatever the self-test found.
fn self_test(config: &Config, wiring: bool, card: Option<&Path>) {
    let (what, outcome) = if wiring {
        ("wiring", crate::selftest::wiring::run_by_key(config, card))
    } else {
        ("self-test", crate::selftest::run(config))
    };
    match outcome {
        Ok(true) => tracing::info!("{what}: all is well"),
        Ok(false) => tracing::info!("{what}: something does not work"),
        Err(error) => tracing::error!("{what}: {error}"),
    }
}

fn run_once(paths: &ConfigPaths, broker: Option<&Arc<Broker>>) -> Result<Ending, SetupError> {
    if let Some(card) = paths.card.as_deref().filter(|card| reset::is_asked(card)) {
        let state_dir = crate::provision::state_dir(paths)?;
        match reset::factory_reset(&state_dir, Some(card)) {
            Ok(()) => return Ok(Ending::Reboot),
            // A card that cannot be written is no reason to have no dial tone.
            Err(error) => {
                let text = format!("offhook: factory reset: {error}; can the card be written?");
                let _ = writeln!(io::stderr(), "{text}");
            }
        }
    }
    let provisioned = crate::provision::load(paths, true)?;
    log_to_stderr(&provisioned.config);
    let key = provisioned.config.tls.key.clone();
    for warning in
        crate::secrets::guard(&provisioned.config.control.state_dir, &Vec::from_iter(key))
    {
        tracing::warn!("{warning}");
    }
    let note = provisioned.note();
    if let Some(note) = &note {
        for line in note.lines() {
            tracing::error!("{line}");
        }
    }
    let mut setup = whole_phone(provisioned.config.clone(), note, paths.card.is_some())?;
    let reach = Reach::of(paths, &setup.config);
    setup.appliance = Some(Appliance {
        paths: paths.clone(),
        provisioned,
    });
    let Some(broker) = broker else {
        return Ok(driver::run(setup)?);
    };
    // Where phone and image meet belongs to root: what the phone does there is done before, or
    // by the broker.
    let socket = &setup.config.control.socket;
    setup.bound_socket = crate::ctl::bind(socket).ok();
    if let Some(run_dir) = socket.parent()
        && let Err(error) = broker.name_run_dir(run_dir)
    {
        tracing::error!("{}: {error}", run_dir.display());
    }
    let user = broker.user();
    if user.is_none() {
        tracing::warn!("there is no user offhook: the phone stays what it is, without its rights");
    }
    match confine::enter(&reach, user) {
        Ok(true) => {}
        Ok(false) => tracing::warn!("this kernel has no Landlock: files are not confined"),
        // A phone that is less safe than it could be is still a phone.
        Err(error) => tracing::error!("not confined: {error}"),
    }
    let files: Arc<dyn Files> = Arc::<Broker>::clone(broker);
    Ok(driver::run_with(setup, files)?)
}

/// `offhook selftest`.
pub(crate) fn selftest(paths: &ConfigPaths, wiring: bool) -> Result<bool, SetupError> {
    let provisioned = crate::provision::load(paths, false)?;
    log_to_stderr(&provisioned.config);
    if wiring {
        let card = paths.card.as_deref();
        return Ok(crate::selftest::wiring::run(&provisioned.config, card)?);
    }
    Ok(crate::selftest::run(&provisioned.config)?)
}

/// The sound card the board and the configuration name together.
pub(crate) fn audio_request(config: &Config, profile: &Profile) -> AudioRequest {
    let (audio, own) = (&config.board.audio, &profile.audio);
    let card = config.audio.card.as_ref();
    let device = |direction: &Option<String>, own: &String| {
        let wanted = direction.as_ref().or(card).unwrap_or(own);
        wanted.clone()
    };
    AudioRequest {
        capture: device(&audio.capture, &own.capture),
        playback: device(&audio.playback, &own.playback),
        rate_hz: audio.rate_hz.unwrap_or(own.rate_hz),
        period_ms: audio.period_ms.unwrap_or(own.period_ms),
        periods: own.periods,
        microphone_channel: config
            .audio
            .microphone_channel
            .unwrap_or(own.microphone_channel),
    }
}

/// Period of a card that only rings, in ms: no one waits for it.
const RINGER_PERIOD_MS: u32 = 20;

/// The cards besides the handset's that the configuration names. One that is named twice is opened
/// once, for both; the handset's own is not opened again.
pub(crate) fn further_cards(config: &Config, handset: &AudioRequest) -> Vec<FurtherSource> {
    let (audio, board) = (&config.audio, &config.board.audio);
    let is_handsets = |card: &String| *card == handset.playback;
    let speaker = audio.speaker_card.clone().filter(|card| !is_handsets(card));
    let ringer = audio.ringer_card.clone().filter(|card| !is_handsets(card));
    let rings_there = ringer.is_some() && ringer == speaker;
    let mut cards = Vec::new();
    if let Some(playback) = speaker {
        let is_file = playback.starts_with("wav:") || playback == "null";
        let own = if is_file { "silence" } else { &playback };
        let capture = audio
            .speaker_microphone
            .as_deref()
            .unwrap_or(own)
            .to_owned();
        let listens = capture != "silence";
        let period_ms = board.speaker_period_ms.unwrap_or(handset.period_ms);
        let request = AudioRequest {
            capture,
            playback,
            rate_hz: board.speaker_rate_hz.unwrap_or(handset.rate_hz),
            period_ms,
            // It is looked at once a period of the handset's card, which may be the longer one.
            periods: handset.periods.max(2) + 1 + handset.period_ms.div_ceil(period_ms.max(1)),
            microphone_channel: audio.speaker_microphone_channel,
        };
        cards.push(FurtherSource {
            source: if listens {
                CardSource::Board(request, Vec::new())
            } else {
                CardSource::Output(request)
            },
            card_use: CardUse {
                speaks: true,
                listens,
                rings: rings_there,
            },
        });
    }
    if let Some(playback) = ringer.filter(|_| !rings_there) {
        cards.push(FurtherSource {
            source: CardSource::Output(AudioRequest {
                capture: "silence".to_owned(),
                playback,
                rate_hz: handset.rate_hz,
                period_ms: RINGER_PERIOD_MS,
                periods: 3,
                microphone_channel: MicrophoneChannel::Mix,
            }),
            card_use: CardUse {
                speaks: false,
                listens: false,
                rings: true,
            },
        });
    }
    cards
}

/// What the configuration says of the wiring.
pub(crate) fn overrides(config: &Config) -> Vec<Override<'_>> {
    let each = |(table, key, value)| Override { table, key, value };
    config.hardware.iter().map(each).collect()
}

/// What the configuration says of the board, put over the board's profile.
pub(crate) fn override_profile(config: &Config, profile: &mut Profile) -> Result<(), RingerError> {
    let Some(choice) = config.board.ringer else {
        return Ok(());
    };
    profile.set_ringer(match choice {
        RingerChoice::Bell => Some(RingerKind::Bell),
        RingerChoice::Buzzer => Some(RingerKind::Buzzer),
        RingerChoice::Sound | RingerChoice::None => None,
    })
}

/// A phone on the board its configuration names. An appliance, which somebody far away must be able
/// to correct, makes do with what is right of the board's description.
pub(crate) fn whole_phone(
    config: Config,
    config_note: Option<String>,
    appliance: bool,
) -> Result<Setup, SetupError> {
    let (folder, name) = (&config.board.profile_dir, &config.board.profile);
    let overrides = overrides(&config);
    let (mut profile, faults) = if appliance {
        Profile::load_usable_over(folder, name, &overrides)
    } else {
        (Profile::load_over(folder, name, &overrides)?, Vec::new())
    };
    let mut board_faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
    match override_profile(&config, &mut profile) {
        Ok(()) => {}
        Err(error) if appliance => board_faults.push(format!("[board] ringer: {error}")),
        Err(error) => return Err(error.into()),
    }
    for fault in &board_faults {
        tracing::error!("{fault}; the phone goes on without that part");
    }
    let board = Board::open(&profile, Instant::now())?;
    let request = audio_request(&config, &profile);
    let further_cards = further_cards(&config, &request);
    let display = open_display(&profile, &mut board_faults);
    Ok(Setup {
        card: CardSource::Board(request, profile.audio.mixer.clone()),
        further_cards,
        board: Some(board),
        display,
        socket: Some(config.control.socket.clone()),
        bound_socket: None,
        config_note,
        board_faults,
        appliance: None,
        config,
    })
}

/// The display of a board. One that cannot be had is reported, and the phone goes on.
fn open_display(
    profile: &Profile,
    faults: &mut Vec<String>,
) -> Option<(Box<dyn Panel>, DisplaySettings)> {
    let described = profile.display.as_ref()?;
    let settings = DisplaySettings {
        dim_after: described.dim_after(),
        off_after: described.off_after(),
    };
    match board::display::open(described) {
        Ok(panel) => Some((panel, settings)),
        Err(fault) => {
            tracing::error!("{fault}; the phone goes on without it");
            faults.push(fault.to_string());
            None
        }
    }
}

fn log_to_stderr(config: &Config) {
    start_log(config, || OneLineWriter(Tee));
}

/// Writes what `phone.log` selects to `writer`, for the whole process.
fn start_log<W>(config: &Config, writer: W)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // The loader has checked the filter; a default that is none would still log something.
    let filter = config
        .phone
        .log
        .parse()
        .unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    // A second call in one process (tests) keeps the first log.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `offhook.toml` may say of the wiring, table by table with the examples of its
    /// reference, is what the board takes: the two lists of keys agree.
    #[test]
    fn the_board_takes_every_key_of_the_wiring() {
        let text: String = config::example()
            .lines()
            .filter(|line| !line.starts_with("#fitted"))
            .map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with(' ') => format!("{setting}\n"),
                Some(_) | None => format!("{line}\n"),
            })
            .collect();
        let config = config::load(&text, "example").unwrap_or_else(|errors| panic!("{errors}"));
        let all = overrides(&config);
        let tables: std::collections::BTreeSet<&str> = all.iter().map(|o| o.table).collect();
        assert!(tables.len() >= 10, "{tables:?}");
        for table in tables {
            let own: Vec<Override<'_>> = all.iter().filter(|o| o.table == table).copied().collect();
            let before = Profile::load(Path::new("/nowhere"), "sim").unwrap();
            let after = Profile::load_over(Path::new("/nowhere"), "sim", &own)
                .unwrap_or_else(|error| panic!("{error}"));
            assert_ne!(before, after, "{table} changes nothing");
        }
    }

    #[test]
    fn the_card_is_said_for_both_directions_or_each() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let request = |toml: &str| {
            let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
            audio_request(&config, &profile)
        };
        let both = request("[audio]\ncard = \"hw:1\"\nmicrophone_channel = \"right\"\n");
        assert_eq!(
            (both.capture.as_str(), both.playback.as_str()),
            ("hw:1", "hw:1")
        );
        assert_eq!(both.microphone_channel, MicrophoneChannel::Right);
        let one = request("[audio]\ncard = \"hw:1\"\n[board.audio]\ncapture = \"hw:2\"\n");
        assert_eq!(
            (one.capture.as_str(), one.playback.as_str()),
            ("hw:2", "hw:1")
        );
    }

    #[test]
    fn further_cards_are_opened_once_each() {
        let profile = Profile::load(Path::new("/nowhere"), "sim").unwrap();
        let cards = |toml: &str| -> Vec<(String, CardUse)> {
            let config = config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}"));
            let further = further_cards(&config, &audio_request(&config, &profile));
            let each = |card: FurtherSource| (card.source.name(), card.card_use);
            further.into_iter().map(each).collect()
        };
        let card_use = |speaks, listens, rings| CardUse {
            speaks,
            listens,
            rings,
        };
        assert_eq!(cards("[audio]\ncard = \"hw:0\"\n"), []);
        assert_eq!(
            cards("[audio]\ncard = \"hw:0\"\nspeaker_card = \"hw:1\"\nringer_card = \"hw:2\"\n"),
            [
                ("hw:1".to_owned(), card_use(true, true, false)),
                ("hw:2".to_owned(), card_use(false, false, true)),
            ]
        );
        assert_eq!(
            cards("[audio]\nspeaker_card = \"hw:1\"\nringer_card = \"hw:1\"\n"),
            [("hw:1".to_owned(), card_use(true, true, true))]
        );
        assert_eq!(
            cards("[audio]\nspeaker_card = \"hw:1\"\nspeaker_microphone = \"silence\"\n"),
            [("hw:1".to_owned(), card_use(true, false, false))]
        );
        let handsets =
            "[audio]\ncard = \"hw:0\"\nspeaker_card = \"hw:0\"\nringer_card = \"hw:0\"\n";
        assert_eq!(cards(handsets), []);
    }
}
