//! The plans themselves, by country code.
//!
//! Tones and ringing: ITU-T E.180 supplement 2 and national specifications. Where a network's
//! stutter or recall tone is not published the plan has what its exchanges are known to send. A
//! test compares every line with an independent table.
//!
//! Flash: `LONG` where a hook flash is national practice (TIA-464, 300 to 1000 ms); `MIDDLE` and
//! `SHORT` where the network's own recall is a timed break too short to be made by hand (ETSI ES
//! 201 970: 50 to 130 ms, Germany 170 to 310 ms): the lower end is the network's, the upper what a
//! hand on the hook can do.

use super::ToneKind::{
    Busy, CallWaiting, Confirmation, Congestion, Dial, RecallDial, Ringback, SpecialInformation,
    StutterDial,
};
use super::cadences::{
    RECALL_350_440, RECALL_400, RECALL_400_JP, RECALL_414_IL, RECALL_425, RECALL_425_CZ,
    RECALL_425_ES, RINGBACK_400_450, SIT, SIT_CN, SIT_CZ, SIT_GR, SIT_ID, SIT_JP, SIT_NZ, SIT_PL,
    SIT_SE, SIT_UK, STUTTER_350_440, STUTTER_400, STUTTER_400_25_IN, STUTTER_400_33_ZA,
    STUTTER_400_TH, STUTTER_414_IL, STUTTER_425, STUTTER_425_MX, STUTTER_425_SG, STUTTER_440_FR,
    WAITING_1400, WAITING_400_33_ZA, WAITING_400_NZ, WAITING_414_IL, WAITING_425, WAITING_425_DE,
    WAITING_425_DK, WAITING_425_FI, WAITING_425_IT, WAITING_425_MX,
};
use super::segment::{hum, hum_am, once, silence, tone, warble};
use super::{Country, CountryPlan};

const LONG: (u16, u16) = (300, 1000);
const MIDDLE: (u16, u16) = (170, 500);
const SHORT: (u16, u16) = (50, 400);

