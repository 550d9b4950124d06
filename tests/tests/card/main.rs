//! `board::audio` on cards that alsa-lib reaches: the virtual card in real time, PulseAudio, the
//! null device.
//!
//! ```text
//! each test ─▶ itself again, as a process with its own ALSA_CONFIG_PATH ─▶ board::audio::open("phone") ═cable═ open("far")
//! ```
//!
//! What is heard is asserted; when it is heard is reported (a machine running tests is no machine
//! to assert milliseconds on). The virtual card reports over- and underruns that the machine
//! caused, and a run spoilt by one is made again.
//!
//! Wall clock: sound cards of alsa-lib run in real time.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod bench;
mod pulse;

use board::audio::{AudioError, Period, open};
use offhook_tests::vcard::{Side, Stream};
use testkit::heap::{self, CountingAllocator};
use testkit::measure::{Clip, align};

use bench::{Bench, BothEars, chirps, in_child};

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator;

#[test]
fn both_ends_hear_each_other() {
    in_child(
        "both_ends_hear_each_other",
        "",
        both_ends_hear_each_other_child,
    );
}

fn both_ends_hear_each_other_child(bench: &Bench) {
    let said = chirps(48_000, 1.5);
    let heard = bench.undisturbed(|| {
        let mut phone = open(&bench::request("phone", "phone")).unwrap();
        let mut far = open(&bench::request("far", "far")).unwrap();
        // The phone is a wire from microphone to speaker: what the far end says comes back to it.
        bench::talk(&mut *phone, &mut *far, &said, 2.2)
    });
    for (who, sound) in [
        ("the phone", &heard.by_phone),
        ("the far end", &heard.by_far),
    ] {
        let got = align(&clip(&said), &clip(sound), 0.5);
        assert!(got.correlation > 0.99, "{who}: {got:?}");
        assert!(got.gain_db.abs() < 0.2, "{who}: {got:?}");
        println!("{who} hears it {:.1} ms later", got.delay_s * 1000.0);
    }
    heard.report();
}

#[test]
fn after_an_xrun_the_delay_is_what_it_was() {
    in_child(
        "after_an_xrun_the_delay_is_what_it_was",
        "",
        after_an_xrun_child,
    );
}

fn after_an_xrun_child(bench: &Bench) {
    let said = chirps(48_000, 1.0);
    for stream in [Stream::Playback, Stream::Capture] {
        let (before, after, xruns) = bench.undisturbed(|| {
            let mut phone = open(&bench::request("phone", "phone")).unwrap();
            let mut far = open(&bench::request("far", "far")).unwrap();
            let before = bench::talk(&mut *phone, &mut *far, &said, 1.4);
            bench.card.xrun(Side::Phone, stream).unwrap();
            let gap = bench::talk(&mut *phone, &mut *far, &[], 0.3);
            let after = bench::talk(&mut *phone, &mut *far, &said, 1.4);
            (before, after, gap.phone_xruns)
        });
        assert_eq!(xruns, 1, "{stream:?}: reported once");
        let delay =
            |heard: &BothEars| align(&clip(&said), &clip(&heard.by_far), 0.3).delay_s * 1000.0;
        let (before, after) = (delay(&before), delay(&after));
        println!("{stream:?}: {before:.2} ms before, {after:.2} ms after");
        // Capture and playback start within a period of each other, each time.
        assert!(
            (after - before).abs() <= 10.0,
            "{stream:?}: {before} ms before, {after} ms after"
        );
    }
}

#[test]
fn an_unplugged_card_is_lost_and_comes_back() {
    in_child(
        "an_unplugged_card_is_lost_and_comes_back",
        "",
        unplugged_child,
    );
}

