//! Sound over a bad network and a bad machine: loss, jitter, order, copies, outages, stalls, a card
//! that goes away. Judged by ear.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use offhook_tests::world::{HEARD, PhoneId, Setup, World, ms, phone_ip, secs};
use phone::State;
use testkit::Rng;
use testkit::network::{Jitter, Link, Loss, RuleAction};
use testkit::signal::Source;

/// An established call over this link, with speech for this long.
fn talk(
    name: &str,
    seed: u64,
    setup: &Setup,
    link: Link,
    length: Duration,
) -> (World, PhoneId, PhoneId) {
    let (mut world, l, r) = World::pair(name, seed, setup);
    world.connect(l, r);
    world.network.set_default(link);
    world.run(length);
    (world, l, r)
}

fn finish(mut world: World, report: &str) {
    world.network.set_default(Link::default());
    world.quiet();
    world.report(report);
}

#[test]
fn one_way_delay_is_within_the_budget() {
    let mut report = Vec::new();
    for (codec, rate_hz, budget) in [
        ("pcmu", 8_000, 45.0),
        ("pcma", 48_000, 45.0),
        ("g722", 16_000, 47.0),
        ("opus", 48_000, 52.0),
    ] {
        let mut worst = 0f64;
        // The two cards' clocks may stand in any relation.
        for phase in 0..5 {
            let mut setup = Setup::default()
                .codecs(&format!("\"{codec}\""))
                .card(rate_hz, 5);
            let mut world = World::new(&format!("delay {codec} {phase}"), 1);
            let l = world.phone(setup.clone());
            setup.card.start = ms(phase);
            let r = world.phone(setup);
            world.connect(l, r);
            world.run(secs(6));
            for (from, to) in [(l, r), (r, l)] {
                let found = world.compare(from, to, secs(4));
                assert!(found.correlation > 0.85, "{codec}: {found:?}");
                worst = worst.max(found.delay_s * 1e3);
            }
            world.quiet();
        }
        assert!(
            worst <= budget,
            "{codec}: {worst:.1} ms mouth to ear, budget {budget}"
        );
        report.push(format!("{codec} {worst:.1} ms"));
    }
    println!(
        "sim one-way delay, 5 ms cards, 20 ms packets, LAN, worst of 10: {}",
        report.join(", ")
    );
}

#[test]
fn a_tenth_of_all_packets_lost() {
    // Opus carries copies (FEC) of most lost packets, so less of its sound has to be made up.
    for (codec, rate_hz, at_least, made_up) in [
        ("pcmu", 8_000, 0.9, 15),
        ("g722", 16_000, 0.8, 15),
        ("opus", 48_000, 0.7, 3),
    ] {
        let setup = Setup::default()
            .codecs(&format!("\"{codec}\""))
            .card(rate_hz, 10);
        let (world, l, r) = talk(
            &format!("10 % loss {codec}"),
            2,
            &setup,
            Link {
                loss: Loss::Random(0.1),
                ..Link::default()
            },
            secs(30),
        );
        let (there, back) = world.assert_speech_both_ways(l, r, secs(10), at_least);
        let holes = world.holes(l, r, secs(10)).max(world.holes(r, l, secs(10)));
        assert!(
            holes < 0.025,
            "{codec}: {:.1} % of the speech are holes",
            holes * 100.0
        );
        for id in [l, r] {
            let stats = world[id].stream_stats()[0];
            let loss = stats.lost as f64 / (stats.lost + stats.received) as f64;
            assert!((0.06..0.14).contains(&loss), "{stats:?}");
            assert!(
                stats.concealed as f64 > 0.7 * stats.lost as f64
                    && stats.concealed_ms >= made_up * stats.lost,
                "concealment is counted: {stats:?}"
            );
            assert!(stats.mos < 4.2 && stats.mos > 1.0, "{stats:?}");
        }
        finish(
            world,
            &format!(
                "likeness {:.2} and {:.2}, holes {:.1} %",
                there.correlation,
                back.correlation,
                holes * 100.0
            ),
        );
    }
}

#[test]
fn loss_in_bursts() {
    let link = Link {
        loss: Loss::Gilbert {
            to_bad: 0.02,
            to_good: 0.3,
            loss: 1.0,
        },
        ..Link::default()
    };
    let (world, l, r) = talk("Gilbert loss", 3, &Setup::default(), link, secs(30));
    let (there, back) = world.assert_speech_both_ways(l, r, secs(20), 0.9);
    let stats = world[r].stream_stats()[0];
    assert!(stats.lost > 20 && stats.concealed > 20, "{stats:?}");
    finish(
        world,
        &format!(
            "likeness {:.2} and {:.2}, {} lost",
            there.correlation, back.correlation, stats.lost
        ),
    );
}

