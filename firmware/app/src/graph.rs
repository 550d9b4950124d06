//! The audio path as it is wired now, with live counters: DOT for Graphviz, or a drawing of our own
//! layout as SVG.
//!
//! ```text
//! ctl stats + status ─▶ path ─▶ boxes and arrows ─┬▶ dot
//!                                                 └▶ svg (columns left to right, one row a call; no other program needed)
//! ```

mod svg;

use std::fmt::Write;

use serde_json::{Value, json};

use crate::ctl::client::{Client, ClientError};

/// One stage of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stage {
    id: String,
    /// What it is, then what it counts: one line each.
    lines: Vec<String>,
    column: usize,
    row: usize,
}

/// The whole drawing.
#[derive(Debug, Default)]
struct Path {
    stages: Vec<Stage>,
    arrows: Vec<(String, String)>,
}

impl Path {
    fn stage(&mut self, id: &str, column: usize, row: usize, lines: Vec<String>) {
        self.stages.push(Stage {
            id: id.to_owned(),
            lines,
            column,
            row,
        });
    }

    fn arrow(&mut self, from: &str, to: &str) {
        self.arrows.push((from.to_owned(), to.to_owned()));
    }
}

/// Asks the phone and draws.
pub(crate) fn draw(client: &mut Client, svg: bool) -> Result<String, ClientError> {
    let status = client.ask(&json!({"cmd": "status"}))?;
    let stats = client.ask(&json!({"cmd": "stats"}))?;
    let path = path(&status, &stats);
    Ok(if svg { svg::draw(&path) } else { to_dot(&path) })
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn path(status: &Value, stats: &Value) -> Path {
    let mut path = Path::default();
    let audio = &status["audio"];
    let card = |title: &str, level: &Value| {
        vec![
            title.to_owned(),
            text(&audio["device"]),
            format!(
                "{} dBm0, period {} ms",
                text(level),
                text(&audio["period_ms"])
            ),
        ]
    };
    path.stage(
        "microphone",
        0,
        0,
        card("microphone", &audio["capture_level_db"]),
    );
    path.stage("ear", 5, 0, card("earpiece", &audio["playback_level_db"]));
    path.stage(
        "mixer",
        4,
        0,
        vec!["mixer".into(), format!("xruns {}", text(&audio["xruns"]))],
    );
    path.stage("tones", 3, 0, vec!["tones".into(), text(&status["tone"])]);
    path.arrow("tones", "mixer");
    path.arrow("mixer", "ear");
    let mut row = 1;
    for call in stats["calls"].as_array().into_iter().flatten() {
        let id = text(&call["id"]);
        let known = status["calls"]
            .as_array()
            .and_then(|calls| calls.iter().find(|known| known["id"] == call["id"]));
        let of = |key: &str| known.map_or_else(|| "-".into(), |known| text(&known[key]));
        let figure = |key: &str| text(&call[key]);
        let name = |stage: &str| format!("{stage}{id}");
        path.stage(
            &name("encode"),
            1,
            row,
            vec![
                format!("encode {}", of("codec")),
                format!("ptime {} ms", of("ptime_ms")),
                format!("{} dBm0", figure("sent_level_db")),
            ],
        );
        path.stage(
            &name("rtp_out"),
            2,
            row,
            vec![
                "RTP out".into(),
                format!("sent {}", figure("sent")),
                format!("encryption {}", of("encryption")),
            ],
        );
        path.stage(
            &name("peer"),
            3,
            row,
            vec![
                of("peer"),
                of("state"),
                format!("round trip {} ms", figure("round_trip_ms")),
            ],
        );
        row += 1;
        path.stage(
            &name("rtp_in"),
            2,
            row,
            vec![
                "RTP in".into(),
                format!("received {}, lost {}", figure("received"), figure("lost")),
                format!("late {}, jitter {} ms", figure("late"), figure("jitter_ms")),
            ],
        );
        path.stage(
            &name("jitter"),
            3,
            row,
            vec![
                "jitter buffer".into(),
                format!("delay {} ms", figure("delay_ms")),
                format!("drift {} ppm", figure("drift_ppm")),
            ],
        );
        path.stage(
            &name("decode"),
            4,
            row,
            vec![
                "decode, conceal".into(),
                format!("concealed {} ms", figure("concealed_ms")),
                format!("MOS {}", figure("mos")),
            ],
        );
        row += 1;
        for (from, to) in [
            ("encode", "rtp_out"),
            ("rtp_out", "peer"),
            ("peer", "rtp_in"),
            ("rtp_in", "jitter"),
            ("jitter", "decode"),
        ] {
            path.arrow(&name(from), &name(to));
        }
        path.arrow("microphone", &name("encode"));
        path.arrow(&name("decode"), "mixer");
    }
    path
}

fn to_dot(path: &Path) -> String {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut out = String::from(
        "digraph audio {\n    rankdir=LR;\n    node [shape=box, fontname=\"sans-serif\"];\n",
    );
    for stage in &path.stages {
        let label: Vec<String> = stage.lines.iter().map(|line| quote(line)).collect();
        let _ = writeln!(
            out,
            "    \"{}\" [label=\"{}\"];",
            stage.id,
            label.join("\\n")
        );
    }
    for (from, to) in &path.arrows {
        let _ = writeln!(out, "    \"{from}\" -> \"{to}\";");
    }
    out.push_str("}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talking() -> Path {
        let status = json!({
            "audio": {"device": "hw:0", "period_ms": 5.0, "xruns": 3, "capture_level_db": -20.5,
                "playback_level_db": null},
            "tone": null,
            "calls": [{"id": 7, "codec": "opus", "ptime_ms": 20, "encryption": "none",
                "peer": "\"Anna\" <sip:a@b>", "state": "talking"}],
        });
        let stats = json!({"calls": [{"id": 7, "sent": 100, "received": 99, "lost": 1,
            "jitter_ms": 0.5, "delay_ms": 21.0}]});
        path(&status, &stats)
    }

    #[test]
    fn both_ways_of_a_call_are_wired_end_to_end() {
        let path = talking();
        let next = |id: &str| {
            path.arrows
                .iter()
                .filter(|(from, _)| from == id)
                .map(|(_, to)| to.as_str())
                .collect::<Vec<_>>()
        };
        let mut at = "microphone";
        let mut walked = vec![at];
        while let [to] = next(at)[..] {
            at = to;
            walked.push(at);
        }
        assert_eq!(
            walked,
            [
                "microphone",
                "encode7",
                "rtp_out7",
                "peer7",
                "rtp_in7",
                "jitter7",
                "decode7",
                "mixer",
                "ear"
            ]
        );
    }

    #[test]
    fn names_cannot_break_out_of_the_drawing() {
        let dot = to_dot(&talking());
        assert!(dot.contains(r#"\"Anna\" <sip:a@b>"#), "{dot}");
        assert!(dot.contains("received 99, lost 1"), "{dot}");
        let svg = svg::draw(&talking());
        assert!(
            svg.contains("&lt;sip:a@b&gt;") && !svg.contains("<sip:"),
            "{svg}"
        );
        assert_eq!(svg.matches("<rect x=").count(), talking().stages.len());
    }

    #[test]
    fn an_idle_phone_has_a_card_and_no_call() {
        let path = path(&json!({"audio": {}}), &json!({"calls": []}));
        assert_eq!(path.stages.len(), 4);
    }
}
