//! Cadences that several countries share, or that are too long for a line of the plans.

use super::Segment;
use super::segment::{SILENCE, beeps, hum, hum_am, lead_in, once, silence, tone, warble};

pub(super) const RECALL_350_440: &[Segment] =
    &beeps::<7>(tone(&[350, 440], 100), silence(100), hum(&[350, 440]));
pub(super) const RECALL_400: &[Segment] = &beeps::<7>(tone(&[400], 100), silence(100), hum(&[400]));
pub(super) const RECALL_400_JP: &[Segment] =
    &beeps::<7>(tone(&[400], 200), silence(200), hum(&[400]));
pub(super) const RECALL_414_IL: &[Segment] =
    &beeps::<7>(tone(&[414], 100), silence(100), hum(&[414]));
pub(super) const RECALL_425: &[Segment] = &beeps::<7>(tone(&[425], 100), silence(100), hum(&[425]));
pub(super) const RECALL_425_CZ: &[Segment] = &[
    once(tone(&[425], 100)),
    once(silence(100)),
    once(tone(&[425], 100)),
    once(silence(100)),
    once(tone(&[425], 100)),
    once(silence(100)),
    tone(&[425], 330),
    silence(330),
    tone(&[425], 660),
    silence(660),
];
pub(super) const RECALL_425_ES: &[Segment] =
    &beeps::<7>(tone(&[425], 200), silence(200), hum(&[425]));
pub(super) const RINGBACK_400_450: &[Segment] = &[
    tone(&[400, 450], 400),
    silence(200),
    tone(&[400, 450], 400),
    silence(2000),
];
pub(super) const SIT: &[Segment] = &[
    tone(&[950], 330),
    tone(&[1400], 330),
    tone(&[1800], 330),
    silence(1000),
];
pub(super) const SIT_CN: &[Segment] = &[
    tone(&[450], 100),
    silence(100),
    tone(&[450], 100),
    silence(100),
    tone(&[450], 100),
    silence(100),
    tone(&[450], 400),
    silence(400),
];
pub(super) const SIT_CZ: &[Segment] = &[
    tone(&[950], 330),
    silence(30),
    tone(&[1400], 330),
    silence(30),
    tone(&[1800], 330),
    silence(1000),
];
pub(super) const SIT_GR: &[Segment] = &lead_in::<13>(SIT, SILENCE);
pub(super) const SIT_ID: &[Segment] = &lead_in::<4>(SIT, silence(1000));
pub(super) const SIT_JP: &[Segment] = &lead_in::<4>(SIT, SILENCE);
pub(super) const SIT_NZ: &[Segment] = &[
    tone(&[400], 750),
    silence(100),
    tone(&[400], 750),
    silence(100),
    tone(&[400], 750),
    silence(100),
    tone(&[400], 750),
    silence(400),
];
pub(super) const SIT_PL: &[Segment] = &lead_in::<12>(SIT, once(silence(1000)));
pub(super) const SIT_SE: &[Segment] = &lead_in::<30>(
    &[
        tone(&[950], 332),
        silence(24),
        tone(&[1400], 332),
        silence(24),
        tone(&[1800], 332),
        silence(2024),
    ],
    SILENCE,
);
pub(super) const SIT_UK: &[Segment] = &[
    tone(&[950], 330),
    silence(15),
    tone(&[1400], 330),
    silence(15),
    tone(&[1800], 330),
    silence(1000),
];
pub(super) const STUTTER_350_440: &[Segment] =
    &beeps::<13>(tone(&[350, 440], 100), silence(100), hum(&[350, 440]));
pub(super) const STUTTER_400: &[Segment] =
    &beeps::<13>(tone(&[400], 100), silence(100), hum(&[400]));
pub(super) const STUTTER_400_25_IN: &[Segment] =
    &beeps::<13>(tone(&[350, 440], 100), silence(100), hum_am(&[400, 25]));
pub(super) const STUTTER_400_33_ZA: &[Segment] =
    &beeps::<13>(warble(&[400, 33], 100), silence(100), hum_am(&[400, 33]));
pub(super) const STUTTER_400_TH: &[Segment] = &lead_in::<17>(
    &[
        tone(&[400], 200),
        silence(200),
        tone(&[400], 600),
        silence(200),
    ],
    hum(&[400]),
);
pub(super) const STUTTER_414_IL: &[Segment] =
    &beeps::<21>(tone(&[414], 160), silence(160), hum(&[414]));
pub(super) const STUTTER_425: &[Segment] =
    &beeps::<13>(tone(&[425], 100), silence(100), hum(&[425]));
pub(super) const STUTTER_425_MX: &[Segment] =
    &beeps::<13>(tone(&[350, 440], 100), silence(100), hum(&[425]));
pub(super) const STUTTER_425_SG: &[Segment] = &lead_in::<17>(
    &[
        tone(&[425], 200),
        silence(200),
        tone(&[425], 600),
        silence(200),
    ],
    hum(&[425]),
);
pub(super) const STUTTER_440_FR: &[Segment] =
    &beeps::<13>(tone(&[440], 100), silence(100), hum(&[440]));
pub(super) const WAITING_1400: &[Segment] = &[
    tone(&[950], 650),
    silence(325),
    tone(&[950], 325),
    silence(30),
    tone(&[1400], 1300),
    silence(2600),
];
pub(super) const WAITING_400_33_ZA: &[Segment] = &[
    warble(&[400, 33], 250),
    silence(250),
    warble(&[400, 33], 250),
    silence(250),
    warble(&[400, 33], 250),
    silence(250),
    warble(&[400, 33], 250),
    silence(250),
];
pub(super) const WAITING_400_NZ: &[Segment] =
    &beeps::<7>(tone(&[400], 200), silence(3000), once(tone(&[400], 200)));
pub(super) const WAITING_414_IL: &[Segment] = &[
    tone(&[414], 100),
    silence(100),
    tone(&[414], 100),
    silence(100),
    tone(&[414], 600),
    silence(3000),
];
pub(super) const WAITING_425: &[Segment] = &[
    tone(&[425], 150),
    silence(150),
    tone(&[425], 150),
    silence(4000),
];
pub(super) const WAITING_425_DE: &[Segment] = &lead_in::<20>(
    &[
        tone(&[425], 200),
        silence(200),
        tone(&[425], 200),
        silence(5000),
    ],
    SILENCE,
);
pub(super) const WAITING_425_DK: &[Segment] = &[
    once(tone(&[425], 200)),
    once(silence(600)),
    once(tone(&[425], 200)),
    once(silence(3000)),
    once(tone(&[425], 200)),
    once(silence(200)),
    once(tone(&[425], 200)),
    SILENCE,
];
pub(super) const WAITING_425_FI: &[Segment] = &[
    tone(&[425], 150),
    silence(150),
    tone(&[425], 150),
    silence(8000),
];
pub(super) const WAITING_425_IT: &[Segment] = &[
    tone(&[425], 400),
    silence(100),
    tone(&[425], 250),
    silence(100),
    tone(&[425], 150),
    silence(14000),
];
pub(super) const WAITING_425_MX: &[Segment] = &[
    tone(&[425], 200),
    silence(600),
    tone(&[425], 200),
    silence(10000),
];
