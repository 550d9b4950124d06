//! The wiring drawings of the guide: the 40-pin header of a Raspberry Pi as it is, and a coloured
//! wire from each pin that a board's `hardware.toml` uses to the device it belongs to.
//!
//! ```text
//! board/profiles/NAME/hardware.toml ─▶ devices ─▶ svg ─▶ docs/guide/src/wiring/*.svg (compared, or written)
//! ```

use std::fmt::Write as _;

use toml::Value;

use crate::{repository, write_or_compare};

/// Name of each pin of the header, pin 1 first; a number is a GPIO line.
const HEADER: [&str; 40] = [
    "3.3 V", "5 V", "2", "5 V", "3", "GND", "4", "14", "GND", "15", "17", "18", "27", "GND", "22",
    "23", "3.3 V", "24", "10", "GND", "9", "25", "11", "8", "GND", "7", "0", "1", "5", "GND", "6",
    "12", "13", "GND", "19", "16", "26", "20", "GND", "21",
];
/// Of the signals, one each in a drawing. Red is 5 V, orange 3.3 V and black ground.
const COLOURS: [&str; 18] = [
    "#2471a3", "#1e8449", "#b9770e", "#7d3c98", "#0e9aa7", "#795548", "#d81b9a", "#5c6bc0",
    "#7cb342", "#607d8b", "#1b2f6b", "#c39bd3", "#45b39d", "#6d214f", "#827717", "#29a8e0",
    "#f48fb1", "#9e9e9e",
];
/// From one row of pins to the next.
const PIN: i64 = 26;
/// The first row of pins.
const TOP: i64 = 70;
const LEFT: i64 = 190;
const DEVICE: i64 = 640;
/// Width of a device.
const BOX: i64 = 300;
/// Letters of a line of its note that fit.
const NOTE: usize = 46;

/// One screw or solder point of a device.
struct Terminal {
    /// What stands beside it.
    label: String,
    pin: usize,
}

struct Device {
    name: String,
    terminals: Vec<Terminal>,
    /// Points that no wire of the header goes to: colour, and what does.
    elsewhere: &'static [(&'static str, &'static str)],
    note: &'static str,
}

/// The pin of a GPIO line.
fn pin_of(line: i64) -> usize {
    let name = line.to_string();
    HEADER.iter().position(|pin| *pin == name).unwrap() + 1
}

fn gpio(line: &Value, what: &str) -> Terminal {
    let line = line.as_integer().unwrap();
    let pin = pin_of(line);
    Terminal {
        label: format!("{what}: GPIO {line}, pin {pin}"),
        pin,
    }
}

/// A pin that is no GPIO line.
fn supply(pin: usize) -> Terminal {
    Terminal {
        label: format!("{}: pin {pin}", HEADER[pin - 1]),
        pin,
    }
}

fn profile(board: &str) -> Value {
    let path = repository().join(format!("board/profiles/{board}/hardware.toml"));
    let text = std::fs::read_to_string(path).unwrap();
    // What a board can have besides stands there as a comment.
    let text = text
        .replace("# [rotary]", "[rotary]")
        .replace("# pulse", "pulse");
    let text = text
        .replace("# off_normal", "off_normal")
        .replace("# bias", "bias");
    toml::from_str(&text).unwrap()
}

fn hook(profile: &Value) -> Device {
    Device {
        name: "hook switch".into(),
        terminals: vec![gpio(&profile["hook"]["line"], "contact"), supply(14)],
        elsewhere: &[],
        note: "closes when the handset is lifted",
    }
}

fn keypad(profile: &Value) -> Device {
    let keypad = &profile["keypad"];
    let list = |name: &str| keypad[name].as_array().unwrap().clone();
    let keys: Vec<&str> = keypad["keys"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row.as_str().unwrap())
        .collect();
    let spaced = |keys: String| {
        let keys: Vec<String> = keys.chars().map(String::from).collect();
        keys.join(" ")
    };
    let mut terminals = Vec::new();
    for (row, line) in list("rows").iter().enumerate() {
        terminals.push(gpio(line, &format!("row {}", spaced(keys[row].to_owned()))));
    }
    for (column, line) in list("columns").iter().enumerate() {
        let down = keys
            .iter()
            .filter_map(|row| row.chars().nth(column))
            .collect();
        terminals.push(gpio(line, &format!("column {}", spaced(down))));
    }
    let size = format!("keypad {}×{}", list("rows").len(), list("columns").len());
    Device {
        name: size,
        terminals,
        elsewhere: &[],
        note: "rows are driven, columns pulled up",
    }
}

