//! What the panel shows: pure, from what `status` says to at most 24 lines of at most 80 columns.

use serde_json::Value;
use types::Lamp;

/// Columns and rows of the smallest terminal.
pub(super) const WIDTH: usize = 79;
#[cfg(test)]
const HEIGHT: usize = 24;
/// Quietest level a meter shows, and its length.
const METER_FLOOR: f64 = -60.0;
const METER: usize = 24;

/// Everything that is drawn.
pub(super) struct Face<'a> {
    pub(super) status: &'a Value,
    pub(super) lamps: &'a [(String, String); Lamp::ALL.len()],
    pub(super) lines: &'a [String],
    pub(super) speed_dial: &'a [(String, String)],
    pub(super) pressed: Option<char>,
    pub(super) blink: bool,
}

impl Face<'_> {
    /// The whole screen.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut left = self.telephone();
        let right = self.display();
        left.resize(left.len().max(right.len()), String::new());
        let mut screen = vec![self.title(), String::new()];
        for (row, left) in left.iter().enumerate() {
            let right = right.get(row).map_or("", String::as_str);
            screen.push(cut(&format!("{}{right}", pad(left, 26)), WIDTH));
        }
        screen.push(String::new());
        screen.extend(
            self.lines
                .iter()
                .map(|line| cut(&format!(" · {}", plain(line)), WIDTH)),
        );
        screen.push(" space: hook   0-9 * #: keys   f: flash   q: quit".to_owned());
        screen
    }

    fn title(&self) -> String {
        let line = self.status["lines"]
            .as_array()
            .and_then(|lines| lines.first());
        let who = match line {
            Some(line) if line["registered"] == true => text(&line["uri"]),
            Some(line) => format!("{} (not registered)", text(&line["uri"])),
            None => "no account: direct calls only".to_owned(),
        };
        let lamp = |index: usize, name: &str| {
            let lit = match self.lamps[index].1.as_str() {
                "on" => true,
                "slow" | "fast" => self.blink,
                code if code.starts_with("code-") => self.blink,
                _ => false,
            };
            format!("{} {name}", if lit { "●" } else { "○" })
        };
        let lamps = [
            lamp(0, "line"),
            lamp(1, "in use"),
            lamp(2, "message"),
            lamp(3, "encrypted"),
        ]
        .join("   ");
        let program = format!(" OFFHOOK {}   ", text(&self.status["version"]));
        // What is too long is cut from the address: the lamps are seen whole.
        let room = WIDTH.saturating_sub(program.chars().count() + 3 + lamps.chars().count());
        let who = plain(&who);
        let who = if who.chars().count() > room {
            format!("{}…", cut(&who, room.saturating_sub(1)))
        } else {
            who
        };
        cut(&format!("{program}{who}   {lamps}"), WIDTH)
    }

    fn telephone(&self) -> Vec<String> {
        let off = self.status["hook"] == "off";
        let ringing = self.status["state"] == "ringing" && self.blink;
        let mut out = vec![
            match (off, ringing) {
                (true, _) => "                    ".to_owned(),
                (false, true) => "  ((╭═══════════╮)) ".to_owned(),
                (false, false) => "    ╭═══════════╮   ".to_owned(),
            },
            " ╭──┴───────────┴──╮".to_owned(),
        ];
        for row in ["123", "456", "789", "*0#"] {
            let keys: Vec<String> = row
                .chars()
                .map(|key| {
                    if self.pressed == Some(key) {
                        format!("▐{key}▌")
                    } else {
                        format!("[{key}]")
                    }
                })
                .collect();
            out.push(format!(" │   {}   │", keys.join(" ")));
        }
        out.push(" ╰─────────────────╯".to_owned());
        out.push(
            if off {
                "  the handset is lifted"
            } else {
                "  the handset is down"
            }
            .to_owned(),
        );
        out
    }

    fn display(&self) -> Vec<String> {
        let status = self.status;
        let audio = &status["audio"];
        let mut out = vec![
            format!("state     {}", text(&status["state"]).replace('_', " ")),
            format!("hears     {}", self.heard()),
            format!("ear       {}", meter(&audio["playback_level_db"])),
            format!("mouth     {}", meter(&audio["capture_level_db"])),
            format!("card      {}", cut(&plain(&text(&audio["device"])), 42)),
            format!(
                "          {} ms periods, {} xruns{}",
                text(&audio["period_ms"]),
                text(&audio["xruns"]),
                if audio["rt"] == true {
                    ""
                } else {
                    ", not real-time"
                },
            ),
        ];
        let calls = status["calls"].as_array().cloned().unwrap_or_default();
        for call in calls.iter().take(2) {
            let rtp = &call["rtp"];
            out.push(String::new());
            out.push(format!(
                "call {}    {} {}",
                call["id"],
                text(&call["state"]),
                plain(&text(&call["peer"]))
            ));
            out.push(format!(
                "          {} {} ms, set up in {} ms, MOS {}",
                text(&call["codec"]),
                text(&call["ptime_ms"]),
                text(&call["setup_ms"]),
                text(&rtp["mos"])
            ));
            out.push(format!(
                "          lost {}, late {}, concealed {}",
                rtp["lost"], rtp["late"], rtp["concealed"]
            ));
            out.push(format!(
                "          jitter {} ms, delay {} ms",
                rtp["jitter_ms"], rtp["delay_ms"]
            ));
            if let Some(words) = call["identity"]["words"].as_str() {
                out.push(format!(
                    "key words {words} ({})",
                    text(&call["identity"]["trust"])
                ));
            }
        }
        if calls.is_empty() {
            out.push(String::new());
            for (key, target) in self.speed_dial.iter().take(4) {
                out.push(format!("{key:<9} dials {}", plain(target)));
            }
        }
        out
    }

    fn heard(&self) -> String {
        if let Some(tone) = self.status["tone"].as_str() {
            return format!("{} tone", tone.replace('_', " "));
        }
        let calls = self.status["calls"].as_array();
        let talking = calls.and_then(|calls| {
            calls
                .iter()
                .find(|call| call["state"] == "talking" || call["state"] == "early_media")
        });
        talking.map_or_else(|| "nothing".to_owned(), |call| plain(&text(&call["peer"])))
    }
}

