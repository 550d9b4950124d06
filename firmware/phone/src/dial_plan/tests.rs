//! What keys become: emergency numbers, star codes, service codes, numbers, bars.

use super::*;

fn plan(toml: &str) -> DialPlan {
    DialPlan::new(&config::load(toml, "test").unwrap_or_else(|errors| panic!("{errors}")))
}

fn dial(number: &str) -> Decision {
    Decision::Dial(Dialled::Number(number.to_owned()))
}

#[test]
fn every_emergency_number_passes_any_digit_map() {
    let mut tried = 0;
    for country in config::country::PLANS {
        for map in [
            "x",
            "xx",
            "1!",
            "x.!",
            "xxxxxxxxxx",
            "#",
            "[2-8]xx",
            "9,xxx",
            "<1:2>x.T",
            "0T|9!",
        ] {
            let plan = plan(&format!(
                "[phone]\ncountry = \"{}\"\n[dial]\ndigit_map = \"{map}\"\n[dial.speed]\n\
                 9 = \"101\"\n1 = \"102\"",
                country.country.as_str()
            ));
            for number in country.emergency {
                for keyed in 1..number.len() {
                    let decision = plan.decide(&number[..keyed]);
                    assert!(
                        matches!(decision, Decision::Wait { .. }),
                        "{} {number} {map}: {decision:?} after {keyed} keys",
                        country.country.as_str()
                    );
                }
                assert_eq!(
                    plan.decide(number),
                    dial(number),
                    "{} {map}",
                    country.country.as_str()
                );
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[test]
fn emergency_numbers_of_the_configuration_count_too() {
    let plan = plan("[dial]\ndigit_map = \"x\"\nemergency = [\"55\"]");
    assert!(matches!(plan.decide("5"), Decision::Wait { .. }));
    assert_eq!(plan.decide("55"), dial("55"));
    assert_eq!(plan.decide("4"), dial("4"));
}

#[test]
fn unambiguous_speed_dial_is_sent_at_once() {
    let plan = plan(
        "[dial]\ndigit_map = \"[2-8]xx\"\n[dial.speed]\n1 = \"sip:a@b\"\n2 = \"0815\"\n55 = \"1\"\n\
         558 = \"2\"",
    );
    assert_eq!(plan.decide("1"), dial("sip:a@b"));
    let Decision::Wait {
        timer: Timer::Short,
        dialled,
        ..
    } = plan.decide("2")
    else {
        panic!()
    };
    assert_eq!(dialled, Some(Dialled::Number("0815".to_owned())));
    assert_eq!(plan.send_now("2"), dial("0815"));
    assert_eq!(plan.decide("234"), dial("234"));
    let Decision::Wait { dialled, .. } = plan.decide("55") else {
        panic!()
    };
    assert_eq!(dialled, Some(Dialled::Number("1".to_owned())));
    assert_eq!(plan.decide("558"), dial("2"));
}

fn code(code: StarCode, number: &str) -> Dialled {
    Dialled::Code(code, number.to_owned())
}

#[test]
fn star_codes_do_not_wait_for_the_digit_map() {
    let standard = plan("");
    let bundle = Decision::Dial(code(StarCode::Bundle, ""));
    assert_eq!(standard.decide("*94#"), bundle);
    assert!(
        matches!(standard.decide("*99"), Decision::Wait { .. }),
        "the reset is longer"
    );
    let reset = Decision::Dial(code(StarCode::FactoryReset, ""));
    assert_eq!(standard.decide("*99*7378#"), reset);
    assert!(standard.accepts("*96#"), "here # is a digit");
    let own = plan("[dial]\ndigit_map = \"[2-8]xx\"\n[codes]\nbundle = \"\"\nreboot = \"55\"");
    assert!(matches!(own.decide("*94#"), Decision::Refuse(_)));
    assert_eq!(own.decide("55"), Decision::Dial(code(StarCode::Reboot, "")));
    // An emergency number stays one.
    let plan = plan("[phone]\ncountry = \"de\"\n[codes]\nreboot = \"112\"");
    assert_eq!(plan.decide("112"), dial("112"));
}

#[test]
fn a_number_follows_a_star_code_by_the_digit_map() {
    let plan = plan("[phone]\ncountry = \"de\"\n[dial]\ndigit_map = \"[2-8]xx|0x.T|0900x.!\"");
    let forward = |number: &str| code(StarCode::ForwardAlways, number);
    assert!(matches!(
        plan.decide("*72"),
        Decision::Wait {
            timer: Timer::Long,
            dialled: None,
            second_dial_tone: true
        }
    ));
    assert_eq!(plan.decide("*72201"), Decision::Dial(forward("201")));
    let Decision::Wait { dialled, .. } = plan.decide("*720301") else {
        panic!("more digits may follow")
    };
    assert_eq!(dialled, Some(forward("0301")));
    assert!(!plan.accepts("*720301#"), "here # sends");
    assert_eq!(plan.send_now("*720301"), Decision::Dial(forward("0301")));
    assert!(matches!(plan.send_now("*720900"), Decision::Refuse(_)));
    let slot = code(StarCode::SpeedDialSet, "3201");
    assert_eq!(plan.decide("*743201"), Decision::Dial(slot));
    // Withheld or not, an emergency call goes out.
    let emergency = code(StarCode::AnonymousOnce, "112");
    assert_eq!(plan.decide("*87112"), Decision::Dial(emergency));
    assert_eq!(plan.decide("#31#112"), dial("112"));
}

#[test]
fn service_codes_are_dialled_whole() {
    let mut tried = 0;
    for country in Country::ALL {
        for map in ["", "digit_map = \"[2-9]xx\""] {
            let code = country.as_str();
            let plan = plan(&format!("[phone]\ncountry = \"{code}\"\n[dial]\n{map}"));
            if config::country::service_codes(*country).is_none() {
                continue;
            }
            for keys in [
                "#21#",
                "*21*0301234#",
                "*#06#",
                "*100#",
                "**61*0301234*11*20#",
                "*43#",
            ] {
                for end in 1..keys.len() {
                    let begun = &keys[..end];
                    let goes_on = matches!(plan.decide(begun), Decision::Wait { .. });
                    assert!(
                        goes_on && plan.accepts(&keys[..=end]),
                        "{country:?} {begun}"
                    );
                }
                assert_eq!(plan.decide(keys), dial(keys), "{country:?}");
                tried += 1;
            }
            let keys = "*31#0301234";
            let Decision::Wait { dialled, .. } = plan.decide(keys) else {
                panic!("{country:?}: more digits may follow")
            };
            assert_eq!(dialled, Some(Dialled::Number(keys.to_owned())));
            assert_eq!(plan.send_now(keys), dial(keys));
        }
    }
    assert!(tried > 300, "{tried}");
}

/// Codes before a number, of the country's networks: whatever the number is, they change neither
/// when it goes nor whether it may.
#[test]
fn a_number_after_a_code_for_the_callers_identity_counts_as_without() {
    for (country, codes, number) in [
        ("us", &["*67", "*82", "1167", "1182"][..], "2125550100"),
        ("jp", &["184", "186"][..], "09012345678"),
        ("au", &["1831", "1832", "#31#", "*31#"][..], "0298765432"),
        ("uk", &["141", "1470", "*31#"][..], "02079460000"),
        ("fr", &["3651", "#31#"][..], "0123456789"),
        ("es", &["067", "*31#"][..], "912345678"),
        ("nl", &["*31*", "*31#"][..], "0201234567"),
        ("dk", &["*31*"][..], "32345678"),
        ("no", &["*31*"][..], "22345678"),
        ("de", &["*31#", "#31#"][..], ""),
        ("it", &["*67#", "*31#"][..], ""),
        ("nz", &["0197", "0196"][..], ""),
    ] {
        let standard = plan(&format!("[phone]\ncountry = \"{country}\""));
        let emergency = &standard.emergency[0];
        let barred = plan(&format!(
            "[phone]\ncountry = \"{country}\"\n[dial]\ndigit_map = \"x.T|*[x*].T|0900x.!\""
        ));
        for code in codes {
            let keyed = format!("{code}{number}");
            if !number.is_empty() {
                let shorter = standard.decide(&keyed[..keyed.len() - 1]);
                assert!(
                    matches!(shorter, Decision::Wait { .. }),
                    "{keyed}: {shorter:?}"
                );
                let decided = standard.decide(&keyed);
                // The phone's own code for the same thing does it itself.
                let by_code = Decision::Dial(code_of(&standard, &keyed, number));
                assert!(
                    decided == dial(&keyed) || decided == by_code,
                    "{country} {keyed}: {decided:?}"
                );
            }
            // An emergency call is made as one, whatever was dialled before its number by habit.
            let keyed = format!("{code}{emergency}");
            for end in code.len() + 1..keyed.len() {
                let begun = standard.decide(&keyed[..end]);
                assert!(matches!(begun, Decision::Wait { .. }), "{keyed}: {begun:?}");
            }
            assert_eq!(standard.decide(&keyed), dial(emergency), "{country} {code}");
            // What is barred is barred after it, too.
            let keyed = format!("{code}0900123");
            assert!(barred.bars(&keyed).is_some(), "{country} {keyed}");
            assert!(
                matches!(barred.decide(&keyed), Decision::Refuse(_)),
                "{country} {keyed}"
            );
        }
    }
}

/// What the phone's own star code makes of these keys; the number itself where it has none.
fn code_of(plan: &DialPlan, keyed: &str, number: &str) -> Dialled {
    match plan.star_code(keyed) {
        Some((code, _)) => Dialled::Code(code, number.to_owned()),
        None => Dialled::Number(number.to_owned()),
    }
}

#[test]
fn an_emergency_call_goes_at_once_with_a_digit_for_an_outside_line() {
    let account = |prefix: &str, map: &str| {
        format!(
            "[[account]]\nuser = \"1\"\ndomain = \"a\"\n[[account]]\nuser = \"2\"\n\
             domain = \"b\"\nprefix = \"{prefix}\"\ndigit_map = \"{map}\"\n"
        )
    };
    for (country, dialling, keyed, emergency) in [
        (
            "us",
            "[dial]\ndigit_map = \"[2-8]xx|<9:>x.T\"".to_owned(),
            "9911",
            "911",
        ),
        (
            "us",
            "[dial]\ndigit_map = \"[2-8]xx|<9:>,x.T\"".to_owned(),
            "9911",
            "911",
        ),
        (
            "de",
            "[dial]\ndigit_map = \"[2-8]xx|<0:>x.T\"".to_owned(),
            "0112",
            "112",
        ),
        ("us", account("9", "x.T"), "9911", "911"),
        ("us", account("9", "[2-8]xx"), "9911", "911"),
        ("uk", account("#1", "x.T"), "#1999", "999"),
        ("uk", account("0", "x.T"), "1410999", "999"),
    ] {
        let plan = plan(&format!("[phone]\ncountry = \"{country}\"\n{dialling}"));
        for end in 1..keyed.len() {
            let begun = plan.decide(&keyed[..end]);
            assert!(
                matches!(begun, Decision::Wait { .. }),
                "{keyed}: {begun:?} after {end}"
            );
        }
        assert_eq!(plan.decide(keyed), dial(emergency), "{country} {dialling}");
        assert!(plan.bars_request(keyed).is_some(), "{keyed} by request");
    }
}

/// Service codes as they are printed in the manuals of networks and PBXs: each reaches the server
/// as it was keyed, and never another number.
#[test]
fn service_codes_of_many_networks_are_never_another_number() {
    let country = |code: &str| plan(&format!("[phone]\ncountry = \"{code}\""));
    for code in ["de", "uk", "fr", "it", "se", "au", "za", "in", "pl"] {
        let plan = country(code);
        for keys in [
            "*#06#",
            "**21*0301234#",
            "*21*0301234#",
            "*21#",
            "#21#",
            "##21#",
            "*#21#",
            "##002#",
            "**004*0301234#",
            "##004#",
            "*#61#",
            "**61*0301234**25#",
            "**62*0301234*11#",
            "**67*0301234#",
            "*#67#",
            "*43#",
            "#43#",
            "*#43#",
            "*#31#",
            "*#30#",
            "*#76#",
            "*33*1234#",
            "#33*1234#",
            "*35*0000#",
            "*#331#",
            "*330*1234#",
            "*03*330*1234*5678*5678#",
            "**03*330*1234*5678*5678#",
            "*100#",
            "*101#",
            "*#100#",
            "*123*4#",
            "#100#",
            "*111*1#",
        ] {
            for end in 1..keys.len() {
                let begun = plan.decide(&keys[..end]);
                assert!(
                    matches!(begun, Decision::Wait { .. }),
                    "{code} {keys}: {begun:?}"
                );
                assert!(plan.accepts(&keys[..=end]), "{code} {keys} at {end}");
            }
            let decided = plan.decide(keys);
            let at_once = decided == dial(keys);
            // The beginning of a longer code waits, and is whole then.
            let waits = matches!(&decided, Decision::Wait { timer: Timer::Short, dialled, .. }
                if *dialled == Some(Dialled::Number(keys.to_owned())));
            assert!(at_once || waits, "{code} {keys}: {decided:?}");
        }
    }
    // Star codes of PBXs that the phone has none of its own for: whole, by the timer or `#`.
    for code in ["de", "us", "jp"] {
        let plan = country(code);
        for keys in ["*8", "*20", "*97", "*98", "*600", "*1234", "*21*0301234"] {
            let decided = plan.send_now(keys);
            assert_eq!(decided, dial(keys), "{code} {keys}");
        }
    }
}

#[test]
fn numbers_of_known_length_go_at_once() {
    for (country, number) in [
        ("us", "2125550100"),
        ("us", "12125550100"),
        ("fr", "0123456789"),
        ("es", "912345678"),
        ("dk", "32345678"),
        ("jp", "09012345678"),
        ("uk", "02079460000"),
        ("ch", "0441234567"),
    ] {
        let plan = plan(&format!("[phone]\ncountry = \"{country}\""));
        let shorter = plan.decide(&number[..number.len() - 1]);
        assert!(
            matches!(shorter, Decision::Wait { .. }),
            "{country} {shorter:?}"
        );
        assert_eq!(plan.decide(number), dial(number), "{country}");
    }
    // An extension of a PBX is sent by the timer; so is a number of a plan without fixed lengths.
    for (country, number) in [
        ("us", "201"),
        ("dk", "20"),
        ("de", "0301234567"),
        ("fr", "0033123456789"),
    ] {
        let plan = plan(&format!("[phone]\ncountry = \"{country}\""));
        let Decision::Wait {
            timer: Timer::Short,
            dialled,
            ..
        } = plan.decide(number)
        else {
            panic!("{country} {number}: {:?}", plan.decide(number))
        };
        assert_eq!(
            dialled,
            Some(Dialled::Number(number.to_owned())),
            "{country}"
        );
    }
}

#[test]
fn a_bar_holds_however_a_number_is_written() {
    let plan = plan("[dial]\ndigit_map = \"x.T|1900x.!|0044x.!\"");
    for number in [
        "1900555",
        "sip:1900555@pbx",
        "tel:+1900-555",
        "sip:%31900555@x;user=phone",
        "1-900-555",
        "+44123",
        "SIPS:+44123@pbx",
        "tel:1900555;phone-context=+1",
    ] {
        assert!(plan.bars(number).is_some(), "{number}");
    }
    for number in ["1800555", "sip:anna@pbx", "+49301234", "911"] {
        assert!(plan.bars(number).is_none(), "{number}");
    }
    assert!(plan.bars_request("sip:911@pbx").is_some(), "by hand only");
}

/// A bar of a national number holds for its international form, and the other way round.
#[test]
fn a_bar_holds_in_the_national_and_the_international_form() {
    for (country, map, barred, free) in [
        (
            "de",
            "0900x.!|x.T",
            [
                "+49900555",
                "sip:+49900555@pbx",
                "0049900555",
                "tel:+49-900-555",
            ],
            ["+4930900", "0930900", "0043900555", "900"],
        ),
        (
            "de",
            "0049900x.!|x.T",
            ["0900555", "+49900555", "sip:0900555@pbx", "0049900555"],
            ["0301234", "900555", "+43900555", "49"],
        ),
        (
            "us",
            "1900x.!|x.T",
            [
                "+19005551234",
                "9005551234",
                "01119005551234",
                "19005551234",
            ],
            ["8005551234", "900555", "+49900555", "+1800"],
        ),
        (
            "es",
            "803x.!|x.T",
            [
                "+34803555666",
                "0034803555666",
                "803555666",
                "sip:+34803555666@pbx",
            ],
            ["+33803555666", "0033803555666", "203", "+34913555666"],
        ),
        (
            "au",
            "1900x.!|x.T",
            [
                "1900555666",
                "sip:1900555666@pbx",
                "tel:1900555666",
                "1-900-555666",
            ],
            ["0011440055", "+611800555", "1800", "0299990000"],
        ),
    ] {
        let text = format!("[phone]\ncountry = \"{country}\"\n[dial]\ndigit_map = \"{map}\"");
        let plan = plan(&text);
        for number in barred {
            assert!(plan.bars(number).is_some(), "{country} {map}: {number}");
        }
        for number in free {
            assert!(plan.bars(number).is_none(), "{country} {map}: {number}");
        }
    }
}

#[test]
fn what_fits_nothing_is_refused_with_a_reason() {
    let plan = plan("[dial]\ndigit_map = \"[2-8]xx|1900x.!\"");
    assert_eq!(
        plan.decide("0"),
        Decision::Refuse(DialError::Unknown("0".to_owned()))
    );
    assert_eq!(plan.decide("19001"), Decision::Refuse(barred("19001")));
    assert_eq!(plan.send_now("23"), dial("23"));
}
