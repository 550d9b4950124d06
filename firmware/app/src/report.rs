//! `offhook report`: how a call sounds or sounded, second by second, as text or as a drawing.
//!
//! ```text
//! ctl quality ─▶ one line a second │ SVG: quality, delay and jitter, loss, levels over the same seconds
//! ```

use std::fmt::Write;

use serde_json::{Value, json};

use crate::ctl::client::{Client, ClientError};

/// Size of a curve's field and of what is around it, in SVG units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 110.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 110.0;
/// Letters of a line that fit beside each other.
const LINE: usize = 110;
const BETWEEN: f64 = 46.0;

/// One field of the drawing.
struct Field {
    title: &'static str,
    /// What the field begins and ends with, at least.
    least: f64,
    most: f64,
    /// Key, colour, name.
    curves: &'static [(&'static str, &'static str, &'static str)],
}

const FIELDS: [Field; 4] = [
    Field {
        title: "quality (MOS)",
        least: 1.0,
        most: 4.5,
        curves: &[("mos", "#1b6", "estimated")],
    },
    Field {
        title: "milliseconds",
        least: 0.0,
        most: 40.0,
        curves: &[
            ("delay_ms", "#06c", "playout delay"),
            ("buffer_ms", "#939", "buffer aims at"),
            ("jitter_ms", "#c60", "jitter"),
            ("round_trip_ms", "#888", "round trip"),
        ],
    },
    Field {
        title: "packets a second",
        least: 0.0,
        most: 10.0,
        curves: &[("lost", "#c03", "lost"), ("late", "#c80", "late")],
    },
    Field {
        title: "level (dBm0)",
        least: -70.0,
        most: 0.0,
        curves: &[
            ("received_level_db", "#06c", "received"),
            ("sent_level_db", "#1b6", "sent"),
        ],
    },
];

/// Asks the phone about this call, or the one that is on or was last, and draws.
pub(crate) fn draw(
    client: &mut Client,
    call: Option<u32>,
    svg: bool,
) -> Result<String, ClientError> {
    let report = client.ask(&match call {
        Some(call) => json!({"cmd": "quality", "call": call}),
        None => json!({"cmd": "quality"}),
    })?;
    let report = &report["quality"];
    Ok(if svg { to_svg(report) } else { to_text(report) })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(0.0)
}

fn seconds(report: &Value) -> &[Value] {
    report["seconds"].as_array().map_or(&[], Vec::as_slice)
}

/// Which call, and how it sounded.
fn heading(report: &Value) -> (String, String) {
    let text = |key: &str| report[key].as_str().unwrap_or_default().to_owned();
    let whole = |key: &str| number(&report["summary"][key]);
    (
        format!(
            "call {} with {}, {}: {} s",
            report["call"],
            text("peer"),
            text("codec"),
            whole("seconds"),
        ),
        format!(
            "MOS {:.2} (worst second {:.2}), {} lost and {} late of {}, delay {:.1} ms (most \
             {:.1})",
            whole("mean_mos"),
            whole("worst_mos"),
            whole("lost"),
            whole("late"),
            whole("received") + whole("lost"),
            whole("mean_delay_ms"),
            whole("most_delay_ms"),
        ),
    )
}

/// What an end says of how it receives (RFC 3611 section 4.7); `None`: it says nothing.
fn metrics(who: &str, metrics: &Value) -> Option<String> {
    let object = metrics.as_object()?;
    let of = |key: &str| object.get(key).map_or(0.0, number);
    let known = |key: &str| match object.get(key) {
        Some(Value::Number(value)) => value.to_string(),
        Some(_) | None => "-".to_owned(),
    };
    Some(format!(
        "{who}: lost {:.2} %, discarded {:.2} %, bursts of {} ms with {:.0} % missing, gaps of {} \
         ms; R {}, MOS-LQ {}, MOS-CQ {}",
        of("loss") * 100.0,
        of("discarded") * 100.0,
        of("burst_ms"),
        of("burst_density") * 100.0,
        of("gap_ms"),
        known("r"),
        known("mos_lq"),
        known("mos_cq"),
    ))
}

/// The lines about both ends.
fn both_ends(report: &Value) -> Vec<String> {
    let ends = [
        ("this end", &report["metrics"]),
        ("the far end", &report["far_metrics"]),
    ];
    ends.into_iter()
        .filter_map(|(who, figures)| metrics(who, figures))
        .collect()
}

/// A line a second, with the quality as a bar.
fn to_text(report: &Value) -> String {
    let (call, figures) = heading(report);
    let mut out = format!("{call}, {figures}");
    for line in both_ends(report) {
        out.push('\n');
        out.push_str(&line);
    }
    out.push_str(
        "\n    s   MOS           delay  buffer  jitter  lost  late  made up  received      sent\n",
    );
    for second in seconds(report) {
        let of = |key: &str| number(&second[key]);
        let bar = "#".repeat(((of("mos") - 1.0) / 3.5 * 8.0).round().clamp(0.0, 8.0) as usize);
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:5} {:5.2} {bar:8} {:7.1} {:7.1} {:7.1} {:5} {:5} {:5} ms {:6.1} dB {:6.1} dB",
            of("s"),
            of("mos"),
            of("delay_ms"),
            of("buffer_ms"),
            of("jitter_ms"),
            of("lost"),
            of("late"),
            of("concealed_ms"),
            of("received_level_db"),
            of("sent_level_db"),
        );
    }
    out.truncate(out.trim_end().len());
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn to_svg(report: &Value) -> String {
    let all = seconds(report);
    let (call, figures) = heading(report);
    let height = TOP + FIELDS.len() as f64 * (HEIGHT + BETWEEN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"20\">{}</text>\n",
        LEFT + WIDTH + 20.0,
        escape(&call.chars().take(LINE).collect::<String>()),
    );
    let lines = std::iter::once(figures).chain(both_ends(report));
    for (n, line) in lines.enumerate() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "<text x=\"8\" y=\"{}\">{}</text>",
            38.0 + 18.0 * n as f64,
            escape(&line)
        );
    }
    for (n, field) in FIELDS.iter().enumerate() {
        draw_field(&mut out, field, all, TOP + n as f64 * (HEIGHT + BETWEEN));
    }
    out.push_str("</svg>");
    out
}