#[test]
fn jitter_is_buffered() {
    let mut report = Vec::new();
    for (name, jitter, longest) in [
        ("normal 10 ms", Jitter::Normal { sd: ms(10) }, 0.11),
        ("normal 30 ms", Jitter::Normal { sd: ms(30) }, 0.22),
        (
            "heavy tail",
            Jitter::HeavyTail {
                scale: ms(3),
                shape: 1.3,
                cap: ms(200),
            },
            0.25,
        ),
    ] {
        for keep_order in [true, false] {
            let link = Link {
                jitter,
                keep_order,
                ..Link::default()
            };
            let (world, l, r) = talk(
                &format!("jitter {name} {keep_order}"),
                4,
                &Setup::default(),
                link,
                secs(30),
            );
            let (there, _) = world.assert_speech_both_ways(l, r, secs(20), 0.9);
            assert!(there.delay_s < longest, "{name}: {there:?}");
            let stats = world[r].stream_stats()[0];
            assert!(stats.lost <= 2, "jitter loses nothing: {stats:?}");
            assert!(
                (stats.late as f64) < 0.05 * stats.received as f64,
                "{stats:?}"
            );
            assert!(stats.jitter_ms > 1.0, "{stats:?}");
            report.push(format!(
                "{name}{}: {:.0} ms, {:.2}, late {}",
                if keep_order { "" } else { " unordered" },
                there.delay_s * 1e3,
                there.correlation,
                stats.late
            ));
            finish(world, report.last().unwrap());
        }
    }
}

#[test]
fn delay_falls_again_after_jitter() {
    let (mut world, l, r) = talk(
        "after jitter",
        5,
        &Setup::default(),
        Link::default(),
        secs(6),
    );
    let before = world.compare(l, r, secs(4)).delay_s;
    world.network.set_default(Link {
        jitter: Jitter::Normal { sd: ms(40) },
        ..Link::default()
    });
    world.run(secs(20));
    let during = world.compare(l, r, secs(10)).delay_s;
    world.network.set_default(Link::default());
    world.run(secs(90));
    let after = world.compare(l, r, secs(4)).delay_s;
    assert!(during > before + 0.02, "{before} {during}");
    assert!(
        (after - before).abs() < 0.005,
        "before {before:.4} s, after {after:.4} s"
    );
    finish(
        world,
        &format!(
            "{:.1} ms, {:.1} ms, {:.1} ms",
            before * 1e3,
            during * 1e3,
            after * 1e3
        ),
    );
}

#[test]
fn out_of_order_and_twice() {
    let link = Link {
        hold_back: (0.1, ms(25)),
        duplicate: 0.1,
        ..Link::default()
    };
    let (world, l, r) = talk(
        "reordered and doubled",
        6,
        &Setup::default(),
        link,
        secs(30),
    );
    let (there, back) = world.assert_speech_both_ways(l, r, secs(20), 0.97);
    for id in [l, r] {
        let stats = world[id].stream_stats()[0];
        assert!(stats.lost <= 2, "nothing was lost: {stats:?}");
        assert!((100..250).contains(&stats.duplicate), "{stats:?}");
        assert!(
            stats.sent.abs_diff(stats.received) < 20,
            "copies are not counted as packets: {stats:?}"
        );
    }
    let stats = world[r].stream_stats()[0];
    finish(
        world,
        &format!(
            "likeness {:.3} and {:.3}, {} doubles dropped",
            there.correlation, back.correlation, stats.duplicate
        ),
    );
}

#[test]
fn an_outage_leaves_no_delay_behind() {
    let (mut world, l, r) = talk(
        "media outage",
        7,
        &Setup::default(),
        Link::default(),
        secs(6),
    );
    let before = world.compare(l, r, secs(4)).delay_s;
    for length in [ms(300), secs(2), secs(20)] {
        world.cut_off(phone_ip(l), length);
        world.run(length + secs(12));
        let after = world
            .assert_speech_both_ways(l, r, secs(4), HEARD)
            .0
            .delay_s;
        assert!(
            (after - before).abs() < 0.005,
            "after {length:?}: {before:.4} s, {after:.4} s"
        );
    }
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking)
    );
    finish(
        world,
        &format!("{:.1} ms before and after 0.3, 2 and 20 s", before * 1e3),
    );
}

