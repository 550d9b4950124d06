//! The drawings of the handset: the four wires of its plug, and where each goes at a HAT with
//! WM8960 and at a USB sound card. Nothing of it touches the 40-pin header.
//!
//! ```text
//! PLUG, HAT | USB ─▶ svg ─▶ docs/guide/src/wiring/handset-*.svg (compared, or written)
//! ```

use std::fmt::Write as _;

use crate::write_or_compare;

/// The contacts of a handset's RJ9 plug (4P4C), 1 to 4: the outer two are the microphone.
const PLUG: [&str; 4] = ["microphone +", "earpiece", "earpiece", "microphone −"];
const COLOURS: [&str; 4] = ["#1e8449", "#b9770e", "#7d3c98", "#111"];

/// A sound card: its name, where each contact of the plug goes, and what to know besides.
struct Card {
    file: &'static str,
    name: &'static str,
    to: [&'static str; 4],
    notes: [&'static str; 3],
}

const CARDS: [Card; 2] = [
    Card {
        file: "handset-hat.svg",
        name: "audio HAT with WM8960",
        to: [
            "left microphone input (LINPUT1)",
            "headphone jack: tip (left output)",
            "headphone jack: sleeve",
            "GND of the microphone input",
        ],
        notes: [
            "LINPUT1 needs the bias that the HAT gives its microphones.",
            "The sleeve may be no ground: join it to nothing else.",
            "Never to the loudspeaker terminals: both of theirs are driven.",
        ],
    },
    Card {
        file: "handset-usb.svg",
        name: "USB sound card with two 3.5 mm jacks",
        to: [
            "microphone jack: tip and ring",
            "headphone jack: tip (left)",
            "headphone jack: sleeve",
            "microphone jack: sleeve",
        ],
        notes: [
            "The card feeds an electret capsule by its tip or its ring:",
            "joined, either works.",
            "A card with one jack of four contacts wants an adapter to two.",
        ],
    },
];

fn text(svg: &mut String, x: i64, y: i64, size: i64, style: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{style}>{words}</text>"
    );
}

fn draw(card: &Card) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 290\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>Handset at the {0}</title>\n\
         <rect width=\"960\" height=\"290\" fill=\"#fff\"/>\n",
        card.name
    );
    let bold = " font-weight=\"bold\"";
    let title = format!("Handset at the {}", card.name);
    text(&mut svg, 20, 28, 16, bold, &title);
    let grey = " fill=\"#444\"";
    let seen =
        "RJ9 plug (4P4C) seen from its contacts, cable downwards: contact 1 is the left one.";
    text(&mut svg, 20, 46, 11, grey, seen);
    for (x, width, name) in [(20, 330, "handset, RJ9 plug"), (540, 400, card.name)] {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"60\" width=\"{width}\" height=\"150\" rx=\"8\" fill=\"#fdfefe\" \
             stroke=\"#234\"/>"
        );
        text(&mut svg, x + 14, 80, 13, bold, name);
    }
    let end = " text-anchor=\"end\"";
    for (at, ((what, to), colour)) in PLUG.iter().zip(card.to).zip(COLOURS).enumerate() {
        let y = 106 + at as i64 * 28;
        let _ = writeln!(
            svg,
            "<path d=\"M350 {y}H540\" stroke=\"{colour}\" stroke-width=\"2.4\"/>\
             <circle cx=\"350\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>\
             <circle cx=\"540\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>"
        );
        text(
            &mut svg,
            336,
            y + 4,
            12,
            end,
            &format!("{what}: contact {}", at + 1),
        );
        text(&mut svg, 554, y + 4, 12, "", to);
    }
    for (row, note) in card.notes.iter().enumerate() {
        text(&mut svg, 540, 232 + row as i64 * 16, 11, grey, note);
    }
    let measure = [
        "Makers differ: measure before you solder. The earpiece is the pair",
        "with 32 to 150 Ω in both directions; swapped it works as well.",
        "The microphone's − is the wire that its metal case is joined to.",
    ];
    for (row, note) in measure.iter().enumerate() {
        text(&mut svg, 20, 232 + row as i64 * 16, 11, grey, note);
    }
    svg.push_str("</svg>\n");
    svg
}

#[test]
fn the_drawings_of_the_handset_are_up_to_date() {
    for card in &CARDS {
        for (what, to) in PLUG.iter().zip(card.to) {
            let is_microphone = what.starts_with("microphone");
            assert!(to.chars().count() <= 50, "{to}");
            assert_eq!(is_microphone, to.contains("microphone"), "{what} at {to}");
        }
        for note in card.notes {
            assert!(note.chars().count() <= 64, "{note}");
        }
        write_or_compare(&format!("docs/guide/src/wiring/{}", card.file), &draw(card));
    }
}