fn meter(level: &Value) -> String {
    let Some(level) = level.as_f64() else {
        return format!("[{}]", " ".repeat(METER));
    };
    let filled =
        ((level - METER_FLOOR) / -METER_FLOOR * METER as f64).clamp(0.0, METER as f64) as usize;
    format!(
        "[{}{}] {level:.0} dBm0",
        "█".repeat(filled),
        " ".repeat(METER - filled)
    )
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What others chose (names, reasons) may not move our cursor.
fn plain(text: &str) -> String {
    control::readable::displayable(text)
}

fn cut(text: &str, columns: usize) -> String {
    text.chars().take(columns).collect()
}

fn pad(text: &str, columns: usize) -> String {
    let length = text.chars().count();
    format!("{text}{}", " ".repeat(columns.saturating_sub(length)))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;
    use serde_json::json;

    fn face(status: &Value, lines: &[String], pressed: Option<char>) -> Vec<String> {
        let mut lamps = <[(String, String); Lamp::ALL.len()]>::default();
        for (lamp, state) in lamps.iter_mut().zip(["on", "off", "fast", "on"]) {
            state.clone_into(&mut lamp.1);
        }
        let speed_dial: Vec<(String, String)> = (0..9)
            .map(|n| (n.to_string(), "sip:echo@127.0.0.1:5072".to_owned()))
            .collect();
        Face {
            status,
            lamps: &lamps,
            lines,
            speed_dial: &speed_dial,
            pressed,
            blink: true,
        }
        .lines()
    }

    fn busy() -> Value {
        let call = json!({"id": 1, "state": "talking", "peer": "Anna \u{1b}[2J".repeat(20),
            "codec": "opus", "ptime_ms": 20, "setup_ms": 12,
            "rtp": {"lost": 0, "late": 0, "concealed": 0, "jitter_ms": 0.1, "delay_ms": 22.0,
                "mos": 4.4}});
        json!({"hook": "off", "state": "talking", "tone": null, "version": "0.1.0",
            "lines": [{"uri": "sip:101@pbx", "registered": true}],
            "calls": [call, call, call], "audio": {"device": "hw:0".repeat(40), "rt": false,
                "period_ms": 5.0, "xruns": 0,
            "capture_level_db": -20.0, "playback_level_db": 5.0}})
    }

    #[test]
    fn the_busiest_screen_fits_the_smallest_terminal() {
        let lines: Vec<String> = (0..super::super::LINES)
            .map(|_| "x\n".repeat(200))
            .collect();
        for status in [busy(), json!({})] {
            let screen = face(&status, &lines, Some('5'));
            assert!(screen.len() <= HEIGHT, "{} lines", screen.len());
            for line in &screen {
                assert!(line.chars().count() <= WIDTH, "{line}");
                assert!(!line.chars().any(char::is_control), "{line:?}");
            }
        }
    }

    /// The screen of a call, as a picture.
    fn picture() -> String {
        let call = json!({"id": 1, "state": "talking", "peer": "Anna <sip:102@pbx>",
            "codec": "opus",
            "ptime_ms": 20, "setup_ms": 12, "encryption": "dtls",
            "rtp": {"lost": 0, "late": 0, "concealed": 0, "jitter_ms": 0.4, "delay_ms": 22.0,
                    "mos": 4.4}});
        let status = json!({"hook": "off", "state": "talking", "tone": null, "version": "0.1.0",
            "lines": [{"uri": "sip:101@pbx", "registered": true}], "calls": [call],
            "audio": {"device": "hw:CARD=Device", "rt": true, "period_ms": 5.0, "xruns": 0,
                      "capture_level_db": -23.0, "playback_level_db": -19.0}});
        let lines = ["registered 101@pbx", "call to 102 established"].map(str::to_owned);
        let screen = face(&status, &lines, Some('2'));
        let height = screen.len() * 18 + 28;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 780 {height}\" \
             font-family=\"DejaVu Sans Mono, Menlo, Consolas, monospace\" font-size=\"15\">\n\
             <title>offhook sim: a call</title>\n\
             <rect width=\"780\" height=\"{height}\" rx=\"8\" fill=\"#1c1f24\"/>\n"
        );
        for (row, line) in screen.iter().enumerate() {
            let line = line.replace('&', "&amp;").replace('<', "&lt;");
            let y = row * 18 + 30;
            let _ = writeln!(
                svg,
                "<text x=\"18\" y=\"{y}\" fill=\"#d8dee9\" xml:space=\"preserve\">{line}</text>"
            );
        }
        svg + "</svg>\n"
    }

    #[test]
    fn the_picture_of_the_panel_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pictures/panel.svg");
        let wanted = picture();
        if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
            std::fs::write(path, &wanted).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found == wanted,
            "docs/pictures/panel.svg is out of date; run `make docs`"
        );
    }

    #[test]
    fn a_long_address_leaves_the_lamps_whole() {
        for uri in ["sip:a@b", "sip:101@pbx.example.org", &"sip:x@".repeat(30)] {
            let mut status = busy();
            status["lines"] = json!([{"uri": uri, "registered": true}]);
            let title = face(&status, &[], None).swap_remove(0);
            assert!(title.ends_with("   ● encrypted"), "{title}");
            assert!(title.contains("   sip:"), "{title}");
            assert!(title.chars().count() <= WIDTH, "{title}");
            assert_eq!(title.contains('…'), uri.len() > 20, "{title}");
        }
    }

    #[test]
    fn what_counts_is_on_the_screen() {
        let screen = face(&busy(), &[], Some('5')).join("\n");
        for wanted in [
            "● line",
            "○ in use",
            "● message",
            "▐5▌",
            "handset is lifted",
            "MOS 4.4",
            "delay 22.0 ms",
            "not real-time",
            "opus",
        ] {
            assert!(screen.contains(wanted), "{wanted} is missing:\n{screen}");
        }
        let idle = face(
            &json!({"hook": "on", "state": "idle", "tone": "dial"}),
            &[],
            None,
        )
        .join("\n");
        assert!(
            idle.contains("dial tone")
                && idle.contains("handset is down")
                && idle.contains("sip:echo@"),
            "{idle}"
        );
    }
}
