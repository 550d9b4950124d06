//! A display that is not there, or does not work: reported, and the phone goes on.

use crate::machine::{Machine, until};

#[test]
fn a_missing_display_is_reported_and_the_phone_goes_on() {
    let machine = Machine::new("no-display");
    machine.hardware("[display]\ncontroller = \"ssd1306\"\ndevice = \"/nowhere/i2c-1\"\n");
    machine.card("");
    let phone = machine.start();
    let hardware = phone.ask(r#"{"cmd":"status"}"#)["hardware"].to_string();
    assert!(
        hardware.contains("[display] /nowhere/i2c-1: No such file or directory"),
        "{hardware}"
    );
    phone.ask(r#"{"cmd":"lift"}"#);
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["tone"], "dial");
    let refused = phone.ask(r#"{"cmd":"screen"}"#);
    assert!(
        refused["error"].to_string().contains("has no display"),
        "{refused}"
    );
}

#[test]
fn a_display_that_does_not_answer_is_reported_and_its_menu_works() {
    let machine = Machine::new("dumb-display");
    // A device that takes no address: what is written to a bus without a display fails alike.
    machine.hardware("[display]\ncontroller = \"sh1106\"\ndevice = \"/dev/null\"\n");
    machine.card("[phone]\nlanguage = \"en\"\n");
    let phone = machine.start();
    until("the fault in the status", || {
        let hardware = phone.ask(r#"{"cmd":"status"}"#)["hardware"].to_string();
        hardware.contains("[display] sh1106 at address 0x3c failed: ")
    });
    until("status.txt", || {
        machine.status_file().contains("[display] sh1106")
    });
    phone.ask(r#"{"cmd":"press","keys":"5"}"#);
    let screen = phone.ask(r#"{"cmd":"screen"}"#);
    assert_eq!(
        (screen["title"].as_str(), screen["brightness"].as_str()),
        (Some("Menu"), Some("full")),
        "{screen}"
    );
    assert_eq!(screen["lines"][0], "> Calls");
    phone.ask(r#"{"cmd":"lift"}"#);
    assert_eq!(phone.ask(r#"{"cmd":"status"}"#)["tone"], "dial");
    assert_eq!(phone.ask(r#"{"cmd":"screen"}"#)["lines"][0], "Dial");
}
