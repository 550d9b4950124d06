//! The sheets of codes: what the phone does in the hand and its star codes, on one page of A4 to
//! be printed and kept beside the phone; one for the United States, one for everywhere else. Who
//! reads the sheet has no settings at hand: it says in words what the page says by their keys.
//!
//! ```text
//! config::features (Markdown) ─▶ two tables ─▶ wrapped lines ─▶ docs/guide/src/sheets/*.svg (compared, or written)
//! ```

use std::fmt::Write as _;

use crate::write_or_compare;

/// Size of the paper, in millimetres.
const PAPER: (f64, f64) = (210.0, 297.0);
/// Left and right edge of what is printed.
const EDGE: (f64, f64) = (12.0, 198.0);
/// Where the second column begins: behind what is done, and behind a code.
const COLUMN: f64 = 66.0;
/// What the lowest line must stay above.
const BOTTOM: f64 = 288.0;
/// Height of the letters, and of a line.
const LETTER: f64 = 2.4;
const LINE: f64 = 3.1;
/// Width of a letter in its height: the mean of English text in this font, and a tenth.
const WIDTH: f64 = 0.6;

/// A row of a table: what is done, or the code, and what happens.
struct Row {
    left: String,
    right: String,
}

/// The rows of the table below a heading, cell by cell.
fn table(page: &str, heading: &str) -> Vec<Vec<String>> {
    let below = page.split(&format!("\n## {heading}\n")).nth(1).unwrap();
    let rows = below.lines().skip_while(|line| !line.starts_with('|'));
    let rows = rows.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let row = row.trim().trim_matches('|');
        // A bar of a cell is written `\|` in Markdown.
        let cells = row.replace("\\|", "\u{1}");
        let cells = cells
            .split('|')
            .map(|cell| cell.trim().replace('\u{1}', "|"));
        cells.collect()
    })
    .collect()
}

/// Whose sheet it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Country {
    Elsewhere,
    UnitedStates,
}

impl Country {
    const ALL: [Self; 2] = [Self::Elsewhere, Self::UnitedStates];
}

/// What the page says by the key of a setting, and the words for it here.
const WORDS: [(&str, &str); 10] = [
    (" (`call.hold_reminder_s`)", ""),
    ("what `dial.feature_keys` says:", "what you gave it:"),
    ("; without that key the code is dialled as a number", ""),
    ("; without either key the code is dialled as a number", ""),
    ("Calls the mailbox, `dial.voicemail`", "Calls the mailbox"),
    (
        "within `call.forward_after_s`",
        "within the time that is set (20 s)",
    ),
    ("to `dial.park`", "to where calls are parked"),
    (
        "a phone of `dial.watch`, else calls `dial.pick_up`, which takes a parked or ringing call",
        "a watched phone, else a parked or ringing one",
    ),
    ("Calls `dial.echo_test`", "Calls the echo test"),
    ("`offhook.toml` becomes", "the file of settings becomes"),
];

/// How the row of the network's service codes begins.
const SERVICE_CODE: &str = "dial a service code";

/// Without marks of code, and without keys of settings.
fn plain(text: &str) -> String {
    let words = WORDS.iter().fold(text.to_owned(), |text, (key, words)| {
        text.replace(key, words)
    });
    words.replace('`', "")
}

/// What the phone does in the hand: in the United States its flash has rows of its own, in the
/// place of those with the same name.
fn in_the_hand(country: Country) -> Vec<Row> {
    let page = config::features();
    let mut rows = table(&page, "In the hand");
    if country == Country::UnitedStates {
        let own = table(&page, "The flash in the United States");
        let is_flash = |row: &Vec<String>| own.iter().any(|of| of[0] == row[0]);
        let first = rows.iter().position(is_flash).unwrap();
        rows.retain(|row| !is_flash(row));
        rows.splice(first..first, own);
        // Its networks have no service codes of this form.
        if config::country::service_codes(types::Country::Us).is_none() {
            rows.retain(|row| !row[0].starts_with(SERVICE_CODE));
        }
    }
    let row = |cells: Vec<String>| Row {
        left: plain(&cells[0]),
        right: plain(&cells[1]),
    };
    rows.into_iter().map(row).collect()
}

fn codes(country: Country) -> Vec<Row> {
    let rows = table(&config::features(), "Codes");
    let column = match country {
        Country::Elsewhere => 0,
        Country::UnitedStates => 1,
    };
    let row = |cells: Vec<String>| Row {
        left: plain(&cells[column]),
        right: plain(&cells[2]),
    };
    rows.into_iter().map(row).collect()
}

