//! SIPp's stock scenarios: its caller (`-sn uac`) and its callee (`-sn uas`), with its RTP echo.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::desk::{Desk, Setup};
use crate::place::{Place, Running, ports};
use crate::sound::{Speaker, assert_heard, speech};

fn sipp(dir: &Path, port: u16, arguments: &[&str]) -> Running {
    let mut command = Command::new("sipp");
    command
        .args([
            "-i",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-mp",
            &(port + 10).to_string(),
            "-timeout",
            "30s",
            "-trace_err",
            "-nostdin",
        ])
        .args(arguments)
        .current_dir(dir);
    Running::start(&mut command, &dir.join("sipp.log"))
}

#[test]
fn stock_uac_calls_an_answering_phone() {
    let place = Place::new("sipp-uac");
    let desk = Desk::start(
        &place,
        "desk",
        Setup {
            auto_answer: true,
            ..Setup::default()
        },
    );
    let mut sipp = sipp(
        place.path(),
        ports(),
        &[
            "-sn",
            "uac",
            "-m",
            "5",
            "-l",
            "1",
            "-d",
            "300",
            "-s",
            "phone",
            &format!("127.0.0.1:{}", desk.sip_port),
        ],
    );
    let code = sipp.wait(Duration::from_secs(30));
    assert_eq!(code, Some(0), "{}", std::fs::read_to_string(place.join("sipp.log")).unwrap());
    desk.wait("no call left", Duration::from_secs(5), |status| {
        status["calls"].as_array().is_some_and(Vec::is_empty)
    });
    desk.assert_usable();
}

#[test]
fn stock_uas_is_called_and_echoes_our_speech() {
    let place = Place::new("sipp-uas");
    let alice = speech(&place, Speaker::Alice, 8000, 1);
    let port = ports();
    // SIPp echoes only to its own media port, which its stock answer names.
    let mut sipp = sipp(place.path(), port, &["-sn", "uas", "-rtp_echo", "-m", "1"]);
    let desk = Desk::start(
        &place,
        "desk",
        Setup {
            microphone: Some(alice.clone()),
            speed: vec![("1".into(), format!("sip:service@127.0.0.1:{port}"))],
            ..Setup::default()
        },
    );
    std::thread::sleep(Duration::from_millis(500));
    desk.call("1#");
    std::thread::sleep(Duration::from_secs(5));
    let ear = desk.ear_now();
    desk.hang_up();
    assert_eq!(
        sipp.wait(Duration::from_secs(10)),
        Some(0),
        "SIPp saw INVITE, ACK and BYE: {}",
        std::fs::read_to_string(place.join("sipp.log")).unwrap()
    );
    desk.wait_state("idle");
    assert_heard(&place, "our speech, echoed", &alice, &ear);
    desk.assert_usable();
}
