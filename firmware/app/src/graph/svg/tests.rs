//! What is drawn, measured: texts against their boxes, arrows against all boxes.

use serde_json::json;

use super::*;
use crate::graph::path;

/// A phone with so many calls, whose texts are long.
fn busy(calls: usize) -> Path {
    let ids: Vec<usize> = (1..=calls).collect();
    let known: Vec<_> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "codec": "opus", "ptime_ms": 20,
                "encryption": "dtls-srtp (AEAD_AES_256_GCM)", "state": "talking",
                "peer": "\"Wilhelmina Mommsen-Weber (MMMMMM)\" <sip:wwwwww@mmmm.example.org>"})
        })
        .collect();
    let figures: Vec<_> = ids
        .iter()
        .map(|id| {
            json!({"id": id, "sent": 4_294_967_295_u32, "received": 4_294_967_295_u32,
                "lost": 4_294_967_295_u32, "late": 4_294_967_295_u32, "jitter_ms": 1234.56,
                "delay_ms": 1234.5, "drift_ppm": -123.4, "concealed_ms": 4_294_967_295_u32,
                "mos": 4.41, "round_trip_ms": 1234.56, "sent_level_db": -123.4})
        })
        .collect();
    path(
        &json!({
            "audio": {"device": "plughw:CARD=Device_with_a_long_name,DEV=0", "period_ms": 5.0,
                "xruns": 123_456, "capture_level_db": -120.5, "playback_level_db": -120.5},
            "tone": "special-information-tone",
            "calls": known,
        }),
        &json!({"calls": figures}),
    )
}

/// The numbers of an attribute.
fn numbers(element: &str, name: &str) -> Vec<f64> {
    let Some(at) = element.find(&format!(" {name}=\"")) else {
        return Vec::new();
    };
    let value = &element[at + name.len() + 3..];
    value[..value.find('"').unwrap()]
        .split([' ', ','])
        .map(|number| number.parse().unwrap())
        .collect()
}

fn frames(svg: &str) -> Vec<[f64; 4]> {
    svg.lines()
        .filter(|line| line.starts_with("<rect x="))
        .map(|line| ["x", "y", "width", "height"].map(|name| numbers(line, name)[0]))
        .collect()
}

fn contains([x, y, w, h]: [f64; 4], at: (f64, f64), slack: f64) -> bool {
    (x - slack..=x + w + slack).contains(&at.0) && (y - slack..=y + h + slack).contains(&at.1)
}

#[test]
fn every_text_fits_its_box() {
    for calls in 0..4 {
        let svg = draw(&busy(calls));
        let mut frame = [0.0; 4];
        let mut texts = 0;
        for line in svg.lines() {
            if line.starts_with("<rect x=") {
                frame = ["x", "y", "width", "height"].map(|name| numbers(line, name)[0]);
            } else if line.starts_with("<text") {
                let (x, y) = (numbers(line, "x")[0], numbers(line, "y")[0]);
                let text = &line[line.find('>').unwrap() + 1..line.find("</").unwrap()];
                let text = text
                    .replace("&lt;", "<")
                    .replace("&gt;", ">")
                    .replace("&amp;", "&");
                let end = x + width(&text);
                assert!(
                    contains(frame, (end + PADDING / 2.0, y + 3.0), 0.0),
                    "{text}"
                );
                assert!(
                    contains(frame, (x - PADDING / 2.0, y - FONT_SIZE), 0.0),
                    "{text}"
                );
                texts += 1;
            }
        }
        assert!(texts >= 10 + 18 * calls);
    }
}

#[test]
fn every_arrow_runs_from_edge_to_edge_through_no_box() {
    for calls in 0..4 {
        let path = busy(calls);
        let (svg, columns) = (draw(&path), Columns::new(&path));
        let boxes = frames(&svg);
        let find = |id: &String| {
            let stage = path.stages.iter().find(|stage| stage.id == *id).unwrap();
            let Frame { x, y, width } = columns.frame(stage);
            [x, y, width, BOX_HEIGHT]
        };
        let lines: Vec<&str> = svg.lines().filter(|l| l.starts_with("<polyline")).collect();
        assert_eq!(lines.len(), path.arrows.len());
        for (line, (from, to)) in lines.iter().zip(&path.arrows) {
            let numbers = numbers(line, "points");
            let points: Vec<(f64, f64)> = numbers.chunks(2).map(|p| (p[0], p[1])).collect();
            for (end, id) in [(points[0], from), (points[points.len() - 1], to)] {
                let frame = find(id);
                assert!(
                    contains(frame, end, 0.0) && !contains(frame, end, -0.01),
                    "{from} to {to}: {end:?} is not on the edge of {frame:?}"
                );
            }
            for pair in points.windows(2) {
                for step in 0..=200 {
                    let part = f64::from(step) / 200.0;
                    let at = (
                        pair[0].0 + (pair[1].0 - pair[0].0) * part,
                        pair[0].1 + (pair[1].1 - pair[0].1) * part,
                    );
                    let crossed = boxes.iter().find(|frame| contains(**frame, at, -0.01));
                    assert_eq!(crossed, None, "{from} to {to} at {at:?}");
                }
            }
        }
    }
}

#[test]
fn long_texts_are_cut() {
    let long = "M".repeat(100);
    let short = fitting(&long);
    assert!(short.ends_with('…') && width(&short) <= MOST_WIDTH - 2.0 * PADDING);
    assert_eq!(fitting("received 99"), "received 99");
}