fn unplugged_child(bench: &Bench) {
    let mut phone = open(&bench::request("phone", "phone")).unwrap();
    bench::idle(&mut *phone, 0.1).unwrap();
    bench.card.unplug(Side::Phone).unwrap();
    let error = bench::idle(&mut *phone, 1.0).unwrap_err();
    assert_eq!(error.to_string(), "phone / phone is gone");
    drop(phone);
    let Err(AudioError::Open {
        device,
        problem,
        help,
    }) = open(&bench::request("phone", "phone"))
    else {
        panic!("opened a card that is gone")
    };
    assert_eq!(device, "phone");
    assert!(problem.contains("No such device"), "{problem}");
    assert!(help.contains("[board.audio]"), "{help}");
    bench.card.plug(Side::Phone).unwrap();
    let mut phone = open(&bench::request("phone", "phone")).unwrap();
    bench::idle(&mut *phone, 0.1).unwrap();
}

#[test]
fn what_the_card_can_do_is_taken() {
    let more = "pcm.wide { type vcard file \"WIRE\" side 0 rate 44100 format S32_LE channels 2 }\n\
                pcm.slow { type vcard file \"WIRE\" side 0 rate 8000 channels 2 }\n\
                pcm.far44 { type vcard file \"WIRE\" side 1 rate 44100 }\n";
    in_child("what_the_card_can_do_is_taken", more, negotiation_child);
}

fn negotiation_child(bench: &Bench) {
    let got = |capture: &str, playback: &str| {
        open(&bench::request(capture, playback)).map(|card| card.format())
    };
    assert_eq!(got("phone", "phone").unwrap().rate_hz, 48_000);
    assert_eq!(got("wide", "wide").unwrap().rate_hz, 44_100);
    let slow = got("slow", "slow").unwrap();
    assert_eq!((slow.rate_hz, slow.period_frames), (8000, 80));
    // Capture and playback may be two devices with one rate between them.
    assert_eq!(got("wide", "phone").unwrap().rate_hz, 44_100);
    assert_eq!(got("phone", "slow").unwrap().rate_hz, 8000);
    let none = got("wide", "slow").unwrap_err().to_string();
    assert!(
        none.starts_with("wide: has no sample rate in common with `slow`; use the `plughw:`"),
        "{none}"
    );
    let absent = got("nothere", "phone").unwrap_err().to_string();
    assert!(
        absent.starts_with("nothere: ") && absent.contains("[board.audio]"),
        "{absent}"
    );

    // Stereo S32 at 44.1 kHz is still the same sound.
    let said = chirps(44_100, 1.0);
    let heard = bench.undisturbed(|| {
        let mut phone = open(&bench::request("wide", "wide")).unwrap();
        let mut far = open(&bench::request("far44", "far44")).unwrap();
        bench::talk(&mut *phone, &mut *far, &said, 1.5)
    });
    let got = align(
        &Clip {
            rate_hz: 44_100,
            samples: said,
        },
        &Clip {
            rate_hz: 44_100,
            samples: heard.by_far,
        },
        0.3,
    );
    assert!(got.correlation > 0.99 && got.gain_db.abs() < 0.2, "{got:?}");
}

/// Whatever a card is laid out like, one channel of it is the microphone, and it is the same sound.
#[test]
fn every_layout_carries_the_same_sound() {
    let more = "pcm.usb { type vcard file \"WIRE\" side 0 rate 44100 format S24_3LE channels 2 \
                microphone 1 }\n\
                pcm.i2s { type vcard file \"WIRE\" side 0 rate 48000 format S32_LE channels 2 \
                microphone 0 }\n";
    in_child("every_layout_carries_the_same_sound", more, layouts_child);
}

