//! Topics, payloads and orders, against what Home Assistant and the owner may expect.

use std::time::Duration;

use phone::{State, VolumeOf};
use serde_json::Value;

use super::super::REST;
use super::*;

fn mqtt(toml: &str) -> Mqtt {
    let text = format!("[phone]\nname = \"Kitchen\"\n[mqtt]\nbroker = \"b\"\nname = \"k\"\n{toml}");
    let config = config::load(&text, "f").unwrap_or_else(|errors| panic!("{errors}"));
    Mqtt::new(&config).unwrap()
}

fn payload<'p>(publications: &'p [Publication], topic: &str) -> Option<&'p str> {
    let found = publications.iter().find(|one| one.topic == topic)?;
    Some(&found.payload)
}

const ANNA: FarEnd<'_> = FarEnd {
    number: "0301",
    name: "Anna",
};

#[test]
fn without_a_broker_there_is_nothing() {
    assert!(Mqtt::new(&config::Config::default()).is_none());
}

#[test]
fn a_connection_gets_discovery_then_states_then_online() {
    let mut mqtt = mqtt("orders = [\"dnd\"]\n");
    assert!(
        mqtt.observe(REST, &[Moment::HungUp], ANNA).is_empty(),
        "no one is there"
    );
    let discovery = mqtt.on_connected();
    assert!(discovery.iter().all(|one| one.retain));
    let states = mqtt.observe(REST, &[], FarEnd::default());
    assert!(states.iter().all(|one| one.retain));
    let last = states.last().unwrap();
    assert_eq!(
        (last.topic.as_str(), last.payload.as_str()),
        ("offhook/k/availability", "online")
    );
    assert_eq!(payload(&states, "offhook/k/ringing"), Some("OFF"));
    assert_eq!(payload(&states, "offhook/k/state"), Some("idle"));
    assert_eq!(payload(&states, "offhook/k/messages"), Some("0"));
    assert_eq!(payload(&states, "offhook/k/ringer_volume"), Some("0"));
    assert!(
        mqtt.observe(REST, &[], FarEnd::default()).is_empty(),
        "each change once"
    );
    // What changed meanwhile is not lost: all of it is sent to a new connection.
    assert!(mqtt.on_disconnected("gone"));
    assert!(!mqtt.on_disconnected("gone"), "said once");
    assert_eq!(mqtt.status().error.as_deref(), Some("gone"));
    assert_eq!(mqtt.on_connected(), discovery);
    assert_eq!(mqtt.observe(REST, &[], FarEnd::default()), states);
    assert_eq!(mqtt.status().error, None);
}

#[test]
fn a_call_is_states_and_events_and_its_caller_only_where_allowed() {
    let rings = Situation {
        state: State::Ringing,
        ..REST
    };
    for (toml, allowed) in [("", false), ("callers = true\n", true)] {
        let mut mqtt = mqtt(toml);
        mqtt.on_connected();
        mqtt.observe(REST, &[], FarEnd::default());
        let sent = mqtt.observe(rings, &[Moment::Ringing], ANNA);
        assert_eq!(payload(&sent, "offhook/k/ringing"), Some("ON"));
        assert_eq!(
            payload(&sent, "offhook/k/in_use"),
            None,
            "it lies and rings"
        );
        let all: String = sent.iter().map(|one| one.payload.as_str()).collect();
        assert_eq!(all.contains("Anna") && all.contains("0301"), allowed);
        assert_eq!(all.contains("Anna") || all.contains("0301"), allowed);
        let event = sent
            .iter()
            .find(|one| one.topic == "offhook/k/event")
            .unwrap();
        assert!(!event.retain);
        let event: Value = serde_json::from_str(&event.payload).unwrap();
        assert_eq!(event["event_type"], "ringing");
        assert_eq!(event.get("caller").is_some(), allowed);
        // The call is over: the broker keeps no caller.
        let sent = mqtt.observe(REST, &[Moment::HungUp], FarEnd::default());
        assert_eq!(payload(&sent, "offhook/k/caller"), allowed.then_some(""));
    }
}

#[test]
fn a_far_end_writes_no_payload_of_its_own() {
    let mut mqtt = mqtt("callers = true\n");
    mqtt.on_connected();
    let long = "x".repeat(4000);
    let evil = FarEnd {
        number: "\",\"event_type\":\"missed",
        name: &long,
    };
    let sent = mqtt.observe(REST, &[Moment::Ringing], evil);
    let event: Value = serde_json::from_str(payload(&sent, "offhook/k/event").unwrap()).unwrap();
    assert_eq!(event["event_type"], "ringing");
    assert!(payload(&sent, "offhook/k/caller").unwrap().len() <= 512);
}

