//! Troubleshooting by symptom: what the guide's page says a command shows, it shows.
//!
//! ```text
//! symptom made on purpose ─▶ offhook ctl … of the page ─▶ the figure or word that the page names
//! ```

use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use offhook_tests::desk_phone::{DeskPhone, Setup, binary};
use testkit::process::TestDir;

use crate::first_hour::until;

/// What `offhook ctl VERB` prints about this phone.
fn ctl(phone: &DeskPhone, verb: &str) -> Value {
    let mut command = Command::new(binary());
    command.arg("ctl").arg("--socket").arg(phone.socket());
    let done = command.arg(verb).output().unwrap();
    serde_json::from_slice(&done.stdout).unwrap()
}

/// A figure by its name, wherever in the answer it stands.
fn figure(answer: &Value, name: &str) -> Option<f64> {
    match answer {
        Value::Object(fields) => match fields.get(name) {
            Some(Value::Number(number)) => number.as_f64(),
            _ => fields.values().find_map(|value| figure(value, name)),
        },
        Value::Array(list) => list.iter().find_map(|value| figure(value, name)),
        _ => None,
    }
}

#[test]
fn the_counters_of_a_call_show_which_way_has_no_sound() {
    let dir = TestDir::new("symptom-one-way");
    let far = DeskPhone::start(
        &dir,
        "far",
        Setup {
            auto_answer: true,
            ..Setup::default()
        },
    );
    let near = DeskPhone::start(
        &dir,
        "near",
        Setup {
            speed: vec![("1".into(), format!("sip:far@127.0.0.1:{}", far.sip_port))],
            ..Setup::default()
        },
    );
    near.call("1#");
    let stats = || ctl(&near, "stats");
    // Without a figure the page sends its reader to nothing.
    let count = |name: &str| {
        let stats = stats();
        figure(&stats, name).unwrap_or_else(|| panic!("no {name} in {stats}"))
    };
    until("sound both ways", Duration::from_secs(8), || {
        figure(&stats(), "received").unwrap_or(0.0) > 50.0 && count("sent") > 50.0
    });
    for name in ["lost", "late", "concealed"] {
        count(name);
    }
    assert!(figure(&ctl(&near, "status"), "xruns").is_some());
    // The far end falls silent: nothing arrives, and what leaves goes on.
    std::thread::scope(|scope| {
        let stalled = scope.spawn(|| far.stall(Duration::from_secs(3)));
        std::thread::sleep(Duration::from_secs(1));
        let (received, sent) = (count("received"), count("sent"));
        std::thread::sleep(Duration::from_secs(1));
        let (arrived, left) = (count("received") - received, count("sent") - sent);
        println!("in a second {arrived} packets arrived and {left} left");
        assert!(arrived == 0.0 && left > 25.0, "{arrived} {left}");
        stalled.join().unwrap();
    });
    near.hang_up();
}

#[test]
fn the_hook_in_the_status_changes_with_the_hook() {
    let dir = TestDir::new("symptom-hook");
    let phone = DeskPhone::start(&dir, "phone", Setup::default());
    assert_eq!(ctl(&phone, "status")["hook"], "on");
    phone.lift();
    phone.wait_state("dial_tone");
    assert_eq!(ctl(&phone, "status")["hook"], "off");
    phone.hang_up();
    phone.wait_state("idle");
    assert_eq!(ctl(&phone, "status")["hook"], "on");
}