#[test]
fn a_burst_after_a_pause_leaves_no_delay_behind() {
    // A network that holds everything for a while and then lets it all go at once: the classic way
    // to a delay that stays.
    let (mut world, l, r) = talk(
        "held and released",
        8,
        &Setup::default(),
        Link::default(),
        secs(6),
    );
    let before = world.compare(l, r, secs(4)).delay_s;
    for _ in 0..10 {
        let until = world.now() + ms(400);
        world.network.add_rule("held", move |_, now| {
            if now < until {
                RuleAction::Delay(until.saturating_sub(now))
            } else {
                RuleAction::Pass
            }
        });
        world.run(secs(4));
        world.network.remove_rule("held");
    }
    world.run(secs(60));
    let after = world
        .assert_speech_both_ways(l, r, secs(4), HEARD)
        .0
        .delay_s;
    assert!(
        (after - before).abs() < 0.005,
        "before {before:.4} s, after {after:.4} s"
    );
    finish(
        world,
        &format!(
            "{:.1} ms before, {:.1} ms after ten 400 ms pauses with bursts",
            before * 1e3,
            after * 1e3
        ),
    );
}

#[test]
fn a_thousand_stalls() {
    let setup = Setup::default().card(8_000, 5);
    let (mut world, l, r) = talk("1000 stalls", 9, &setup, Link::default(), secs(10));
    let before = [world.compare(l, r, secs(4)), world.compare(r, l, secs(4))];
    let mut rng = Rng::for_purpose(9, "stalls");
    for _ in 0..1_000 {
        let who = if rng.unit() < 0.5 { l } else { r };
        let length = if rng.unit() < 0.7 {
            4 + rng.below(20)
        } else {
            20 + rng.below(200)
        };
        let now = world.now();
        world[who].card.stall(now, ms(length as u64));
        world.run(ms(200 + rng.below(400) as u64));
    }
    let xruns = world[l].card.xruns() + world[r].card.xruns();
    assert!(xruns > 200, "{xruns} xruns");
    world.run(secs(30));
    for ((from, to), before) in [(l, r), (r, l)].into_iter().zip(before) {
        let after = world.compare(from, to, secs(4));
        assert!(
            (after.delay_s - before.delay_s).abs() <= 0.005,
            "before {before:?}, after {after:?}"
        );
        assert!(after.correlation > 0.99, "{after:?}");
    }
    let after = world.compare(l, r, secs(4));
    finish(
        world,
        &format!(
            "{:.1} ms before, {:.1} ms after, {xruns} xruns",
            before[0].delay_s * 1e3,
            after.delay_s * 1e3
        ),
    );
}

#[test]
fn a_card_that_goes_away_and_comes_back() {
    let (mut world, l, r) = talk(
        "card unplugged",
        10,
        &Setup::default(),
        Link::default(),
        secs(5),
    );
    let now = world.now();
    world[l].card.set_lost(true, now);
    world.run(secs(5));
    assert_eq!(
        (world.state(l), world.state(r)),
        (State::Talking, State::Talking),
        "the call goes on without a card"
    );
    let now = world.now();
    world[l].card.set_lost(false, now);
    world.run(secs(15));
    world.assert_speech_both_ways(l, r, secs(4), HEARD);
    // Away again, and the user hangs up: the next lift has dial tone once the card is there.
    let now = world.now();
    world[l].card.set_lost(true, now);
    world.run(secs(1));
    world.hang_up(l);
    world.run(secs(3));
    let now = world.now();
    world[l].card.set_lost(false, now);
    world.run(secs(1));
    world.lift(l);
    world.run(secs(1));
    assert!(world.heard(l, ms(500)).level_dbfs() > -40.0, "dial tone");
    finish(
        world,
        "speech back after 5 s without a card, dial tone after hanging up without one",
    );
}

