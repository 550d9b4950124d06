//! A stream that is held, redirected, replaced or refused.

use std::net::SocketAddr;
use std::time::Duration;

use media::{Codec, Command, Direction, Engine, EngineConfig, Event, Stream, StreamId};

use crate::loud;
use crate::pair::{ID, Pair, babble, config};

#[test]
fn a_held_call_is_silent_and_comes_back_at_once() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    assert!(loud(&pair.talk(&speech, 2.0)));
    let before = pair.stats(1);
    // The right side puts the left on hold: it goes on receiving, unheard, and sends nothing.
    pair.command(
        1,
        Command::Connect {
            id: ID,
            connected: false,
        },
    );
    let sent = pair.stats(1).sent;
    let heard = pair.talk(&speech, 5.0);
    assert!(!loud(&heard[200..]));
    let stats = pair.stats(1);
    assert!(
        stats.sent - sent <= 1 && stats.received - before.received > 240,
        "{stats:?}"
    );
    assert_eq!((stats.concealed_ms, stats.lost), (0, 0));
    pair.command(
        1,
        Command::Connect {
            id: ID,
            connected: true,
        },
    );
    let heard = pair.talk(&speech, 0.5);
    assert!(loud(&heard[..1600]), "heard again within 200 ms");
    assert!(pair.stats(1).delay_ms < 20.0 && pair.stats(1).sent > sent);
    // The pause has kept its length for the other side: it is no loss and no delay there.
    pair.talk(&speech, 2.0);
    let other = pair.stats(0);
    assert_eq!(other.lost, 0);
    assert!(other.concealed_ms < 5 && other.delay_ms < 20.0, "{other:?}");
}

#[test]
fn direction_and_mute_are_followed() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    pair.talk(&speech, 1.0);
    let redirect = |pair: &mut Pair, side: usize, send: bool, receive: bool| {
        let c = config(side, Codec::Pcmu, 8000, 40, pair.start);
        pair.command(
            side,
            Command::Redirect {
                id: ID,
                remote_rtp: c.remote_rtp,
                remote_rtcp: c.remote_rtcp,
                relays: media::Relays::default(),
                signalling: media::SignallingHosts::default(),
                direction: Direction::new(send, receive),
            },
        );
    };
    redirect(&mut pair, 0, false, true);
    let sent = pair.stats(0).sent;
    assert!(!loud(&pair.talk(&speech, 1.0)[800..]));
    assert_eq!(pair.stats(0).sent, sent, "recvonly sends nothing");
    redirect(&mut pair, 0, true, true);
    redirect(&mut pair, 1, true, false);
    let rejected = pair.stats(1).rejected;
    assert!(!loud(&pair.talk(&speech, 1.0)[800..]));
    assert!(
        pair.stats(1).rejected > rejected + 40,
        "sendonly hears nothing, and counts it"
    );
    redirect(&mut pair, 1, true, true);
    assert!(loud(&pair.talk(&speech, 1.0)));
    pair.command(0, Command::Mute(true));
    let sent = pair.stats(0).sent;
    assert!(!loud(&pair.talk(&speech, 1.0)[800..]));
    assert!(
        pair.stats(0).sent >= sent + 49,
        "a muted phone sends silence"
    );
    pair.command(0, Command::Mute(false));
    assert!(loud(&pair.talk(&speech, 1.0)));
}

#[test]
fn a_redirected_stream_sends_there_and_listens_there() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    pair.talk(&speech, 1.0);
    let there = SocketAddr::from(([127, 0, 0, 1], 9000));
    pair.command(
        1,
        Command::Redirect {
            id: ID,
            remote_rtp: there,
            remote_rtcp: there,
            relays: media::Relays::default(),
            signalling: media::SignallingHosts::default(),
            direction: Direction::SendRecv,
        },
    );
    let mut playback = [0; 40];
    for n in 0..100 {
        let now = pair.instant() + Duration::from_millis(5 * n);
        pair.sides[1].engine.process(&[0; 40], &mut playback, now);
        while let Some(transmit) = pair.sides[1].engine.poll_transmit() {
            assert_eq!(transmit.to, there);
        }
    }
    pair.now += Duration::from_millis(500);
    pair.sides[1].next = pair.now;
    // The old address is a stranger now; two of its packets in a row show that it is the same far
    // end behind another port.
    let heard = pair.talk(&speech, 1.0);
    assert!(loud(&heard[1600..]));
}