/// Every plan, by code.
pub const PLANS: &[CountryPlan] = &[
    CountryPlan {
        country: Country::At, ring_cadence_ms: &[1000, 5000], flash_window_ms: MIDDLE,
        emergency: &["112", "122", "133", "144"],
        tones: &[
            (Dial, &[hum(&[420])]), (StutterDial, &[hum(&[380, 420])]),
            (RecallDial, &[hum(&[420])]),
            (Ringback, &[tone(&[420], 1000), silence(5000)]),
            (Busy, &[tone(&[420], 400), silence(400)]),
            (Congestion, &[tone(&[420], 200), silence(200)]),
            (CallWaiting, &[tone(&[420], 40), silence(1960)]),
            (SpecialInformation, &[
                tone(&[950], 330), tone(&[1450], 330), tone(&[1850], 330), silence(1000),
            ]),
        ],
    },
    CountryPlan {
        country: Country::Au, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: SHORT,
        emergency: &["000", "112"],
        tones: &[
            (Dial, &[hum(&[413, 438])]), (StutterDial, &[tone(&[413, 438], 100), silence(40)]),
            (RecallDial, &[hum(&[413, 438])]),
            (Ringback, &[
                tone(&[413, 438], 400), silence(200), tone(&[413, 438], 400), silence(2000),
            ]),
            (Busy, &[tone(&[425], 375), silence(375)]),
            (Congestion, &[tone(&[425], 375), silence(375), tone(&[420], 375), silence(375)]),
            (CallWaiting, &[tone(&[425], 200), silence(200), tone(&[425], 200), silence(4400)]),
            (SpecialInformation, &[tone(&[425], 2500), silence(500)]),
        ],
    },
    CountryPlan {
        country: Country::Be, ring_cadence_ms: &[1000, 3000], flash_window_ms: SHORT,
        emergency: &["100", "101", "112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425], 1000), silence(250)]),
            (RecallDial, RECALL_350_440),
            (Ringback, &[tone(&[425], 1000), silence(3000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 167), silence(167)]),
            (CallWaiting, &[tone(&[1400], 175), silence(175), tone(&[1400], 175), silence(3500)]),
            (SpecialInformation, &[
                tone(&[900], 330), tone(&[1400], 330), tone(&[1800], 330), silence(1000),
            ]),
        ],
    },
    CountryPlan {
        country: Country::Bg, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425], 1500), silence(100)]),
            (RecallDial, RECALL_425),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 250), silence(250)]), (CallWaiting, WAITING_425),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Br, ring_cadence_ms: &[1000, 4000], flash_window_ms: LONG,
        emergency: &["190", "192", "193"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[hum(&[350, 440])]),
            (RecallDial, &[hum(&[350, 440])]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 250), silence(250)]),
            (Congestion, &[tone(&[425], 250), silence(250), tone(&[425], 750), silence(250)]),
            (CallWaiting, &[tone(&[425], 50), silence(1000)]),
            (SpecialInformation, &[tone(&[950], 330), tone(&[1400], 330), tone(&[1800], 330)]),
        ],
    },
    CountryPlan {
        country: Country::Ch, ring_cadence_ms: &[1000, 4000], flash_window_ms: MIDDLE,
        emergency: &["112", "117", "118", "144"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425, 340], 1100), silence(1100)]),
            (RecallDial, RECALL_425),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 200), silence(200)]),
            (CallWaiting, &[tone(&[425], 200), silence(200), tone(&[425], 200), silence(4000)]),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Cl, ring_cadence_ms: &[1000, 3000], flash_window_ms: LONG,
        emergency: &["131", "132", "133"],
        tones: &[
            (Dial, &[hum(&[400])]), (StutterDial, STUTTER_400), (RecallDial, RECALL_400),
            (Ringback, &[tone(&[400], 1000), silence(3000)]),
            (Busy, &[tone(&[400], 500), silence(500)]),
            (Congestion, &[tone(&[400], 200), silence(200)]),
            (CallWaiting, &[tone(&[400], 250), silence(8750)]),
            (SpecialInformation, &[
                tone(&[950], 333), tone(&[1400], 333), tone(&[1800], 333), silence(1000),
            ]),
        ],
    },
    CountryPlan {
        country: Country::Cn, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["110", "119", "120", "122"],
        tones: &[
            (Dial, &[hum(&[450])]), (StutterDial, &[hum(&[450, 425])]),
            (RecallDial, &[hum(&[450])]),
            (Ringback, &[tone(&[450], 1000), silence(4000)]),
            (Busy, &[tone(&[450], 350), silence(350)]),
            (Congestion, &[tone(&[450], 700), silence(700)]),
            (CallWaiting, &[tone(&[450], 400), silence(4000)]),
            (SpecialInformation, SIT_CN),
        ],
    },
    CountryPlan {
        country: Country::Cz, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "150", "155", "158"],
        tones: &[
            (Dial, &[tone(&[425], 330), silence(330), tone(&[425], 660), silence(660)]),
            (StutterDial, &[tone(&[425], 450), silence(50)]), (RecallDial, RECALL_425_CZ),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 330), silence(330)]),
            (Congestion, &[tone(&[425], 165), silence(165)]),
            (CallWaiting, &[tone(&[425], 330), silence(9000)]),
            (SpecialInformation, SIT_CZ),
        ],
    },
    CountryPlan {
        country: Country::De, ring_cadence_ms: &[1000, 4000], flash_window_ms: MIDDLE,
        emergency: &["110", "112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[hum(&[425, 400])]), (RecallDial, RECALL_425),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 480), silence(480)]),
            (Congestion, &[tone(&[425], 240), silence(240)]), (CallWaiting, WAITING_425_DE),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Dk, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425], 450), silence(50)]),
            (RecallDial, RECALL_425),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425_DK),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Ee, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (RecallDial, &[tone(&[425], 650), silence(25)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 300), silence(300)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_1400),
            (SpecialInformation, WAITING_1400),
        ],
    },
    CountryPlan {
        country: Country::Es, ring_cadence_ms: &[1500, 3000], flash_window_ms: SHORT,
        emergency: &["112", "061", "062", "080", "091"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425), (RecallDial, RECALL_425_ES),
            (Ringback, &[tone(&[425], 1500), silence(3000)]),
            (Busy, &[tone(&[425], 200), silence(200)]),
            (Congestion, &[
                tone(&[425], 200), silence(200), tone(&[425], 200), silence(200), tone(&[425], 200),
                silence(600),
            ]),
            (CallWaiting, &[tone(&[425], 175), silence(175), tone(&[425], 175), silence(3500)]),
            (SpecialInformation, &[tone(&[950], 330), silence(1000)]),
        ],
    },
    CountryPlan {
        country: Country::Fi, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425], 650), silence(25)]),
            (RecallDial, &[tone(&[425], 650), silence(25)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 300), silence(300)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425_FI),
            (SpecialInformation, WAITING_1400),
        ],
    },
    CountryPlan {
        country: Country::Fr, ring_cadence_ms: &[1500, 3500], flash_window_ms: MIDDLE,
        emergency: &["112", "15", "17", "18"],
        tones: &[
            (Dial, &[hum(&[440])]), (StutterDial, STUTTER_440_FR), (RecallDial, RECALL_350_440),
            (Ringback, &[tone(&[440], 1500), silence(3500)]),
            (Busy, &[tone(&[440], 500), silence(500)]),
            (Congestion, &[tone(&[440], 250), silence(250)]),
            (CallWaiting, &[tone(&[440], 300), silence(10000)]),
            (SpecialInformation, &[
                once(tone(&[950], 330)), once(tone(&[1400], 330)), once(tone(&[1800], 330)),
            ]),
        ],
    },
    CountryPlan {
        country: Country::Gr, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "100", "166", "199"],
        tones: &[
            (Dial, &[tone(&[425], 200), silence(300), tone(&[425], 700), silence(800)]),
            (StutterDial, &[tone(&[425], 650), silence(25)]),
            (RecallDial, &[tone(&[425], 650), silence(25)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 300), silence(300)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425_FI),
            (SpecialInformation, SIT_GR),
        ],
    },
    CountryPlan {
        country: Country::Hu, ring_cadence_ms: &[1250, 3750], flash_window_ms: SHORT,
        emergency: &["112", "104", "105", "107"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[hum(&[350, 375, 400])]),
            (RecallDial, &[hum(&[425, 450])]),
            (Ringback, &[tone(&[425], 1250), silence(3750)]),
            (Busy, &[tone(&[425], 300), silence(300)]),
            (Congestion, &[tone(&[425], 300), silence(300)]),
            (CallWaiting, &[tone(&[425], 40), silence(1960)]),
            (SpecialInformation, SIT_GR),
        ],
    },
    CountryPlan {
        country: Country::Id, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "110", "113", "118", "119"],
        tones: &[
            (Dial, &[hum(&[425])]), (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 250), silence(250)]),
            (CallWaiting, &[tone(&[425], 150), silence(150), tone(&[425], 150), silence(10000)]),
            (SpecialInformation, SIT_ID),
        ],
    },
    CountryPlan {
        country: Country::Il, ring_cadence_ms: &[1000, 3000], flash_window_ms: SHORT,
        emergency: &["100", "101", "102", "112"],
        tones: &[
            (Dial, &[hum(&[414])]), (StutterDial, STUTTER_414_IL), (RecallDial, RECALL_414_IL),
            (Ringback, &[tone(&[414], 1000), silence(3000)]),
            (Busy, &[tone(&[414], 500), silence(500)]),
            (Congestion, &[tone(&[414], 250), silence(250)]), (CallWaiting, WAITING_414_IL),
            (SpecialInformation, &[
                tone(&[1000], 330), tone(&[1400], 330), tone(&[1800], 330), silence(1000),
            ]),
        ],
    },
    CountryPlan {
        country: Country::In, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: SHORT,
        emergency: &["112", "100", "101", "102", "108"],
        tones: &[
            (Dial, &[hum_am(&[400, 25])]), (StutterDial, STUTTER_400_25_IN),
            (RecallDial, RECALL_350_440),
            (Ringback, &[
                warble(&[400, 25], 400), silence(200), warble(&[400, 25], 400), silence(2000),
            ]),
            (Busy, &[tone(&[400], 750), silence(750)]),
            (Congestion, &[tone(&[400], 250), silence(250)]),
            (CallWaiting, &[tone(&[400], 200), silence(100), tone(&[400], 200), silence(7500)]),
            (SpecialInformation, SIT_ID),
        ],
    },
    CountryPlan {
        country: Country::It, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "113", "115", "118"],
        tones: &[
            (Dial, &[tone(&[425], 200), silence(200), tone(&[425], 600), silence(1000)]),
            (StutterDial, &[tone(&[470], 400), tone(&[425], 400)]),
            (RecallDial, &[tone(&[470], 400), tone(&[425], 400)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425_IT),
            (SpecialInformation, SIT_GR),
        ],
    },
    CountryPlan {
        country: Country::Jp, ring_cadence_ms: &[1000, 2000], flash_window_ms: LONG,
        emergency: &["110", "118", "119"],
        tones: &[
            (Dial, &[hum(&[400])]), (StutterDial, STUTTER_400), (RecallDial, RECALL_400_JP),
            (Ringback, &[warble(&[400, 15], 1000), silence(2000)]),
            (Busy, &[tone(&[400], 500), silence(500)]),
            (Congestion, &[tone(&[400], 500), silence(500)]),
            (CallWaiting, &[warble(&[400, 16], 500), silence(8000)]),
            (SpecialInformation, SIT_JP),
        ],
    },
    CountryPlan {
        country: Country::Lt, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (RecallDial, &[tone(&[425], 500), silence(50)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 350), silence(350)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425),
            (SpecialInformation, SIT_GR),
        ],
    },
    CountryPlan {
        country: Country::Mx, ring_cadence_ms: &[2000, 4000], flash_window_ms: LONG,
        emergency: &["911"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425_MX), (RecallDial, RECALL_350_440),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 250), silence(250)]),
            (Congestion, &[tone(&[425], 250), silence(250)]), (CallWaiting, WAITING_425_MX),
            (SpecialInformation, SIT_CZ),
        ],
    },
    CountryPlan {
        country: Country::My, ring_cadence_ms: &[2000, 4000], flash_window_ms: SHORT,
        emergency: &["999", "112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (Ringback, &[tone(&[425], 400), silence(200), tone(&[425], 400), silence(2000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 500), silence(500)]),
        ],
    },
    CountryPlan {
        country: Country::Nl, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[425], 500), silence(50)]),
            (RecallDial, &[tone(&[425], 500), silence(50)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 250), silence(250)]),
            (CallWaiting, &[tone(&[425], 500), silence(9500)]),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::No, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["110", "112", "113"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, &[tone(&[470], 400), tone(&[425], 400)]),
            (RecallDial, &[tone(&[470], 400), tone(&[425], 400)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 200), silence(200)]), (CallWaiting, WAITING_425_MX),
            (SpecialInformation, SIT_GR),
        ],
    },
    CountryPlan {
        country: Country::Nz, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: (80, 800),
        emergency: &["111"],
        tones: &[
            (Dial, &[hum(&[400])]), (StutterDial, STUTTER_400), (RecallDial, RECALL_400),
            (Ringback, RINGBACK_400_450),
            (Busy, &[tone(&[400], 500), silence(500)]),
            (Congestion, &[tone(&[400], 250), silence(250)]), (CallWaiting, WAITING_400_NZ),
            (SpecialInformation, SIT_NZ),
        ],
    },
    CountryPlan {
        country: Country::Ph, ring_cadence_ms: &[1000, 4000], flash_window_ms: LONG,
        emergency: &["911"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425_MX), (RecallDial, RECALL_350_440),
            (Ringback, &[tone(&[425, 480], 1000), silence(4000)]),
            (Busy, &[tone(&[480, 620], 500), silence(500)]),
            (Congestion, &[tone(&[480, 620], 250), silence(250)]),
            (CallWaiting, &[tone(&[440], 300), silence(10000)]),
            (SpecialInformation, SIT_JP),
        ],
    },
    CountryPlan {
        country: Country::Pl, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "997", "998", "999"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (RecallDial, &[tone(&[425], 500), silence(50)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 500), silence(500)]), (CallWaiting, WAITING_425),
            (SpecialInformation, SIT_PL),
        ],
    },
    CountryPlan {
        country: Country::Pt, ring_cadence_ms: &[1000, 5000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (RecallDial, &[tone(&[425], 1000), silence(200)]),
            (Ringback, &[tone(&[425], 1000), silence(5000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 200), silence(200)]),
            (CallWaiting, &[tone(&[440], 300), silence(10000)]),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Ru, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["112", "101", "102", "103"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425),
            (RecallDial, &[tone(&[425], 400), silence(40)]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 350), silence(350)]),
            (Congestion, &[tone(&[425], 175), silence(175)]),
            (CallWaiting, &[tone(&[425], 200), silence(5000)]),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Se, ring_cadence_ms: &[1000, 5000], flash_window_ms: SHORT,
        emergency: &["112"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425), (RecallDial, RECALL_425),
            (Ringback, &[tone(&[425], 1000), silence(5000)]),
            (Busy, &[tone(&[425], 250), silence(250)]),
            (Congestion, &[tone(&[425], 250), silence(750)]),
            (CallWaiting, &[tone(&[425], 200), silence(500), tone(&[425], 200), silence(9100)]),
            (SpecialInformation, SIT_SE),
        ],
    },
    CountryPlan {
        country: Country::Sg, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: SHORT,
        emergency: &["995", "999"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425_SG),
            (RecallDial, &[
                warble(&[425, 24], 500), silence(500), tone(&[425], 500), silence(2500),
            ]),
            (Ringback, &[
                warble(&[425, 24], 400), silence(200), warble(&[425, 24], 400), silence(2000),
            ]),
            (Busy, &[tone(&[425], 750), silence(750)]),
            (Congestion, &[tone(&[425], 250), silence(250)]),
            (CallWaiting, &[
                warble(&[425, 24], 300), silence(200), warble(&[425, 24], 300), silence(3200),
            ]),
            (SpecialInformation, SIT),
        ],
    },
    CountryPlan {
        country: Country::Th, ring_cadence_ms: &[1000, 4000], flash_window_ms: SHORT,
        emergency: &["191", "199", "1669"],
        tones: &[
            (Dial, &[hum_am(&[400, 50])]), (StutterDial, STUTTER_400_TH),
            (RecallDial, &[
                warble(&[400, 50], 400), silence(100), warble(&[400, 50], 400), silence(100),
            ]),
            (Ringback, &[tone(&[420], 1000), silence(5000)]),
            (Busy, &[tone(&[400], 500), silence(500)]),
            (Congestion, &[tone(&[400], 300), silence(300)]),
            (CallWaiting, &[tone(&[1000], 400), silence(400), tone(&[1000], 400)]),
            (SpecialInformation, &[tone(&[950], 330), tone(&[1400], 330), tone(&[1800], 330)]),
        ],
    },
    CountryPlan {
        country: Country::Tw, ring_cadence_ms: &[1000, 4000], flash_window_ms: LONG,
        emergency: &["110", "112", "119"],
        tones: &[
            (Dial, &[hum(&[350, 440])]), (StutterDial, STUTTER_350_440),
            (RecallDial, &[tone(&[300], 1500), silence(500)]),
            (Ringback, &[tone(&[440, 480], 1000), silence(2000)]),
            (Busy, &[tone(&[480, 620], 500), silence(500)]),
            (Congestion, &[tone(&[480, 620], 250), silence(250)]),
            (CallWaiting, &[
                tone(&[350, 440], 250), silence(250), tone(&[350, 440], 250), silence(3250),
            ]),
            (SpecialInformation, SIT_JP),
        ],
    },
    CountryPlan {
        country: Country::Uk, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: SHORT,
        emergency: &["999", "112"],
        tones: &[
            (Dial, &[hum(&[350, 440])]),
            (StutterDial, &[tone(&[350, 440], 750), tone(&[440], 750)]),
            (Ringback, RINGBACK_400_450),
            (Busy, &[tone(&[400], 375), silence(375)]),
            (Congestion, &[tone(&[400], 400), silence(350), tone(&[400], 225), silence(525)]),
            (CallWaiting, &[tone(&[400], 100), silence(4000)]), (SpecialInformation, SIT_UK),
            (Confirmation, &[hum(&[1400])]),
        ],
    },
    CountryPlan {
        country: Country::Us, ring_cadence_ms: &[2000, 4000], flash_window_ms: LONG,
        emergency: &["911"],
        tones: &[
            (Dial, &[hum(&[350, 440])]), (StutterDial, STUTTER_350_440),
            (RecallDial, RECALL_350_440),
            (Ringback, &[tone(&[440, 480], 2000), silence(4000)]),
            (Busy, &[tone(&[480, 620], 500), silence(500)]),
            (Congestion, &[tone(&[480, 620], 250), silence(250)]),
            (CallWaiting, &[tone(&[440], 300), silence(10000)]),
            (SpecialInformation, SIT_JP),
        ],
    },
    CountryPlan {
        country: Country::Ve, ring_cadence_ms: &[1000, 4000], flash_window_ms: LONG,
        emergency: &["911", "171"],
        tones: &[
            (Dial, &[hum(&[425])]), (StutterDial, STUTTER_425), (RecallDial, &[hum(&[425])]),
            (Ringback, &[tone(&[425], 1000), silence(4000)]),
            (Busy, &[tone(&[425], 500), silence(500)]),
            (Congestion, &[tone(&[425], 250), silence(250)]),
            (CallWaiting, &[tone(&[400, 450], 300), silence(6000)]),
            (SpecialInformation, &[
                once(tone(&[950], 330)), once(tone(&[1440], 330)), once(tone(&[1800], 330)),
                silence(1000),
            ]),
        ],
    },
    CountryPlan {
        country: Country::Za, ring_cadence_ms: &[400, 200, 400, 2000], flash_window_ms: SHORT,
        emergency: &["10111", "10177", "112"],
        tones: &[
            (Dial, &[hum_am(&[400, 33])]), (StutterDial, STUTTER_400_33_ZA),
            (RecallDial, &[hum(&[350, 440])]),
            (Ringback, &[
                warble(&[400, 33], 400), silence(200), warble(&[400, 33], 400), silence(2000),
            ]),
            (Busy, &[tone(&[400], 500), silence(500)]),
            (Congestion, &[tone(&[400], 250), silence(250)]),
            (CallWaiting, WAITING_400_33_ZA),
            (SpecialInformation, &[
                tone(&[950], 330), tone(&[1400], 330), tone(&[1800], 330), silence(330),
            ]),
        ],
    },
];