fn dial(profile: &Value) -> Option<Device> {
    let rotary = profile.get("rotary")?;
    let mut terminals = vec![gpio(&rotary["pulse"], "pulse contact")];
    if let Some(line) = rotary.get("off_normal") {
        terminals.push(gpio(line, "off-normal contact"));
    }
    terminals.push(supply(20));
    Some(Device {
        name: "rotary dial".into(),
        terminals,
        elsewhere: &[],
        note: "instead of a keypad; both contacts to GND",
    })
}

fn ringer(profile: &Value) -> Device {
    let ringer = &profile["ringer"];
    let lines = ringer["lines"].as_array().unwrap();
    if ringer["kind"].as_str() == Some("bell") {
        let mut terminals: Vec<Terminal> = lines
            .iter()
            .enumerate()
            .map(|(number, line)| gpio(line, &format!("input {}", number + 1)))
            .collect();
        // The driver is fed by the coil's supply alone: a DRV8871 wants 6.5 V or more and has no
        // other supply.
        terminals.push(supply(9));
        return Device {
            name: "bell driver (H-bridge)".into(),
            terminals,
            elsewhere: &[
                ("#e74c3c", "VM: + of the coil's own supply"),
                ("#111", "GND: − of that supply"),
                ("#2471a3", "OUT1, OUT2: the bell's coil"),
            ],
            note: "10 kΩ from each input to GND; the bell's coil goes to the driver, never to a \
                   pin",
        };
    }
    let mut terminals: Vec<Terminal> = lines.iter().map(|line| gpio(line, "base")).collect();
    terminals.extend([supply(2), supply(9)]);
    Device {
        name: "buzzer with a transistor".into(),
        terminals,
        elsewhere: &[],
        note: "NPN, for instance BC337: 1 kΩ to the base, emitter to GND, the buzzer between 5 V \
               and the collector; 1N4148 across it, ring to 5 V",
    }
}

fn lamps(profile: &Value) -> Device {
    let lamps = profile["lamps"].as_table().unwrap();
    let mut terminals: Vec<Terminal> = lamps
        .iter()
        .filter(|(_, line)| line.is_integer())
        .map(|(name, line)| gpio(line, &name.replace('_', " ")))
        .collect();
    terminals.push(supply(39));
    Device {
        name: "lamps (LED)".into(),
        terminals,
        elsewhere: &[],
        note: "330 Ω in series with each; long leg (anode) to the GPIO, short leg (cathode) to \
               GND",
    }
}

fn devices(profile: &Value) -> Vec<Device> {
    let mut all = vec![hook(profile), keypad(profile)];
    all.extend(dial(profile));
    all.extend([ringer(profile), lamps(profile)]);
    all
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn pin_at(pin: usize) -> (i64, i64) {
    let row = (pin as i64 - 1) / 2;
    let column = (pin as i64 - 1) % 2;
    (LEFT + column * PIN, TOP + row * PIN)
}

/// The header as it is, with the names of its pins; `used` pins are yellow, or have a yellow ring
/// where their own colour says what they are.
fn header(svg: &mut String, used: &[usize]) {
    let _ = writeln!(
        svg,
        "<rect x=\"{}\" y=\"52\" width=\"62\" height=\"{}\" rx=\"6\" fill=\"#222\"/>",
        LEFT - 18,
        20 * PIN + 10
    );
    for pin in 1..=40 {
        let (x, y) = pin_at(pin);
        let name = HEADER[pin - 1];
        let fill = match (used.contains(&pin), name) {
            (_, "GND") => "#555",
            (_, "5 V") => "#e74c3c",
            (_, "3.3 V") => "#f39c12",
            (true, _) => "#f7dc6f",
            (false, _) => "#d5d8dc",
        };
        let text = if fill == "#555" { "#fff" } else { "#111" };
        let ring = if used.contains(&pin) {
            " stroke=\"#f7dc6f\" stroke-width=\"2.4\""
        } else {
            ""
        };
        let _ = writeln!(
            svg,
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"10\" fill=\"{fill}\"{ring}/>\
             <text x=\"{x}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\" fill=\"{text}\">{pin}\
             </text>",
            y + 4
        );
        // Both columns stand left of the header, clear of the wires: each name says its pin.
        let label = if name.parse::<u32>().is_ok() {
            format!("{pin}: GPIO {name}")
        } else {
            format!("{pin}: {name}")
        };
        let x = if pin % 2 == 1 { LEFT - 96 } else { LEFT - 28 };
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{}\" font-size=\"10\" text-anchor=\"end\" \
             fill=\"#444\">{label}</text>",
            y + 4
        );
    }
}