fn layouts_child(bench: &Bench) {
    use types::MicrophoneChannel as Channel;
    let said = chirps(48_000, 1.0);
    for (name, rate_hz, channel, gain_db) in [
        ("usb", 44_100, Channel::Right, 0.0),
        ("usb", 44_100, Channel::Mix, -6.0),
        ("i2s", 48_000, Channel::Left, 0.0),
    ] {
        let heard = bench.undisturbed(|| {
            let request = board::audio::AudioRequest {
                microphone_channel: channel,
                ..bench::request(name, name)
            };
            let mut phone = open(&request).unwrap();
            assert_eq!(phone.format().rate_hz, rate_hz, "{name}");
            let mut far = open(&bench::request("far", "far")).unwrap();
            bench::talk(&mut *phone, &mut *far, &said, 1.5)
        });
        let got = align(&clip(&said), &clip(&heard.by_far), 0.3);
        println!("{name}, {channel:?}: {got:?}");
        assert!(got.correlation > 0.97, "{name}, {channel:?}: {got:?}");
        assert!(
            (got.gain_db - gain_db).abs() < 0.5,
            "{name}, {channel:?}: {got:?}"
        );
    }
    // The channel without the microphone is silent.
    let silent = board::audio::AudioRequest {
        microphone_channel: Channel::Right,
        ..bench::request("i2s", "i2s")
    };
    let mut phone = open(&silent).unwrap();
    let mut far = open(&bench::request("far", "far")).unwrap();
    let heard = bench::talk(&mut *phone, &mut *far, &said, 1.5);
    assert!(heard.by_phone.iter().all(|&sample| sample == 0));
}

#[test]
fn nothing_allocates_after_open() {
    in_child("nothing_allocates_after_open", "", allocation_child);
}

fn allocation_child(bench: &Bench) {
    let mut phone = open(&bench::request("phone", "phone")).unwrap();
    let format = phone.format();
    let mut sound = vec![0; format.period_frames];
    let mut periods = 0;
    let mut count = |phone: &mut dyn board::audio::AudioDevice, wanted: u32| {
        let before = heap::of_this_thread().allocations;
        heap::arm();
        while periods < wanted {
            match phone.read(&mut sound).unwrap() {
                Period::Ready => {
                    periods += 1;
                    phone.write(&sound).unwrap();
                }
                Period::NotYet => bench::wait(phone),
                Period::Xrun { .. } => {}
            }
        }
        heap::disarm();
        heap::of_this_thread().allocations - before
    };
    assert_eq!(count(&mut *phone, 50), 0, "allocations in 50 periods");
    bench.card.xrun(Side::Phone, Stream::Playback).unwrap();
    assert_eq!(
        count(&mut *phone, 100),
        0,
        "allocations in 50 periods with an underrun"
    );
    // The counter counts: it would have seen one.
    let ((), counts) = heap::counted(|| drop(std::hint::black_box(vec![1u8; 100])));
    assert_eq!(counts.allocations, 1);
}

#[test]
fn two_clocks_stay_together() {
    let more = "pcm.drifting { type vcard file \"WIRE\" side 1 ppm 3000 }\n";
    in_child("two_clocks_stay_together", more, two_clocks_child);
}

fn two_clocks_child(bench: &Bench) {
    // Microphone and speaker are two cards whose clocks differ by 3000 ppm: 10 ms in 3.3 s. Without
    // slips the speaker's queue of 30 ms is dry after ten seconds; half of that shows whether it is
    // held.
    let xruns = bench.undisturbed(|| {
        let mut card = open(&bench::request("phone", "drifting")).unwrap();
        bench::idle(&mut *card, 12.0).unwrap()
    });
    assert_eq!(xruns, 0);
}

#[test]
fn the_null_device_opens() {
    in_child(
        "the_null_device_opens",
        "pcm.nothing { type null }\n",
        |_| {
            // Not paced: it only shows that a device without a clock is no trap.
            let mut card = open(&bench::request("nothing", "nothing")).unwrap();
            let format = card.format();
            assert_eq!((format.rate_hz, format.period_frames), (48_000, 480));
            let mut sound = vec![1; format.period_frames];
            for _ in 0..10 {
                if card.read(&mut sound).unwrap() == Period::Ready {
                    assert!(sound.iter().all(|&s| s == 0));
                }
                card.write(&sound).unwrap();
            }
        },
    );
}

#[test]
fn pulseaudio_carries_sound_both_ways() {
    pulse::test();
}

fn clip(samples: &[i16]) -> Clip {
    Clip {
        rate_hz: 48_000,
        samples: samples.to_vec(),
    }
}
