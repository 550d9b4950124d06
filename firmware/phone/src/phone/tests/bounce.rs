//! A contact that bounces for up to 300 ms after lifting: never a flash, never a call lost.

use proptest::prelude::*;

use super::*;

/// A debouncer of 20 ms lets everything pass that lasts longer.
const SHORTEST_MS: u64 = 20;
/// Longest bounce.
const LONGEST_MS: u64 = 300;

/// How long the contact is closed, open, closed …, after the first closing.
fn bounces() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(SHORTEST_MS..120, 2..12).prop_map(|lengths| {
        let mut all = 0;
        let mut kept: Vec<u64> = lengths
            .into_iter()
            .take_while(|length| {
                all += length;
                all <= LONGEST_MS
            })
            .collect();
        // It ends closed: closed, open, closed, open, closed …
        kept.truncate(kept.len() / 2 * 2);
        kept
    })
}

fn lift_bouncing(desk: &mut Desk, lengths: &[u64]) -> Vec<Output> {
    let mut said = Vec::new();
    let mut off_hook = true;
    desk.does(Input::Hook(true));
    said.append(&mut desk.said.clone());
    for length in lengths {
        desk.waits_ms(*length);
        said.append(&mut desk.said.clone());
        off_hook = !off_hook;
        desk.does(Input::Hook(off_hook));
        said.append(&mut desk.said.clone());
    }
    desk.waits_ms(2000);
    said.append(&mut desk.said.clone());
    said
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None,
        ..ProptestConfig::default() })]

    #[test]
    fn a_lift_that_answers_is_never_a_flash(
        country in prop::sample::select(Country::ALL.to_vec()),
        flash in prop::sample::select(vec!["hook", "key", "network", "off"]),
        lengths in bounces(),
    ) {
        let country = country.as_str();
        let toml = format!("[phone]\ncountry = \"{country}\"\n[call]\nflash = \"{flash}\"\n");
        let mut desk = Desk::new(&toml);
        let call = desk.rings("anna");
        let said = lift_bouncing(&mut desk, &lengths);
        prop_assert_eq!(desk.state(), State::Talking);
        prop_assert_eq!(&desk.connected, &vec![call]);
        let wrong = said.iter().any(|output| matches!(output,
            Output::Hold(..) | Output::End(_) | Output::FlashToNetwork(_)));
        prop_assert!(!wrong, "{said:?}");
    }

    #[test]
    fn a_lift_that_calls_the_hotline_calls_it_once(lengths in bounces()) {
        let mut desk = Desk::ready("[dial]\nhotline = \"200\"\n");
        let said = lift_bouncing(&mut desk, &lengths);
        let placed = said.iter().filter(|output| matches!(output, Output::PlaceCall { .. }));
        prop_assert_eq!(placed.count(), 1);
    }
}

#[test]
fn a_handset_put_down_right_after_answering_ends_the_call() {
    for flash in ["hook", "key", "off"] {
        let mut desk = Desk::new(&format!("[call]\nflash = \"{flash}\"\n"));
        desk.rings("anna");
        desk.does(Input::Hook(true));
        desk.waits_ms(500);
        desk.does(Input::Hook(false));
        assert!(desk.connected.is_empty(), "silent at once");
        desk.waits_ms(2000);
        desk.rests();
    }
}
