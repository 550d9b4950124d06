//! Files that ring, and files that must not: what is refused is refused with one line, quickly, and
//! without the memory it claims to need. Wall clock: what is refused must not keep a core busy.

use std::fs;
use std::time::Instant;

use ogg::writing::{PacketWriteEndInfo, PacketWriter};
use testkit::process::TestDir;

use super::*;

/// A WAV file of a 1 kHz tone.
fn wav(rate_hz: u32, channels: u16, frames: u32) -> Vec<u8> {
    let block = channels * 2;
    let data = frames * u32::from(block);
    let mut out = Vec::new();
    out.extend(b"RIFF");
    out.extend((36 + data).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(16u32.to_le_bytes());
    out.extend(1u16.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate_hz.to_le_bytes());
    out.extend((rate_hz * u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(16u16.to_le_bytes());
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    for n in 0..frames {
        let phase = std::f64::consts::TAU * 1000.0 * f64::from(n) / f64::from(rate_hz);
        let sample = (phase.sin() * 8000.0) as i16;
        for _ in 0..channels {
            out.extend(sample.to_le_bytes());
        }
    }
    out
}

/// An Ogg file with these packets of Opus.
fn opus(channels: u8, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut writer = PacketWriter::new(Vec::new());
    let mut head = OPUS_HEAD.to_vec();
    head.extend([1, channels, 0, 0]);
    head.extend(48_000u32.to_le_bytes());
    head.extend([0, 0, 0]);
    let mut put = |packet: Vec<u8>, end, position| writer.write_packet(packet, 7, end, position);
    put(head, PacketWriteEndInfo::EndPage, 0).unwrap();
    put(OPUS_TAGS.to_vec(), PacketWriteEndInfo::EndPage, 0).unwrap();
    for (index, packet) in packets.iter().enumerate() {
        let last = index + 1 == packets.len();
        let end = if last {
            PacketWriteEndInfo::EndStream
        } else {
            PacketWriteEndInfo::NormalPacket
        };
        put(packet.clone(), end, 960 * (index as u64 + 1)).unwrap();
    }
    writer.into_inner()
}

/// The words that the program carries are packets of Opus.
fn word() -> Vec<Vec<u8>> {
    let language = types::Language::English;
    let word = control::speech::words::Word::DndOn;
    let packets = control::speech::vocabulary::packets(language, word).unwrap();
    packets.into_iter().map(<[u8]>::to_vec).collect()
}

/// How often the sound passes zero upwards in a second.
fn frequency(samples: &[i16], rate_hz: u32) -> f64 {
    let crossings = samples
        .windows(2)
        .filter(|pair| pair[0] < 0 && pair[1] >= 0);
    crossings.count() as f64 * f64::from(rate_hz) / samples.len() as f64
}

#[test]
fn a_wav_file_is_heard_at_its_pitch_on_every_card() {
    for (rate_hz, channels) in [(8000, 1), (44_100, 2), (48_000, 1)] {
        for card_hz in [8000, 16_000, 44_100, 48_000] {
            let clip = decode(&wav(rate_hz, channels, rate_hz), card_hz).unwrap();
            assert_eq!(clip.rate_hz(), card_hz);
            assert!(clip.samples().len().abs_diff(card_hz as usize) < 10);
            let hz = frequency(clip.samples(), card_hz);
            assert!((hz - 1000.0).abs() < 5.0, "{rate_hz} on {card_hz}: {hz}");
            let loudest = clip.samples().iter().max().unwrap();
            assert!((7000..9000).contains(loudest), "{loudest}");
        }
    }
}

#[test]
fn opus_in_ogg_sounds_as_the_packets_do() {
    let packets = word();
    let clip = decode(&opus(1, &packets), 48_000).unwrap();
    let own = media::speech::decode(packets.iter().map(Vec::as_slice), 48_000).unwrap();
    assert_eq!(clip.samples(), own);
    assert!(own.iter().any(|sample| sample.abs() > 1000));
}

#[test]
fn hostile_files_are_refused_at_once() {
    let begun = Instant::now();
    let refused = |bytes: &[u8]| decode(bytes, 48_000).map(|_| ()).unwrap_err().to_string();
    // A header that promises what the file does not have.
    let mut promise = wav(8000, 1, 10);
    promise[40..44].copy_from_slice(&0x7FFF_FFF0u32.to_le_bytes());
    promise[4..8].copy_from_slice(&0x7FFF_FFFFu32.to_le_bytes());
    assert!(refused(&promise).contains("longer than 20 s"));
    assert!(refused(&wav(8000, 1, 8000 * 21)).contains("longer than 20 s"));
    assert!(refused(&wav(8000, 9, 10)).contains("9 channels"));
    assert!(refused(&wav(8000, 1, 0)).contains("no sound"));
    assert!(refused(&wav(8000, 1, 100)[..60]).contains("not a WAV file"));
    assert!(refused(b"ID3\x04 an MP3 file").contains("neither WAV nor Opus"));
    assert!(refused(b"").contains("neither WAV nor Opus"));
    // The shortest packets that last longest: 120 ms of nothing in two bytes (RFC 6716, code 3).
    let bomb: Vec<Vec<u8>> = (0..200_000).map(|_| vec![0b0001_1011, 2]).collect();
    assert!(refused(&opus(1, &bomb)).contains("longer than 20 s"));
    assert!(refused(&opus(6, &word())).contains("6 channels"));
    assert!(refused(&opus(1, &[vec![0xFF; 3]])).contains("cannot be decoded"));
    let mut cut = opus(1, &word());
    let middle = cut.len() / 2;
    cut[middle] ^= 0x55;
    assert!(refused(&cut).contains("no Ogg file"), "a wrong checksum");
    let mut other = opus(1, &word());
    let head = other.windows(8).position(|part| part == OPUS_HEAD).unwrap();
    other.truncate(head);
    assert!(decode(&other, 48_000).is_err());
    // A second is much for all of it together, also where nothing is optimised.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}

#[test]
fn only_an_ordinary_file_of_a_fair_size_is_opened() {
    let folder = TestDir::new("rings");
    fs::create_dir_all(folder.join("folder.wav")).unwrap();
    let refused = |name: &str| load(&folder.join(name), 8000).unwrap_err().to_string();
    assert!(refused("missing.wav").contains("put it beside offhook.toml"));
    assert!(refused("folder.wav").contains("a folder"));
    fs::write(folder.join("big.wav"), vec![0; MAX_BYTES as usize + 1]).unwrap();
    assert!(refused("big.wav").contains("at most"));
    let fifo = folder.join("fifo.wav");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert!(refused("fifo.wav").contains("a FIFO"));
    fs::write(folder.join("fine.wav"), wav(8000, 1, 800)).unwrap();
    assert_eq!(
        load(&folder.join("fine.wav"), 8000)
            .unwrap()
            .samples()
            .len(),
        800
    );
}