/// Lines no longer than a width in millimetres.
fn wrapped(text: &str, width: f64) -> Vec<String> {
    let most = (width / (LETTER * WIDTH)) as usize;
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last().unwrap();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > most {
            lines.push(String::new());
        }
        let line = lines.last_mut().unwrap();
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// Draws the rows of a table from `y` on; where it ends.
fn rows(svg: &mut String, rows: &[Row], mut y: f64, left_style: &str) -> f64 {
    for row in rows {
        let left = wrapped(&row.left, COLUMN - EDGE.0 - 3.0);
        let right = wrapped(&row.right, EDGE.1 - COLUMN);
        for (lines, x, style) in [(&left, EDGE.0, left_style), (&right, COLUMN, "")] {
            for (number, line) in lines.iter().enumerate() {
                let y = y + number as f64 * LINE;
                let _ = writeln!(
                    svg,
                    "<text x=\"{x}\" y=\"{y:.1}\" font-size=\"{LETTER}\"{style}>{}</text>",
                    escaped(line)
                );
            }
        }
        y += left.len().max(right.len()) as f64 * LINE;
        let _ = writeln!(
            svg,
            "<path d=\"M{} {:.1}H{}\" stroke=\"#bbb\" stroke-width=\"0.15\"/>",
            EDGE.0,
            y - LINE + 1.1,
            EDGE.1
        );
        y += 0.9;
    }
    y
}

/// The sheet of a country, and how far down it goes.
fn sheet(title: &str, country: Country) -> (String, f64) {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}mm\" \
         height=\"{1}mm\" font-family=\"DejaVu Sans, Verdana, sans-serif\">\n\
         <title>{title}</title>\n\
         <rect width=\"{0}\" height=\"{1}\" fill=\"#fff\"/>\n\
         <text x=\"{2}\" y=\"16\" font-size=\"5\" font-weight=\"bold\">{title}</text>\n",
        PAPER.0, PAPER.1, EDGE.0
    );
    let heading = |svg: &mut String, text: &str, y: f64| {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{y:.1}\" font-size=\"3.4\" font-weight=\"bold\">{text}</text>",
            EDGE.0
        );
    };
    heading(&mut svg, "In the hand", 23.5);
    let y = rows(&mut svg, &in_the_hand(country), 28.5, "");
    heading(
        &mut svg,
        "Codes: lift the handset and press; a number ends with #",
        y + 2.5,
    );
    let bold = " font-weight=\"bold\" font-family=\"DejaVu Sans Mono, monospace\"";
    let y = rows(&mut svg, &codes(country), y + 7.5, bold);
    svg.push_str("</svg>\n");
    (svg, y)
}

#[test]
fn the_sheets_of_codes_fit_a_page_and_are_up_to_date() {
    for (file, title, country) in [
        (
            "codes.svg",
            "Offhook: the phone in the hand, and its codes",
            Country::Elsewhere,
        ),
        (
            "codes-us.svg",
            "Offhook: the phone in the hand, and its codes (United States)",
            Country::UnitedStates,
        ),
    ] {
        let (svg, end) = sheet(title, country);
        assert!(end - LINE < BOTTOM, "{file}: ends at {end} mm");
        for code in codes(country) {
            assert!(svg.contains(&format!(">{}</text>", escaped(&code.left))));
        }
        write_or_compare(&format!("docs/guide/src/sheets/{file}"), &svg);
    }
}

#[test]
fn every_code_is_on_the_sheet() {
    for country in Country::ALL {
        assert_eq!(codes(country).len(), config::codes::CODES.len());
        assert!(in_the_hand(country).len() >= 10);
    }
}

/// Where the flash has no menu (`call.flash_menu`), the sheet promises none.
#[test]
fn the_flash_is_that_of_the_country() {
    let said = |country| {
        let rows = in_the_hand(country);
        let rows = rows.iter().filter(|row| {
            let flash = row.left.contains("flash") || row.left.contains("second caller");
            flash && row.left != "flash in a call"
        });
        let rows: Vec<&str> = rows.map(|row| row.right.as_str()).collect();
        rows.join("\n")
    };
    let elsewhere = said(Country::Elsewhere);
    assert!(elsewhere.contains("4 connects the other two") && elsewhere.contains("0: refused"));
    let us = said(Country::UnitedStates);
    assert!(us.contains("all three are connected") && us.contains("answered at once"));
    assert!(
        !us.contains(char::is_numeric) && !us.contains("second and a half"),
        "{us}"
    );
}

#[test]
fn service_codes_are_on_the_sheet_of_countries_that_have_them() {
    let has = |country| {
        let rows = in_the_hand(country);
        rows.iter().any(|row| row.left.starts_with(SERVICE_CODE))
    };
    assert!(has(Country::Elsewhere));
    assert!(!has(Country::UnitedStates));
}

/// No key of a setting, like `dial.park`, and no rule for words that no row needs.
#[test]
fn the_sheet_speaks_in_words() {
    let page = config::features();
    for (key, _) in WORDS {
        assert!(page.contains(key), "no row says {key}");
    }
    for country in Country::ALL {
        for row in in_the_hand(country).iter().chain(&codes(country)) {
            let is_key = |word: &str| {
                let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
                word.contains(['_', '.'])
            };
            let found = row.right.split_whitespace().find(|word| is_key(word));
            assert_eq!(found, None, "{}", row.right);
        }
    }
}
