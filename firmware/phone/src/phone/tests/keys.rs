//! Keys beside the keypad: accounts, volumes, the redial list, the door.

use types::FunctionKey;

use super::*;

const TWO_ACCOUNTS: &str = "[phone]\ncountry = \"de\"\n[dial]\ndigit_map = \"[1-8]xx\"\n\
    [dial.feature_keys]\n1 = \"account:work\"\n2 = \"205\"\n3 = \"redial-list\"\n\
    [[account]]\nuser = \"101\"\ndomain = \"home\"\n\
    [[account]]\nuser = \"201\"\ndomain = \"work\"\nname = \"work\"\nprefix = \"9\"\n\
    digit_map = \"xx\"\nanonymous = true\n";

fn two_accounts() -> Desk {
    let mut desk = Desk::new(TWO_ACCOUNTS);
    for account in [0, 1] {
        desk.does(Input::AccountStatus {
            account: AccountId(account),
            usable: true,
        });
    }
    desk
}

fn feature(key: u8) -> Input {
    Input::Function(FunctionKey::Feature(key - 1))
}

#[test]
fn a_key_chooses_the_account_and_its_digit_map() {
    let mut desk = two_accounts();
    desk.does(feature(1));
    assert_eq!(desk.state(), State::DialTone);
    assert_eq!(desk.phone.lines.chosen(), Some(AccountId(1)));
    desk.presses("42");
    let (call, to) = desk.placed();
    assert_eq!(
        (to.address.as_str(), to.account),
        ("42", Some(AccountId(1)))
    );
    assert!(to.options.anonymous, "its number is withheld");
    assert_eq!(desk.phone.lines.chosen(), None);
    desk.ended(call, None);
    desk.does(Input::HangUp).rests();
    // The next number goes by the first account again, which shows its number.
    desk.lifts().presses("205");
    let (_, to) = desk.placed();
    assert_eq!(
        (to.account, to.options.anonymous),
        (Some(AccountId(0)), false)
    );
}

#[test]
fn a_prefix_leads_to_the_accounts_digit_map() {
    let mut desk = two_accounts();
    // The phone's own map has no number that begins with 9.
    desk.lifts().presses("942");
    let (_, to) = desk.placed();
    assert_eq!(
        (to.address.as_str(), to.account),
        ("42", Some(AccountId(1)))
    );
}

#[test]
fn an_emergency_number_goes_out_whatever_a_key_chose() {
    let mut desk = two_accounts();
    desk.does(feature(1));
    desk.presses("112");
    let (_, to) = desk.placed();
    assert!(to.emergency && !to.options.anonymous);
}

#[test]
fn a_muted_microphone_is_heard_by_the_emergency_service() {
    let mut desk = two_accounts();
    desk.lifts();
    desk.does(Input::Function(FunctionKey::Mute));
    assert!(desk.muted);
    desk.presses("112");
    assert!(!desk.muted);
}

#[test]
fn a_volume_is_kept_once_after_the_last_press() {
    let mut desk = two_accounts();
    desk.lifts();
    for _ in 0..3 {
        desk.does(Input::Function(FunctionKey::VolumeDown));
        let kept = |said: &Output| matches!(said, Output::Remember(_));
        assert!(!desk.said.iter().any(kept));
    }
    desk.waits_ms(3000);
    let kept = desk.said.iter().find_map(|said| match said {
        Output::Remember(features) => Some(features.volumes.earpiece_db),
        _other => None,
    });
    assert_eq!(kept, Some(-9));
}

#[test]
fn the_redial_list_steps_back_and_a_key_ends_it() {
    let mut desk = two_accounts();
    desk.phone
        .set_recent(["205", "206", "205"].map(str::to_owned), None);
    desk.lifts();
    for number in ["205", "206", "205"] {
        desk.does(feature(3));
        assert_eq!(desk.spoken, Some(Announcement::Number(number.to_owned())));
    }
    desk.waits_ms(8000);
    assert_eq!(desk.placed().1.address, "205");
}

#[test]
fn keys_in_a_call_open_the_door() {
    let toml = "[actions]\ndoor = \"http://h/\"\ndoor_code = \"*9\"\n";
    let mut desk = Desk::ready(toml);
    desk.rings("door");
    desk.lifts();
    let opened = |desk: &mut Desk, keys: &str| {
        desk.presses(keys);
        desk.said
            .iter()
            .filter(|said| **said == Output::OpenDoor)
            .count()
    };
    assert_eq!(opened(&mut desk, "9*8"), 0);
    assert_eq!(opened(&mut desk, "1**9"), 1);
    assert_eq!(opened(&mut desk, "9"), 0, "once");
}

#[test]
fn hands_free_the_phone_rests_by_itself_when_the_call_is_over() {
    let mut desk = two_accounts();
    let call = desk.rings("anna");
    desk.does(Input::Function(FunctionKey::HandsFree));
    assert_eq!(
        (desk.state(), &desk.connected),
        (State::Talking, &vec![call])
    );
    desk.ended(call, None);
    assert_eq!(desk.tone, Some(Tone::Congestion));
    desk.waits_ms(8000).rests();
    assert_eq!(desk.lamps.get(&Lamp::HandsFree), Some(&LampState::Off));
}

#[test]
fn a_flash_goes_to_the_network_once_the_call_is_connected_again() {
    let (mut desk, call) = Desk::talking("[call]\nflash = \"network\"\n");
    desk.waits_ms(2000).puts_down().waits_ms(200).lifts();
    let at = |wanted: &Output| desk.said.iter().position(|output| output == wanted);
    let connected = at(&Output::Connect(vec![call]));
    let flashed = at(&Output::FlashToNetwork(call));
    assert!(
        connected.is_some() && connected < flashed,
        "{:?}",
        desk.said
    );
    assert_eq!(desk.state(), State::Talking);
}
