//! What encryption costs: the same call in clear and by SDES, beside the peer, with a far end that
//! protects what it says.
//!
//! ```text
//! speech ─▶ Engine (media, 20 ms, SRTP or clear) ─▶ RTP socket ═▶ phone under test ─▶ RTP ─▶ the same Engine
//! ```
//!
//! Both calls of a phone have the same far end and differ in nothing but the keys. The keys travel
//! in clear here, which a phone must be set to bear (`sdes_over_clear`): TLS would add to the
//! set-up, not to the call.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use media::{
    Codec, Command, Engine, EngineConfig, MasterKey, PacketKind, Protection, SrtpSuite, Stream,
    StreamConfig, StreamId,
};
use testkit::measure::median;

use crate::caller::{Caller, Sound, rtpmap};
use crate::figures::{WINDOW, phone_options};
use crate::process::{cpu_time, thread_time, threads};
use crate::quality;
use crate::subject::{Kind, PhoneOptions, Subject};
use crate::table::{Page, spread};

const SUITE: SrtpSuite = SrtpSuite::AesCm128HmacSha1_80;
const ID: StreamId = StreamId(1);
const RATE: u32 = 48_000;
/// One packet a period.
const PERIOD: Duration = Duration::from_millis(20);
const FRAMES: usize = 960;

/// The key the caller protects with: key and salt, as SDES writes them.
const OWN: [u8; 30] = *b"the key of the scripted caller";

/// The attribute that names a key (RFC 4568 section 9.1).
pub(crate) fn crypto_line() -> String {
    format!(
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}\r\n",
        Base64::encode_string(&OWN)
    )
}

/// The key in an answer.
pub(crate) fn key_of(answer: &str) -> Option<[u8; 30]> {
    let line = answer
        .lines()
        .find(|line| line.starts_with("a=crypto:") && line.contains("AES_CM_128_HMAC_SHA1_80"))?;
    let coded = line
        .split_once("inline:")?
        .1
        .split(['|', ' '])
        .next()?
        .trim();
    Base64::decode_vec(coded).ok()?.try_into().ok()
}

/// The rows: CPU of the process, and of Offhook's audio thread, in clear and encrypted.
pub(crate) fn rows(folder: &Path, page: &mut Page) {
    let Some((_, speech)) = quality::speech(folder, RATE) else {
        return page.skip(
            "encrypted calls",
            "no espeak-ng or sox for the far end's speech",
        );
    };
    for codec in [Codec::Pcmu, Codec::Opus] {
        let mut cells = [const { [None, None] }; 2];
        let mut thread = [None, None];
        for (n, kind) in [Kind::Offhook, Kind::Baresip].into_iter().enumerate() {
            for (encrypted, row) in cells.iter_mut().enumerate() {
                let Some((process, audio)) = one(folder, kind, codec, encrypted == 1, &speech)
                else {
                    page.skip(
                        &format!("{kind:?}, {codec:?}, encrypted: {}", encrypted == 1),
                        "no such call came about",
                    );
                    continue;
                };
                row[n] = spread(&process, 2, "%");
                if kind == Kind::Offhook {
                    thread[encrypted] = Some(audio);
                }
            }
        }
        let [clear, encrypted] = cells;
        page.row(
            format!("CPU of one core, {codec:?} call in clear, speech both ways"),
            "below every peer",
            clear,
        );
        page.row(
            format!("the same call by SDES, {SUITE:?}"),
            "below every peer",
            encrypted,
        );
        let [clear, encrypted]: [Option<Vec<f64>>; 2] = thread;
        let share = |all: &Option<Vec<f64>>| spread(all.as_deref()?, 2, "%");
        page.row(
            format!("CPU of the audio thread, {codec:?}, in clear"),
            "",
            [share(&clear)],
        );
        let figure = share(&encrypted).zip(clear).zip(encrypted);
        let figure = figure.map(|((share, clear), encrypted)| {
            let added = (median(encrypted) / median(clear) - 1.0) * 100.0;
            format!("{share} ({added:+.1} %)")
        });
        page.row("the same, encrypted", "< 15 % more", [figure]);
    }
}