fn draw_field(out: &mut String, field: &Field, all: &[Value], top: f64) {
    let values = || {
        let keys = field.curves.iter().map(|(key, ..)| *key);
        keys.flat_map(|key| all.iter().map(move |second| number(&second[key])))
    };
    let least = values().fold(field.least, f64::min);
    let most = values().fold(field.most, f64::max);
    let x = |n: usize| LEFT + WIDTH * n as f64 / all.len().saturating_sub(1).max(1) as f64;
    let y = |value: f64| top + HEIGHT * (1.0 - (value - least) / (most - least));
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" \
         stroke=\"#999\"/>\n\
         <text x=\"{LEFT}\" y=\"{}\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\n",
        top - 8.0,
        field.title,
        LEFT - 6.0,
        top + 10.0,
        (most * 10.0).round() / 10.0,
        LEFT - 6.0,
        top + HEIGHT,
        (least * 10.0).round() / 10.0,
    );
    let mut name_at = LEFT + WIDTH;
    for (key, colour, name) in field.curves.iter().rev() {
        let points: Vec<String> = all
            .iter()
            .enumerate()
            .map(|(n, second)| format!("{:.1},{:.1}", x(n), y(number(&second[*key]))))
            .collect();
        let _ = write!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
             <text x=\"{name_at}\" y=\"{}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>\n",
            points.join(" "),
            top - 8.0,
        );
        name_at -= 8.0 * name.len() as f64 + 12.0;
    }
    if let (Some(first), Some(last)) = (all.first(), all.last()) {
        let _ = write!(
            out,
            "<text x=\"{LEFT}\" y=\"{0}\">{1} s</text>\n\
             <text x=\"{2}\" y=\"{0}\" text-anchor=\"end\">{3} s</text>\n",
            top + HEIGHT + 16.0,
            number(&first["s"]),
            LEFT + WIDTH,
            number(&last["s"]),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(seconds: usize) -> Value {
        let seconds: Vec<Value> = (0..seconds)
            .map(|s| {
                json!({
                    "s": s, "received": 50, "lost": if s == 3 { 20 } else { 0 }, "late": 0,
                    "concealed_ms": 0, "jitter_ms": 1.5, "delay_ms": 21.0,
                    "buffer_ms": 20.0, "round_trip_ms": 3.0,
                    "sent_level_db": -20.0, "received_level_db": -24.5,
                    "mos": if s == 3 { 2.1 } else { 4.3 },
                })
            })
            .collect();
        json!({
            "call": 4, "peer": "<anna>", "codec": "opus",
            "summary": {
                "seconds": 60, "received": 3000, "lost": 20, "late": 0, "concealed_ms": 100,
                "most_jitter_ms": 2.0, "mean_delay_ms": 21.0, "most_delay_ms": 22.0,
                "mean_mos": 4.2, "worst_mos": 2.1,
            },
            "metrics": {"loss": 0.0066, "discarded": 0.0, "burst_density": 0.5,
                "gap_density": 0.0, "burst_ms": 400, "gap_ms": 59_600, "r": 90,
                "mos_lq": 4.3, "mos_cq": 4.2},
            "far_metrics": {"loss": 0.0, "discarded": 0.0, "burst_density": 0.0,
                "gap_density": 0.0, "burst_ms": 0, "gap_ms": 60_000, "r": 93,
                "mos_lq": null, "mos_cq": 4.4},
            "seconds": seconds,
        })
    }

    #[test]
    fn a_line_a_second_and_the_whole_on_top() {
        let text = to_text(&report(10));
        assert_eq!(text.lines().count(), 14);
        assert!(text.starts_with("call 4 with <anna>, opus: 60 s, MOS 4.20 (worst second 2.10)"));
        let far = text.lines().nth(2).unwrap();
        assert!(far.starts_with("the far end: lost 0.00 %"), "{far}");
        assert!(far.ends_with("R 93, MOS-LQ -, MOS-CQ 4.4"), "{far}");
        let worst = text.lines().nth(7).unwrap();
        assert!(
            worst.contains(" 2.10 ###   ") && worst.contains("   20 "),
            "{worst}"
        );
    }

    #[test]
    fn every_curve_stays_within_its_field() {
        for count in [0, 1, 2, 60] {
            let svg = to_svg(&report(count));
            assert!(svg.contains("&lt;anna&gt;") && !svg.contains("<anna>"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let curves: Vec<&str> = svg
                .lines()
                .filter_map(|line| line.strip_prefix("<polyline points=\""))
                .collect();
            assert_eq!(curves.len(), 9);
            for points in curves {
                let points = points.split('"').next().unwrap();
                for point in points.split_whitespace() {
                    let (x, y) = point.split_once(',').unwrap();
                    let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                    assert!((LEFT..=LEFT + WIDTH).contains(&x), "{point}");
                    let within = (0..FIELDS.len()).any(|n| {
                        let top = TOP + n as f64 * (HEIGHT + BETWEEN);
                        (top - 0.1..=top + HEIGHT + 0.1).contains(&y)
                    });
                    assert!(within, "{point}");
                }
            }
        }
    }
}
