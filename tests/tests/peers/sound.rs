//! Speech to say, a place for peers to play to, and the comparison of what was heard with what was
//! said.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use offhook_tests::measure::{Clip, Match, align, median};

use crate::place::{Place, Running};

/// A PulseAudio daemon of the test's own with two null sinks, paced in real time, and an ALSA
/// configuration that knows nothing else.
pub(crate) struct NullSink {
    pub(crate) alsa_config: PathBuf,
    server: String,
    pulse: Running,
}

impl NullSink {
    /// Starts it. ALSA PCM `ear` plays into the sink `ear`; ALSA PCM `mic` hears what is played
    /// into the sink `mouth`.
    pub(crate) fn start(place: &Place) -> Self {
        let dir = place.join("pulse");
        std::fs::create_dir_all(dir.join("run")).unwrap();
        let socket = dir.join("native");
        let server = format!("unix:{}", socket.display());
        let script = dir.join("bench.pa");
        std::fs::write(
            &script,
            format!(
                "load-module module-native-protocol-unix auth-anonymous=1 socket={}\n\
                 load-module module-null-sink sink_name=ear rate=48000 channels=1\n\
                 load-module module-null-sink sink_name=mouth rate=48000 channels=1\n",
                socket.display()
            ),
        )
        .unwrap();
        let alsa_config = dir.join("asound.conf");
        std::fs::write(
            &alsa_config,
            format!(
                "pcm.ear {{ type pulse server \"{server}\" device \"ear\" }}\n\
                 pcm.mic {{ type pulse server \"{server}\" device \"mouth.monitor\" }}\n\
                 pcm.!default {{ type pulse server \"{server}\" device \"ear\" }}\nctl.!default {{ type pulse server \"{server}\" }}\n"
            ),
        )
        .unwrap();
        let mut command = Command::new("pulseaudio");
        command
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "-F",
            ])
            .arg(&script);
        command
            .env("HOME", &dir)
            .env("XDG_RUNTIME_DIR", dir.join("run"));
        let pulse = Running::start(&mut command, &dir.join("log"));
        let end = Instant::now() + Duration::from_secs(8);
        while !socket.exists() {
            assert!(
                Instant::now() < end,
                "pulseaudio does not start:\n{}",
                std::fs::read_to_string(dir.join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            alsa_config,
            server,
            pulse,
        }
    }

    /// The server stands still for so long.
    pub(crate) fn stall(&self, time: Duration) {
        self.pulse.stall(time);
    }

    /// Speaks a file into the sink `mouth`.
    pub(crate) fn speak(&self, file: &Path) -> Running {
        self.client("paplay", &["--device=mouth"], file)
    }

    /// Records what is played into the sink `ear`.
    pub(crate) fn listen(&self, file: &Path) -> Running {
        let format = [
            "--device=ear.monitor",
            "--rate=48000",
            "--channels=1",
            "--file-format=wav",
        ];
        self.client("parec", &format, file)
    }

    fn client(&self, program: &str, arguments: &[&str], file: &Path) -> Running {
        let mut command = Command::new(program);
        command
            .arg("--latency-msec=40")
            .args(arguments)
            .arg(file)
            .env("PULSE_SERVER", &self.server);
        if let Some(dir) = self.alsa_config.parent() {
            command
                .env("HOME", dir)
                .env("XDG_RUNTIME_DIR", dir.join("run"));
        }
        Running::start(&mut command, &file.with_extension(program))
    }
}

/// What the two sides say: different words, so that an echo of oneself is not taken for the other.
#[derive(Clone, Copy)]
pub(crate) enum Speaker {
    Alice,
    Bob,
}

/// A minute of speech as a WAV file at this rate; made once a run by espeak-ng.
pub(crate) fn speech(place: &Place, speaker: Speaker, rate: u32, channels: u32) -> PathBuf {
    let (voice, text) = match speaker {
        Speaker::Alice => (
            "en+f3",
            "The quick brown fox jumps over the lazy dog. She had your dark suit in greasy wash water all year. A rod is used to catch pink salmon. \
             The source of the huge river is the clear spring. Kick the ball straight and follow through. Help the woman get back to her feet.",
        ),
        Speaker::Bob => (
            "en-us+m3",
            "Four hours of steady work faced us. A large size in stockings is hard to sell. The boy was there when the sun rose. \
             Don't ask me to carry an oily rag like that. The birch canoe slid on the smooth planks. Glue the sheet to the dark blue background.",
        ),
    };
    let name = format!("speech-{}-{rate}-{channels}.wav", voice.replace('+', "-"));
    let path = place.join(&name);
    if path.exists() {
        return path;
    }
    let raw = place.join("raw.wav");
    run(Command::new("espeak-ng")
        .args(["-v", voice, "-s", "150", "-w"])
        .arg(&raw)
        .arg(text));
    // −12 dB of peak leaves room for codecs; `repeat` makes it outlast any call here.
    run(Command::new("sox")
        .arg("-R")
        .arg(&raw)
        .args([
            "-r",
            &rate.to_string(),
            "-c",
            &channels.to_string(),
            "-b",
            "16",
        ])
        .arg(&path)
        .args(["norm", "-12", "repeat", "2"]));
    path
}

fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How a recording compares with what was said.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Median normalised cross-correlation of the loud 0.4 s parts of the recording's last four
    /// seconds with what was said. Parts, because a jitter buffer may rightly stretch speech
    /// between them; the median, because a part may hold such a place.
    pub(crate) correlation: f64,
    /// Median level of those parts against the same parts of the original, in dB.
    pub(crate) level_db: f64,
}

/// Compares a recording with what was said; both may have any rate.
pub(crate) fn compare(place: &Place, said: &Path, heard: &Path) -> Heard {
    const PART: f64 = 0.4;
    let said = samples_8k(place, said);
    let heard = samples_8k(place, heard);
    let coarse = at_2k(&said);
    let length = heard.samples.len() as f64 / 8000.0;
    assert!(length > 3.0, "the recording is only {length:.1} s long");
    // The last four seconds but one: the call stands, and is past its beginning.
    let parts = (0..9)
        .map(|n| length - 1.0 - PART * f64::from(n + 1))
        .filter(|&from| from > 0.0);
    let mut found: Vec<_> = parts
        .map(|from| Clip {
            rate_hz: 8000,
            samples: heard.part(from, PART).to_vec(),
        })
        .filter(|part| part.level_dbfs() > said.level_dbfs() - 12.0)
        .map(|part| find(&part, &said, &coarse))
        .collect();
    if found.len() < 3 {
        return Heard {
            correlation: 0.0,
            level_db: -120.0,
        };
    }
    found.sort_by(|a, b| a.correlation.total_cmp(&b.correlation));
    let correlation = found[found.len() / 2].correlation;
    Heard {
        correlation,
        level_db: -median(found.iter().map(|m| m.gain_db)),
    }
}

/// Where in what was said does a part of what was heard lie? So the roles are exchanged, and the
/// gain with them. A minute is searched at a quarter of the rate first: 16 times as fast, and what
/// is compared in the end is the full sound.
fn find(part: &Clip, said: &Clip, coarse: &Clip) -> Match {
    const AROUND: f64 = 0.02;
    let (small, length) = (at_2k(part), part.samples.len() as f64 / 8000.0);
    let place = align(
        &small,
        coarse,
        coarse.samples.len() as f64 / 2000.0 - length,
    )
    .delay_s;
    let from = (place - AROUND).max(0.0);
    let around = Clip {
        rate_hz: said.rate_hz,
        samples: said.part(from, length + 2.0 * AROUND).to_vec(),
    };
    align(part, &around, around.samples.len() as f64 / 8000.0 - length)
}

/// Every four samples as one.
fn at_2k(clip: &Clip) -> Clip {
    let mean = |four: &[i16]| (four.iter().map(|&s| i32::from(s)).sum::<i32>() / 4) as i16;
    Clip {
        rate_hz: clip.rate_hz / 4,
        samples: clip.samples.chunks_exact(4).map(mean).collect(),
    }
}

/// Asserts that what was said was heard, at its level.
pub(crate) fn assert_heard(place: &Place, what: &str, said: &Path, heard: &Path) {
    let result = compare(place, said, heard);
    println!(
        "{what}: correlation {:.3}, level {:+.1} dB",
        result.correlation, result.level_db
    );
    assert!(
        result.correlation > 0.8,
        "{what}: the speech did not arrive: {result:?}"
    );
    assert!(
        result.level_db.abs() < 3.0,
        "{what}: wrong level: {result:?}"
    );
}

/// Whether, while a call goes on, what was said is heard as it should be for four seconds on end,
/// some time before `limit`. `recording` is what was heard so far.
pub(crate) fn is_heard_soon(
    place: &Place,
    what: &str,
    said: &Path,
    limit: Duration,
    recording: impl Fn() -> PathBuf,
) -> bool {
    let end = Instant::now() + limit;
    loop {
        let result = compare(place, said, &recording());
        println!(
            "{what}: correlation {:.3}, level {:+.1} dB",
            result.correlation, result.level_db
        );
        if result.correlation > 0.8 && result.level_db.abs() < 3.0 {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

/// Reads a WAV file, also one whose header was never finished, as 8 kHz mono.
fn samples_8k(place: &Place, path: &Path) -> Clip {
    let out = place.join("compare.wav");
    run(Command::new("sox")
        .arg("--ignore-length")
        .arg(path)
        .args(["-r", "8000", "-c", "1", "-b", "16", "-e", "signed"])
        .arg(&out));
    let samples = hound::WavReader::open(&out)
        .unwrap()
        .into_samples::<i16>()
        .map(Result::unwrap)
        .collect();
    Clip {
        rate_hz: 8000,
        samples,
    }
}
