//! What two phones show each other of the sound (RTCP XR, RFC 3611), and what they send a collector
//! (RFC 6035).

use offhook_tests::world::{PhoneId, Setup, World, secs};
use serde_json::Value;

fn stats(world: &World, id: PhoneId) -> Value {
    let stats = world[id].control.stats();
    serde_json::to_value(&stats).unwrap()["calls"][0].clone()
}

/// A share of the packets from `l` to `r` is lost; each hears of it from the other.
#[test]
fn each_end_knows_how_the_other_hears_it() {
    for wanted in [true, false] {
        let name = format!("xr-{wanted}");
        let setup = Setup::default().toml("quality", &format!("rtcp_xr = {wanted}"));
        let (mut world, l, r) = World::pair(&name, 71, &setup);
        world.connect(l, r);
        world.run(secs(20));
        let (at_l, at_r) = (stats(&world, l), stats(&world, r));
        for (own, far) in [(&at_l, &at_r), (&at_r, &at_l)] {
            let own_figures = &own["metrics"];
            assert_eq!(own_figures["loss"], 0.0, "{own}");
            assert!(own_figures["mos_lq"].as_f64().unwrap() > 4.3, "{own}");
            let reported = &far["far_metrics"];
            assert_eq!(reported.is_null(), !wanted, "{far}");
            if wanted {
                // As of its last report.
                let near = |key: &str, slack: f64| {
                    let of = |value: &Value| value[key].as_f64().unwrap();
                    let (reported, own) = (of(reported), of(own_figures));
                    assert!(
                        (reported - own).abs() <= slack,
                        "{key}: {reported} against {own}"
                    );
                };
                near("r", 1.0);
                near("mos_lq", 0.1);
                near("buffer_ms", 10.0);
                near("signal_db", 2.0);
            }
        }
        world.hang_up(l);
        world.run(secs(3));
        world.hang_up(r);
        world.quiet();
    }
}

#[test]
fn a_collector_gets_each_call_once_from_each_end() {
    let mut world = World::new("collector", 72);
    let collector = world.peer();
    let at = world[collector].at;
    let setup = Setup::default().toml(
        "quality",
        &format!("collector = \"sip:quality@{at}\"\ninterval_s = 10"),
    );
    let (l, r) = (world.phone(setup.clone()), world.phone(setup));
    world.connect(l, r);
    let mut interval = Vec::new();
    while interval.len() < 2 {
        let publish = world.expect_within(collector, "PUBLISH", secs(12));
        let ok = publish.reply(200, "x").with("SIP-ETag", "1");
        world.say(collector, &ok);
        interval.push(publish);
    }
    world.run(secs(5));
    world.hang_up(l);
    let mut end = Vec::new();
    while end.len() < 2 {
        let publish = world.expect_within(collector, "PUBLISH", secs(5));
        let ok = publish.reply(200, "x").with("SIP-ETag", "1");
        world.say(collector, &ok);
        end.push(publish);
    }
    for (publish, first) in interval
        .iter()
        .map(|publish| (publish, "VQIntervalReport\r\n"))
        .chain(
            end.iter()
                .map(|publish| (publish, "VQSessionReport: CallTerm\r\n")),
        )
    {
        assert_eq!(publish.header("event"), "vq-rtcpxr");
        assert_eq!(publish.header("content-type"), "application/vq-rtcpxr");
        let body = &publish.body;
        assert!(body.starts_with(first), "{body}");
        for part in [
            "\r\nCallID: ",
            "\r\nLocalMetrics:\r\nTimestamps: START=",
            " PD=PCMU SR=8000 FD=20 ",
            "\r\nPacketLoss: NLR=0.00 JDR=0.00\r\n",
            " QoEEstAlg=G.107\r\n",
            "\r\nDialogID: ",
        ] {
            assert!(body.contains(part), "{part:?} is not in\n{body}");
        }
    }
    // The two ends describe one call, each from its side.
    let field = |body: &str, name: &str| {
        let line = body.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{body}"))
            .to_owned()
    };
    let (one, other) = (&end[0].body, &end[1].body);
    assert_eq!(field(one, "CallID: "), field(other, "CallID: "));
    assert_eq!(field(one, "DialogID: "), field(other, "DialogID: "));
    assert_eq!(field(one, "OrigID: "), field(other, "OrigID: "));
    assert_eq!(field(one, "LocalAddr: "), field(other, "RemoteAddr: "));
    assert!(one.contains("\r\nRemoteMetrics:\r\n"), "{one}");
    world.expect_nothing(collector, secs(30));
    world.hang_up(r);
    world.quiet();
}