#[test]
fn discovery_shows_what_may_be_ordered_and_removes_the_rest() {
    let kind = |toml: &str, entity: &str| {
        let end = format!("/offhook_k/{entity}/config");
        let all = mqtt(toml).on_connected();
        let shown = all.iter().filter(|one| one.topic.ends_with(&end));
        let mut shown = shown.filter(|one| !one.payload.is_empty());
        let found = shown.next().map(|one| {
            let component = one.topic.split('/').nth(1).unwrap_or_default().to_owned();
            let payload: Value = serde_json::from_str(&one.payload).unwrap();
            (component, payload)
        });
        assert!(shown.next().is_none(), "{entity} is shown twice");
        found
    };
    let (component, ringing) = kind("", "ringing").unwrap();
    assert_eq!(component, "binary_sensor");
    assert_eq!(ringing["state_topic"], "offhook/k/ringing");
    assert_eq!(ringing["availability_topic"], "offhook/k/availability");
    assert_eq!(ringing["unique_id"], "offhook_k_ringing");
    assert_eq!(ringing["device"]["name"], "Kitchen");
    assert!(ringing.get("command_topic").is_none());

    let (component, dnd) = kind("", "dnd").unwrap();
    assert_eq!(component, "binary_sensor");
    assert!(dnd.get("command_topic").is_none());
    let (component, dnd) = kind("orders = [\"dnd\"]\n", "dnd").unwrap();
    assert_eq!(component, "switch");
    assert_eq!(dnd["command_topic"], "offhook/k/dnd/set");

    let (component, volume) = kind("orders = [\"volume\"]\n", "ringer_volume").unwrap();
    assert_eq!(component, "number");
    assert_eq!(
        (&volume["min"], &volume["max"]),
        (&(-30).into(), &12.into())
    );
    assert!(kind("", "ring").is_none() && kind("", "dial").is_none());
    assert_eq!(kind("orders = [\"ring\"]\n", "ring").unwrap().0, "button");
    assert_eq!(kind("orders = [\"dial\"]\n", "dial").unwrap().0, "text");
    assert!(kind("", "caller").is_none());
    assert_eq!(kind("callers = true\n", "caller").unwrap().0, "sensor");
    let (component, event) = kind("", "event").unwrap();
    assert_eq!(component, "event");
    assert_eq!(event["event_types"][0], "ringing");
    assert!(mqtt("discovery = false\n").on_connected().is_empty());
}

#[test]
fn an_order_is_taken_where_it_is_listed_and_understood() {
    let now = crate::test_origin();
    let take =
        |toml: &str, topic: &str, payload: &[u8]| mqtt(toml).order(topic, payload, false, now);
    let all = "orders = [\"ring\", \"dial\", \"dnd\", \"volume\"]\n";
    let table: [(&str, &[u8], MqttCommand); 7] = [
        ("ring", b"PRESS", MqttCommand::Ring),
        ("dnd", b"ON", MqttCommand::Dnd(true)),
        ("dnd", b"OFF", MqttCommand::Dnd(false)),
        (
            "dial",
            b"+49 30 12-34",
            MqttCommand::Dial("+49301234".to_owned()),
        ),
        (
            "ringer_volume",
            b"-12",
            MqttCommand::Volume(VolumeOf::Ringer, -12),
        ),
        (
            "earpiece_volume",
            b"3.0",
            MqttCommand::Volume(VolumeOf::Earpiece, 3),
        ),
        (
            "speaker_volume",
            b"12",
            MqttCommand::Volume(VolumeOf::Speaker, 12),
        ),
    ];
    for (entity, payload, order) in table {
        let topic = format!("offhook/k/{entity}/set");
        let kind = order.kind();
        assert_eq!(take(all, &topic, payload), Ok(order.clone()), "{topic}");
        assert_eq!(take("", &topic, payload), Err(OrderError::NotListed(kind)));
        let listed = format!("orders = [\"{}\"]\n", kind.as_str());
        assert_eq!(take(&listed, &topic, payload), Ok(order), "{topic}");
        let kept = mqtt(all).order(&topic, payload, true, now);
        assert_eq!(kept, Err(OrderError::Retained), "{topic}");
    }
    for topic in [
        "offhook/k/muted/set",
        "offhook/k/microphone_volume/set",
        "offhook/k/state/set",
        "offhook/kk/dnd/set",
        "offhook/k/dnd/set/set",
        "offhook/k/dnd",
        "/set",
        "",
        "homeassistant/status",
    ] {
        assert_eq!(take(all, topic, b"ON"), Err(OrderError::Unknown), "{topic}");
    }
    let wrong: [(&str, &[u8]); 9] = [
        ("ring", b""),
        ("ring", b"press now"),
        ("dnd", b"on"),
        ("dnd", b"\xff\xfe"),
        ("ringer_volume", b"13"),
        ("ringer_volume", b"-31"),
        ("ringer_volume", b"NaN"),
        ("ringer_volume", b"loud"),
        ("dial", &[b'1'; 65]),
    ];
    for (entity, payload) in wrong {
        let topic = format!("offhook/k/{entity}/set");
        let refused = take(all, &topic, payload);
        assert!(
            matches!(refused, Err(OrderError::Payload(..) | OrderError::Volume)),
            "{topic} {payload:?}"
        );
    }
}

#[test]
fn a_flood_of_orders_is_cut_and_ends() {
    let mut mqtt = mqtt("orders = [\"dnd\"]\n");
    let mut now = crate::test_origin();
    let mut order = |now| mqtt.order("offhook/k/dnd/set", b"ON", false, now);
    let first = (0..1000).map(|_| order(now)).collect::<Vec<_>>();
    assert_eq!(first.iter().filter(|order| order.is_ok()).count(), 10);
    let said = Err(OrderError::TooMany { first: true });
    assert_eq!(first.iter().filter(|order| **order == said).count(), 1);
    // In an hour of a flood: two a second.
    let mut taken = 0;
    for _ in 0..3600 * 20 {
        now += Duration::from_millis(50);
        taken += u32::from(order(now).is_ok());
    }
    assert!((7190..=7220).contains(&taken), "{taken}");
    now += Duration::from_secs(5);
    assert!(
        (0..10).all(|_| order(now).is_ok()),
        "a rest later all is as before"
    );
}