#[test]
fn strangers_are_not_heard() {
    let (mut world, l, r) = talk(
        "RTP from a stranger",
        11,
        &Setup::default(),
        Link::default(),
        secs(5),
    );
    let port = world[l].open_ports()[0];
    let to = std::net::SocketAddr::new(phone_ip(l), port);
    let before = world[l].stream_stats()[0];
    let mut rng = Rng::for_purpose(11, "stranger");
    let loud = |i: u32| {
        if (i / 8).is_multiple_of(2) {
            0x80_u8
        } else {
            0x00
        }
    };
    for n in 0..600u32 {
        // Three kinds: many that guess, one that sends a stream of its own as a phone would, one
        // that knows source and sequence.
        let real = world
            .network
            .capture
            .media_between(phone_ip(r), phone_ip(l))
            .last()
            .map(|sent| sent.datagram.bytes.clone())
            .unwrap();
        let mut rtp = match n % 3 {
            0 => [
                &[0x80, 0][..],
                &(n as u16).wrapping_mul(77).to_be_bytes(),
                &(n * 160).to_be_bytes(),
                &0x0bad_cafe_u32.to_be_bytes(),
            ]
            .concat(),
            1 => [
                &[0x80, 0][..],
                &(n as u16 / 3).to_be_bytes(),
                &(n / 3 * 160).to_be_bytes(),
                &0x0bad_f00d_u32.to_be_bytes(),
            ]
            .concat(),
            _ => {
                let mut header = real[..12].to_vec();
                header[2..4].copy_from_slice(
                    &u16::from_be_bytes([real[2], real[3]])
                        .wrapping_add(1)
                        .to_be_bytes(),
                );
                header[4..8].copy_from_slice(
                    &u32::from_be_bytes([real[4], real[5], real[6], real[7]])
                        .wrapping_add(160)
                        .to_be_bytes(),
                );
                header
            }
        };
        rtp.extend((0..160).map(loud));
        let from = match n % 3 {
            0 => format!("10.0.0.{}:{}", 50 + rng.below(5), 4_000 + rng.below(10)),
            1 => "10.0.0.60:4000".to_owned(),
            _ => format!("10.0.0.61:{}", 20_000),
        };
        world.send_from(from.parse().unwrap(), to, rtp);
        world.run(ms(10));
    }
    world.assert_speech_both_ways(l, r, secs(5), HEARD);
    assert!(world.holes(r, l, secs(5)) < 0.01);
    let after = world[l].stream_stats()[0];
    assert!(
        after.rejected - before.rejected >= 590,
        "counted: {before:?} {after:?}"
    );
    let astray = world
        .network
        .capture
        .packets()
        .filter(|sent| {
            sent.datagram.from.ip() == phone_ip(l)
                && sent.datagram.is_media()
                && sent.datagram.to.ip() != phone_ip(r)
        })
        .count();
    assert_eq!(astray, 0, "nothing is sent to a stranger");
    finish(
        world,
        &format!(
            "600 loud packets from strangers, {} rejected",
            after.rejected - before.rejected
        ),
    );
}

/// Payload types of what the phone with this address sends as RTP, as it sends it.
fn payloads_of(world: &mut World, phone: PhoneId) -> Rc<RefCell<Vec<u8>>> {
    let sent = Rc::new(RefCell::new(Vec::new()));
    let (list, from) = (Rc::clone(&sent), phone_ip(phone));
    world.network.add_rule("payload types", move |datagram, _| {
        let payload = datagram.bytes.get(1).map_or(0, |byte| byte & 0x7F);
        // RTCP has the types 200 to 207 there (RFC 5761 section 4).
        if datagram.from.ip() == from && datagram.is_media() && !(72..80).contains(&payload) {
            list.borrow_mut().push(payload);
        }
        RuleAction::Pass
    });
    sent
}

/// In a room where no one says a word.
#[test]
fn silence_is_left_out_where_that_is_set() {
    const COMFORT_NOISE: u8 = 13;
    let mut random = Rng::new(3);
    let room: Vec<i16> = (0..16_000)
        .map(|_| (random.normal() * 8.0) as i16)
        .collect();
    for (codec, dtx, least, most) in [
        ("pcmu", "codecs", 8, 14),
        ("opus", "codecs", 8, 40),
        ("pcmu", "", 499, 501),
        ("opus", "", 499, 501),
    ] {
        let mut setup = Setup::default()
            .codecs(&format!("\"{codec}\""))
            .voice(Source::samples(room.clone()));
        if !dtx.is_empty() {
            setup = setup.toml(dtx, "dtx = true");
        }
        let name = format!("silence {codec} {dtx}");
        let (mut world, l, r) = World::pair(&name, 9, &setup);
        world.connect(l, r);
        world.run(secs(5));
        let sent = payloads_of(&mut world, l);
        world.run(secs(10));
        let sent = sent.take();
        world.network.remove_rule("payload types");
        let is_noise = |payload: &&u8| **payload == COMFORT_NOISE;
        let described = sent.iter().filter(is_noise).count();
        let case = format!(
            "{name}: {} packets, {described} of comfort noise",
            sent.len()
        );
        assert!((least..=most).contains(&sent.len()), "{case}");
        // Opus describes silence itself.
        let wanted = if codec == "pcmu" && !dtx.is_empty() {
            sent.len()
        } else {
            0
        };
        assert_eq!(described, wanted, "{case}");
        let stats = world[r].stream_stats()[0];
        assert_eq!(stats.lost, 0, "{case}: silence is no loss");
        finish(world, &case);
    }
}
