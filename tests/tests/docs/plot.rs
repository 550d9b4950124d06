//! The plot of the guide: what `offhook ctl stats` shows of a call while the network is bad for a
//! quarter of a minute, out of two phones in virtual time.
//!
//! ```text
//! World (10 s good, 15 s jitter and loss, 35 s good) ─▶ StreamStats each half second ─▶ screens/bad-network.svg
//! ```

use std::fmt::Write as _;

use offhook_tests::world::{Setup, World, ms, secs};
use testkit::network::{Jitter, Link, Loss};

use crate::write_or_compare;

/// Begin and end of the bad time, and the end of the call, in seconds.
const BAD: (f64, f64) = (10.0, 25.0);
const LENGTH: f64 = 60.0;

/// What was counted in half a second.
struct Sample {
    at_s: f64,
    /// Length of the jitter buffer.
    delay_ms: f64,
    /// Sound that was made up for what did not arrive.
    concealed_ms: f64,
}

fn samples() -> Vec<Sample> {
    let (mut world, l, r) = World::pair("the plot of the guide", 7, &Setup::default());
    world.connect(l, r);
    let begin = world.now();
    let since = |world: &World| world.now().saturating_sub(begin).as_secs_f64();
    let (mut all, mut concealed) = (Vec::new(), 0);
    for (until, link) in [
        (BAD.0, Link::default()),
        (
            BAD.1,
            Link {
                jitter: Jitter::Normal { sd: ms(40) },
                loss: Loss::Random(0.05),
                ..Link::default()
            },
        ),
        (LENGTH, Link::default()),
    ] {
        world.network.set_default(link);
        while since(&world) < until {
            world.run(ms(500));
            let stats = world[r].stream_stats()[0];
            all.push(Sample {
                at_s: since(&world),
                delay_ms: f64::from(stats.delay_ms),
                concealed_ms: (stats.concealed_ms - concealed) as f64,
            });
            concealed = stats.concealed_ms;
        }
    }
    world.run(secs(1));
    world.quiet();
    all
}

/// Left and right edge, and the base and height of a curve.
const EDGE: (f64, f64) = (70.0, 880.0);

fn x(at_s: f64) -> f64 {
    EDGE.0 + at_s / LENGTH * (EDGE.1 - EDGE.0)
}

/// One curve with its axis.
fn curve(svg: &mut String, base: f64, top: f64, most: f64, name: &str, points: &[(f64, f64)]) {
    let y = |value: f64| base - (value / most).min(1.0) * (base - top);
    let _ = writeln!(
        svg,
        "<text x=\"{0}\" y=\"{1}\" font-weight=\"bold\">{name}</text>\n\
         <path d=\"M{0} {base}H{2}\" stroke=\"#333\"/>",
        EDGE.0,
        top - 10.0,
        EDGE.1
    );
    for value in [0.0, most / 2.0, most] {
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\" fill=\"#444\">{value} ms</text>",
            EDGE.0 - 8.0,
            y(value) + 4.0
        );
    }
    let line: Vec<String> = points
        .iter()
        .map(|(at, value)| format!("{:.0},{:.0}", x(*at), y(*value)))
        .collect();
    let _ = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"#2471a3\" stroke-width=\"2\"/>",
        line.join(" ")
    );
}

fn drawn(samples: &[Sample]) -> String {
    let title = "A call while the network is bad for fifteen seconds";
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 900 380\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect width=\"900\" height=\"380\" fill=\"#fff\"/>\n\
         <rect x=\"{0:.0}\" y=\"28\" width=\"{1:.0}\" height=\"318\" fill=\"#fbe9e7\"/>\n\
         <text x=\"{2:.0}\" y=\"22\" fill=\"#444\">5 % lost, jitter of 40 ms</text>\n",
        x(BAD.0),
        x(BAD.1) - x(BAD.0),
        x(BAD.0),
    );
    let delay: Vec<_> = samples.iter().map(|s| (s.at_s, s.delay_ms)).collect();
    let made_up: Vec<_> = samples.iter().map(|s| (s.at_s, s.concealed_ms)).collect();
    curve(
        &mut svg,
        170.0,
        60.0,
        200.0,
        "delay_ms: the jitter buffer",
        &delay,
    );
    curve(
        &mut svg,
        340.0,
        230.0,
        100.0,
        "concealed_ms, in each half second",
        &made_up,
    );
    for second in (0..=60).step_by(10) {
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"362\" text-anchor=\"middle\" fill=\"#444\">{second} s</text>",
            x(f64::from(second))
        );
    }
    svg + "</svg>\n"
}

#[test]
fn the_plot_of_the_guide_shows_a_bad_network() {
    let samples = samples();
    let mean = |from: f64, to: f64, value: fn(&Sample) -> f64| {
        let part: Vec<f64> = samples
            .iter()
            .filter(|sample| (from..to).contains(&sample.at_s))
            .map(value)
            .collect();
        part.iter().sum::<f64>() / part.len() as f64
    };
    let delay = |from, to| mean(from, to, |sample| sample.delay_ms);
    let made_up = |from, to| mean(from, to, |sample| sample.concealed_ms);
    assert!(delay(20.0, 25.0) > delay(5.0, 10.0) + 20.0);
    assert!(made_up(10.0, 25.0) > 5.0 && made_up(5.0, 10.0) < 1.0);
    assert!(made_up(45.0, 60.0) < 1.0);
    write_or_compare("docs/guide/src/screens/bad-network.svg", &drawn(&samples));
}