/// The lines of a note.
fn note_lines(note: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in note.split(' ') {
        let line = lines.last().unwrap();
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > NOTE {
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

/// A wire: right of its pin, along its lane, to its terminal.
struct Wire {
    pin: usize,
    lane: i64,
    /// Height of the terminal.
    to: i64,
}

impl Wire {
    /// Where it leaves the header: a pin of the left row by the gap below it.
    fn from(&self) -> (i64, i64) {
        let (x, y) = pin_at(self.pin);
        if self.pin % 2 == 1 {
            (x, y + PIN / 2)
        } else {
            (x + 10, y)
        }
    }

    fn path(&self) -> String {
        let (x, y) = self.from();
        let start = if self.pin % 2 == 1 {
            format!("M{x} {}V{y}", y - 3)
        } else {
            format!("M{x} {y}")
        };
        format!("{start}H{}V{}H{DEVICE}", self.lane, self.to)
    }

    /// Its horizontal parts: height, and from where to where.
    fn horizontals(&self) -> [(i64, i64, i64); 2] {
        let (x, y) = self.from();
        [(y, x, self.lane), (self.to, self.lane, DEVICE)]
    }
}

/// A device in its place.
struct Placed<'a> {
    device: &'a Device,
    y: i64,
    height: i64,
    wires: Vec<Wire>,
}

/// Puts the devices below each other. Terminals stand between the heights at which wires leave the
/// header, so that no two wires lie on each other.
fn placed(devices: &[Device]) -> Vec<Placed<'_>> {
    let (mut y, mut lane) = (60, LEFT + 80);
    let mut all = Vec::new();
    for device in devices {
        let step = PIN / 2;
        let first = TOP + 6 + (y + 30 - TOP - 6 + step - 1).div_euclid(step) * step;
        let mut wires = Vec::new();
        for (number, terminal) in device.terminals.iter().enumerate() {
            wires.push(Wire {
                pin: terminal.pin,
                lane,
                to: first + number as i64 * PIN,
            });
            lane += 15;
        }
        let rows = device.terminals.len() + device.elsewhere.len();
        let last = first + (rows as i64 - 1) * PIN;
        let height = last - y + 14 + note_lines(device.note).len() as i64 * 14;
        all.push(Placed {
            device,
            y,
            height,
            wires,
        });
        y += height + 14;
    }
    all
}

fn draw(title: &str, devices: &[Device]) -> String {
    let used: Vec<usize> = devices
        .iter()
        .flat_map(|device| device.terminals.iter().map(|terminal| terminal.pin))
        .collect();
    let all = placed(devices);
    let bottom = all.last().map_or(0, |placed| placed.y + placed.height);
    let height = (bottom + 20).max(20 * PIN + 90);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 {height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\">\n<title>{0}</title>\n\
         <rect width=\"960\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"20\" y=\"28\" font-size=\"16\" font-weight=\"bold\">{0}</text>\n\
         <text x=\"20\" y=\"46\" font-size=\"11\" fill=\"#444\">Header seen from above, pin 1 at \
         the corner of the board; a number is the pin, yellow: used here.</text>\n",
        escaped(title)
    );
    header(&mut svg, &used);
    let mut signal = 0;
    for placed in &all {
        let (device, y, height) = (placed.device, placed.y, placed.height);
        let _ = writeln!(
            svg,
            "<rect x=\"{DEVICE}\" y=\"{y}\" width=\"{BOX}\" height=\"{height}\" rx=\"8\" \
             fill=\"#fdfefe\" stroke=\"#234\"/>\
             <text x=\"{}\" y=\"{}\" font-size=\"13\" font-weight=\"bold\">{}</text>",
            DEVICE + 14,
            y + 18,
            escaped(&device.name),
        );
        for (terminal, wire) in device.terminals.iter().zip(&placed.wires) {
            let colour = match HEADER[terminal.pin - 1] {
                "GND" => "#111",
                "5 V" => "#e74c3c",
                "3.3 V" => "#f39c12",
                _ => {
                    signal += 1;
                    COLOURS[signal - 1]
                }
            };
            // A white edge: black is seen over the header, and which wire goes on at a crossing.
            let _ = writeln!(
                svg,
                "<path d=\"{0}\" fill=\"none\" stroke=\"#fff\" stroke-width=\"5\"/>\
                 <path d=\"{0}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.4\"/>\
                 <circle cx=\"{DEVICE}\" cy=\"{1}\" r=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{2}\" y=\"{3}\" font-size=\"12\">{4}</text>",
                wire.path(),
                wire.to,
                DEVICE + 14,
                wire.to + 4,
                escaped(&terminal.label)
            );
        }
        let right = DEVICE + BOX;
        for (row, (colour, label)) in (device.terminals.len()..).zip(device.elsewhere) {
            let y = placed.wires[0].to + row as i64 * PIN;
            let _ = writeln!(
                svg,
                "<path d=\"M{right} {y}H{}\" stroke=\"{colour}\" stroke-width=\"2.4\"/>\
                 <circle cx=\"{right}\" cy=\"{y}\" r=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"{}\" font-size=\"12\" text-anchor=\"end\">{}</text>",
                right + 20,
                right - 14,
                y + 4,
                escaped(label)
            );
        }
        let lines = note_lines(device.note);
        let first = y + height - 8 - (lines.len() as i64 - 1) * 14;
        for (number, line) in lines.iter().enumerate() {
            let _ = writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"10\" fill=\"#444\">{}</text>",
                DEVICE + 14,
                first + number as i64 * 14,
                escaped(line)
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Wires that lie on each other look like one, and a text beyond its box is cut off.
#[test]
fn wires_and_texts_have_room() {
    for board in ["rpi-zero2w", "rpi3", "rpi4"] {
        let devices = devices(&profile(board));
        let all = placed(&devices);
        let wires: Vec<&Wire> = all.iter().flat_map(|placed| &placed.wires).collect();
        for (at, one) in wires.iter().enumerate() {
            assert!(one.lane < DEVICE - 10, "{board}: pin {}", one.pin);
            for other in &wires[at + 1..] {
                assert_ne!(one.pin, other.pin, "{board}: one pin, two wires");
                for (y, from, to) in one.horizontals() {
                    for (other_y, other_from, other_to) in other.horizontals() {
                        let meet = from.max(other_from) < to.min(other_to);
                        let near = (y - other_y).abs() < 4;
                        let pins = (one.pin, other.pin);
                        assert!(!(meet && near), "{board}: pins {pins:?} at {y}");
                    }
                }
            }
        }
        for placed in &all {
            let device = placed.device;
            for terminal in &device.terminals {
                assert!(terminal.label.chars().count() <= 38, "{}", terminal.label);
            }
            for (_, label) in device.elsewhere {
                assert!(label.chars().count() <= 38, "{label}");
            }
            let fits = |line: &String| line.chars().count() <= NOTE;
            assert!(note_lines(device.note).iter().all(fits), "{}", device.name);
            let is_clear = placed.wires[0].to - placed.y >= 28;
            assert!(is_clear, "{}: its name and its first wire", device.name);
        }
    }
}

#[test]
fn wiring_drawings_match_the_profiles() {
    let board = "rpi-zero2w";
    let zero = profile(board);
    let mut drawings = Vec::new();
    let mut add = |file: &str, title: String, devices: &[Device]| {
        drawings.push((file.to_owned(), draw(&title, devices)));
    };
    for device in devices(&zero) {
        let file = device.name.split([' ', '(']).next().unwrap().to_owned();
        let mut title = format!("{}, profile {board}", device.name);
        title[..1].make_ascii_uppercase();
        add(&format!("{file}.svg"), title, &[device]);
    }
    add(
        "everything.svg",
        format!("Everything, profile {board}"),
        &devices(&zero),
    );
    let four = devices(&profile("rpi4"));
    let buzzer = four.iter().find(|device| device.name.starts_with("buzzer"));
    let title = "Buzzer, profile rpi4".to_owned();
    add("buzzer.svg", title, std::slice::from_ref(buzzer.unwrap()));
    let title = "Everything, profile rpi4 (USB sound card)".to_owned();
    add("everything-rpi4.svg", title, &four);
    for (file, svg) in drawings {
        write_or_compare(&format!("docs/guide/src/wiring/{file}"), &svg);
    }
}

/// The guide says so of the profile that has no drawing.
#[test]
fn rpi3_is_wired_as_rpi_zero2w() {
    let draw_of = |board| draw("", &devices(&profile(board)));
    assert_eq!(draw_of("rpi3"), draw_of("rpi-zero2w"));
}

/// Two wires of one drawing have two colours, except where the colour is the voltage.
#[test]
fn each_signal_has_a_colour_of_its_own() {
    for board in ["rpi-zero2w", "rpi4"] {
        let devices = devices(&profile(board));
        let svg = draw("", &devices);
        let wires = |colour: &&str| {
            let wire = format!("{colour}\" stroke-width=\"2.4\"/><circle cx=\"{DEVICE}\"");
            svg.matches(&wire).count()
        };
        let used: Vec<usize> = COLOURS.iter().map(wires).collect();
        assert!(used.iter().all(|count| *count <= 1), "{board}: {used:?}");
        assert!(used.iter().sum::<usize>() > 15, "{board}: {used:?}");
    }
}

/// A bell's driver has one supply, that of the coil: 5 V of the board would not start it.
#[test]
fn the_bell_is_not_fed_by_the_board() {
    for board in ["rpi-zero2w", "rpi3"] {
        let bell = ringer(&profile(board));
        assert!(bell.name.starts_with("bell"), "{board}: {}", bell.name);
        let pins: Vec<&str> = bell.terminals.iter().map(|t| HEADER[t.pin - 1]).collect();
        let is_fed = pins.iter().any(|pin| pin.ends_with(" V"));
        assert!(!is_fed && pins.contains(&"GND"), "{board}: {pins:?}");
        let svg = draw("bell", &[bell]);
        assert!(svg.contains(">VM: + of the coil's own supply<"));
        assert!(svg.contains(">GND: − of that supply<"));
    }
}

#[test]
fn the_header_has_each_line_once() {
    for line in 0..28 {
        let name = line.to_string();
        assert_eq!(
            HEADER.iter().filter(|pin| **pin == name).count(),
            1,
            "GPIO {line}"
        );
    }
    assert_eq!(HEADER.iter().filter(|pin| **pin == "GND").count(), 8);
    // As the pin charts have it.
    for (line, pin) in [
        (2, 3),
        (14, 8),
        (17, 11),
        (10, 19),
        (8, 24),
        (1, 28),
        (26, 37),
        (21, 40),
    ] {
        assert_eq!(pin_of(line), pin, "GPIO {line}");
    }
}

/// The comments of a profile say `GPIO 5 6 (pins 29 31)`: numbers and pins belong together.
#[test]
fn the_comments_of_the_profiles_name_the_right_pins() {
    for board in ["rpi-zero2w", "rpi3", "rpi4"] {
        let path = repository().join(format!("board/profiles/{board}/hardware.toml"));
        let text = std::fs::read_to_string(path).unwrap();
        let mut compared = 0;
        for part in text
            .lines()
            .filter(|line| line.starts_with('#'))
            .flat_map(|line| {
                line.split("(pin")
                    .collect::<Vec<_>>()
                    .windows(2)
                    .map(|pair| (pair[0].to_owned(), pair[1].to_owned()))
                    .collect::<Vec<_>>()
            })
        {
            let numbers = |text: &str| -> Vec<i64> {
                let words = text.split(|c: char| !c.is_ascii_digit());
                words.filter_map(|word| word.parse().ok()).collect()
            };
            let pins = numbers(part.1.trim_start_matches('s').split(')').next().unwrap());
            let mut lines = numbers(&part.0);
            let lines = lines.split_off(lines.len().saturating_sub(pins.len()));
            let found: Vec<i64> = lines.iter().map(|line| pin_of(*line) as i64).collect();
            assert_eq!(found, pins, "{board}: {}", part.0);
            compared += pins.len();
        }
        assert!(compared > 8, "{board}: {compared}");
    }
}