/// A call with speech both ways; what `work` says of the phone in it, once its buffers have found
/// their size.
pub(crate) fn in_call<T>(
    folder: &Path,
    options: &PhoneOptions<'_>,
    speech: &[i16],
    work: impl FnOnce(&Subject) -> Option<T>,
) -> Option<T> {
    if options.kind.missing().is_some() {
        return None;
    }
    let (codec, encrypted) = (options.codec, options.encrypted);
    let subject = Subject::start(folder, options)?;
    subject.rested();
    let mut caller = if encrypted {
        Caller::invite_private(subject.sip, codec)
    } else {
        Caller::invite(subject.sip, codec)
    };
    caller.answered()?;
    if encrypted {
        caller.key?;
    }
    let sound = talk(&caller, codec, speech.to_vec())?;
    std::thread::sleep(Duration::from_secs(3));
    let got = work(&subject);
    drop(sound);
    caller.hang_up();
    got
}

/// CPU time of the process and of its audio thread in one call, in percent of a core, second by
/// second.
fn one(
    folder: &Path,
    kind: Kind,
    codec: Codec,
    encrypted: bool,
    speech: &[i16],
) -> Option<(Vec<f64>, Vec<f64>)> {
    let options = PhoneOptions {
        encrypted,
        ..phone_options(kind, codec)
    };
    in_call(folder, &options, speech, |subject| {
        let pid = subject.process.pid();
        let audio = threads(pid, "offhook-audio");
        let at_work = || {
            audio
                .iter()
                .map(|thread| thread_time(pid, *thread))
                .sum::<Duration>()
        };
        let one = || {
            let (began, process, thread) = (Instant::now(), cpu_time(pid), at_work());
            std::thread::sleep(Duration::from_secs(1));
            let took = began.elapsed().as_secs_f64();
            let process = cpu_time(pid).saturating_sub(process).as_secs_f64();
            let thread = at_work().saturating_sub(thread).as_secs_f64();
            (100.0 * process / took, 100.0 * thread / took)
        };
        Some((0..WINDOW.as_secs()).map(|_| one()).unzip())
    })
}

/// Speaks and listens, a packet in 20 ms, until dropped.
fn talk(caller: &Caller, codec: Codec, sound: Vec<i16>) -> Option<Sound> {
    let (socket, to) = (caller.rtp(), caller.far_rtp?);
    let key = |bytes: &[u8; 30]| MasterKey::new(SUITE, &bytes[..16], &bytes[16..], &[]).ok();
    let protection = match &caller.key {
        Some(theirs) => Protection::Srtp {
            send: key(&OWN)?,
            receive: key(theirs)?,
        },
        None => Protection::Clear,
    };
    let start = Instant::now();
    let payload = rtpmap(codec).0;
    let stream = Stream::new(StreamConfig {
        send_payload: payload,
        recv_payloads: vec![(payload, codec)],
        opus_fec: codec == Codec::Opus,
        remote_rtcp: SocketAddr::new(to.ip(), to.port() + 1),
        protection,
        ssrc: 0x0BEC,
        card_rate_hz: RATE,
        period_frames: FRAMES,
        ..StreamConfig::new(ID, codec, to)
    })
    .ok()?;
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: RATE,
            period_frames: FRAMES,
            sidetone_db: None,
        },
        start,
    );
    engine.handle_command(Command::Start(stream), start);
    engine.handle_command(
        Command::Connect {
            id: ID,
            connected: true,
        },
        start,
    );
    Some(Sound::run(move |stop| {
        pace(&mut engine, &socket, &sound, start, stop);
    }))
}

fn pace(
    engine: &mut Engine,
    socket: &UdpSocket,
    sound: &[i16],
    start: Instant,
    stop: &std::sync::atomic::AtomicBool,
) {
    socket.set_nonblocking(true).unwrap();
    let (mut ear, mut packet) = ([0; FRAMES], [0; 2048]);
    for n in 0_u32.. {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return;
        }
        std::thread::sleep((start + PERIOD * n).saturating_duration_since(Instant::now()));
        let now = Instant::now();
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            engine.handle_packet(ID, PacketKind::Rtp, from, &mut packet[..length], now);
        }
        let at = n as usize * FRAMES % (sound.len() - FRAMES);
        engine.process(&sound[at..at + FRAMES], &mut ear, now);
        while let Some(sent) = engine.poll_transmit() {
            // Reports go by a socket of their own, which no one has here.
            if matches!(sent.kind, PacketKind::Rtp) {
                socket.send_to(sent.bytes, sent.to).ok();
            }
        }
        while engine.poll_event().is_some() {}
    }
}