#[test]
fn a_replaced_stream_goes_on_where_it_was() {
    let speech = babble(8000, 3.0);
    let mut pair = Pair::call(Codec::Pcmu, 8000, 40, 1);
    pair.talk(&speech, 3.0);
    let before = pair.stats(1);
    pair.tapped.clear();
    let mut again = config(0, Codec::Pcmu, 8000, 40, pair.start);
    again.first_sequence = 1;
    again.first_timestamp = 1;
    pair.command(0, Command::Start(Stream::new(again).unwrap()));
    pair.command(
        1,
        Command::Start(Stream::new(config(1, Codec::Pcmu, 8000, 40, pair.start)).unwrap()),
    );
    assert_eq!(pair.stats(1).received, before.received, "figures go on");
    let heard = pair.talk(&speech, 1.0);
    let stats = pair.stats(1);
    assert!(loud(&heard[..800]));
    assert_eq!((stats.lost, stats.late), (0, 0), "{stats:?}");
    assert!(
        stats.concealed_ms <= 20 && (stats.delay_ms - before.delay_ms).abs() < 5.0,
        "{stats:?}"
    );
    for side in &pair.sides {
        assert_eq!(
            side.events
                .iter()
                .filter(|e| matches!(e, Event::Retired(_)))
                .count(),
            1,
            "the old one was returned"
        );
        assert_eq!(side.engine.streams(), 1);
    }
}

#[test]
fn another_codec_and_another_source_in_mid_call_are_heard_at_once() {
    let speech = babble(16_000, 3.0);
    let mut pair = Pair::new(16_000, 80, 1);
    let payloads = vec![
        (0, Codec::Pcmu),
        (8, Codec::Pcma),
        (9, Codec::G722),
        (111, Codec::Opus),
    ];
    for side in 0..2 {
        let mut config = config(side, Codec::Pcmu, 16_000, 80, pair.start);
        config.recv_payloads.clone_from(&payloads);
        pair.start_stream(side, config);
    }
    pair.talk(&speech, 1.0);
    for (n, &(_, codec)) in [
        payloads[1],
        payloads[2],
        payloads[3],
        payloads[0],
        payloads[3],
    ]
    .iter()
    .enumerate()
    {
        let mut next = config(0, codec, 16_000, 80, pair.start);
        next.recv_payloads.clone_from(&payloads);
        if n % 2 == 1 {
            // As a call moved to another phone: everything new.
            next.ssrc = 0x5555 + n as u32;
            next.first_sequence = 999;
            next.first_timestamp = 77;
        }
        let before = pair.stats(0).sent;
        pair.command(0, Command::Start(Stream::new(next).unwrap()));
        let heard = pair.talk(&speech, 1.5);
        let sent = pair.stats(0).sent - before;
        assert!((74..=76).contains(&sent), "{sent} packets counted in 1.5 s");
        assert!(loud(&heard[..4800]), "{codec:?} is heard within 300 ms");
        assert!(loud(&heard[16_000..]), "{codec:?} goes on");
        assert!(pair.stats(1).delay_ms < 30.0, "{:?}", pair.stats(1));
    }
}

#[test]
fn surplus_streams_are_returned_and_none_is_lost() {
    let pair = Pair::new(8000, 40, 1);
    let mut engine = Engine::new(
        EngineConfig {
            rate_hz: 8000,
            period_frames: 40,
            sidetone_db: None,
        },
        pair.start,
    );
    let stream = |id: u32| {
        let mut c = config(0, Codec::Pcmu, 8000, 40, pair.start);
        c.id = StreamId(id);
        Stream::new(c).unwrap()
    };
    // A thousand starts and no poll at all.
    for n in 0..1000 {
        engine.handle_command(Command::Start(stream(n % 7)), pair.start);
    }
    assert_eq!(engine.streams(), media::MAX_STREAMS);
    for n in 0..7 {
        engine.handle_command(Command::Stop(StreamId(n)), pair.start);
    }
    let mut returned = 0;
    while let Some(event) = engine.poll_event() {
        returned += u32::from(matches!(event, Event::Retired(_)));
    }
    assert_eq!((returned, engine.streams()), (1000, 0));
    let mut other_card = config(0, Codec::Pcmu, 16_000, 80, pair.start);
    other_card.id = StreamId(9);
    engine.handle_command(Command::Start(Stream::new(other_card).unwrap()), pair.start);
    assert!(
        matches!(engine.poll_event(), Some(Event::Retired(_))),
        "a stream built for another card is returned"
    );
}

#[test]
fn numbers_out_of_range_are_refused_with_an_error() {
    let start = Pair::new(8000, 40, 1).start;
    let refuse = |change: &dyn Fn(&mut media::StreamConfig), word: &str| {
        let mut c = config(0, Codec::Pcmu, 8000, 40, start);
        change(&mut c);
        let error = Stream::new(c).err().expect(word).to_string();
        assert!(error.contains(word), "{error}");
    };
    refuse(&|c| c.ptime_ms = 0, "ptime is 0");
    refuse(&|c| c.ptime_ms = 200, "ptime is 200");
    refuse(&|c| c.card_rate_hz = 0, "card rate is 0");
    refuse(&|c| c.card_rate_hz = 192_000, "card rate is 192000");
    refuse(&|c| c.period_frames = 0, "card period");
    refuse(&|c| c.period_frames = 100_000, "card period");
    refuse(&|c| c.send_payload = 200, "payload type is 200");
    refuse(&|c| c.recv_payloads.clear(), "payload types");
}
