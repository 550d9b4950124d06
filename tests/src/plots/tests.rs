use std::fmt::Write as _;

use super::*;

const PAGE: &str = "\
# Budgets

| figure | budget | Offhook | baresip | pjsua |
|---|---|---|---|---|
| speech at 0 % loss, Pcmu, PESQ NB | above every peer | 1.11 | – | – |
| speech at 10 % loss, Pcmu, PESQ NB | above every peer | 2.70 | 2.24 | – |
| CPU of one core, G722 by SDES, card at 8000 Hz | below peers | 1.13 % (1.10–1.20) | 1.48 % | – |
| CPU of one core, Pcmu in clear, card at 48000 Hz | below every peer | 1.37 % | 1.18 % | 0.60 % |
| CPU of one core, one Pcmu call | below every peer | 7.77 % | – | – |

## By itself: quality

| figure | budget | Offhook | baresip | pjsua |
|---|---|---|---|---|
| one-way delay mouth to ear at 0 % loss, Opus | below peers | 37.6 ms (37.1–38.0) | 246.3 ms | – |
| one-way delay mouth to ear at 3 % loss, Opus | below every peer | 38.2 ms | 246.9 ms | – |
| speech at 0 % loss, Pcmu, PESQ NB | above every peer | 4.30 | 4.30 | – |
| speech, 5.0 % lost in bursts (G.191 patb5pct), Pcmu, PESQ NB | above every peer | 3.33 | – | – |
";

/// A text of a picture: left, right, base line, classes, words. Widths are those of `DejaVu` Sans,
/// rounded up.
struct Text {
    x: (f64, f64),
    y: f64,
    class: String,
    words: String,
}

fn attribute<'a>(tag: &'a str, name: &str) -> &'a str {
    let (_, rest) = tag.split_once(&format!(" {name}=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

fn texts(picture: &str) -> Vec<Text> {
    let tags = picture.split("<text").skip(1);
    let text = |rest: &str| {
        let (tag, rest) = rest.split_once('>').unwrap();
        let words = rest.split_once('<').unwrap().0.to_owned();
        let class = attribute(tag, "class").to_owned();
        let is = |wanted: &str| class.split(' ').any(|class| class == wanted);
        let letter = if is("h") { 9.0 } else { 7.0 };
        let width = words.chars().count() as f64 * letter;
        let x: f64 = attribute(tag, "x").parse().unwrap();
        let left = match (is("e"), is("m")) {
            (true, _) => x - width,
            (_, true) => x - width / 2.0,
            _ => x,
        };
        Text {
            x: (left, left + width),
            y: attribute(tag, "y").parse().unwrap(),
            class,
            words,
        }
    };
    tags.map(text).collect()
}

/// The numbers of a picture with the phone each belongs to.
fn drawn(picture: &str) -> Vec<(String, String)> {
    let all = texts(picture).into_iter();
    let mut values: Vec<_> = all
        .filter_map(|text| Some((text.class.strip_prefix("v ")?.to_owned(), text.words)))
        .collect();
    values.sort();
    values
}

fn owned(values: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(phone, text): &(&str, &str)| ((*phone).to_owned(), (*text).to_owned());
    values.iter().map(own).collect()
}

/// Places of the dots of a phone.
fn dots(picture: &str, phone: usize) -> Vec<(f64, f64)> {
    let tags = picture.lines().filter(|line| line.starts_with("<circle"));
    tags.filter(|tag| attribute(tag, "class") == format!("f{phone}"))
        .map(|tag| {
            let at = |name| attribute(tag, name).parse().unwrap();
            (at("cx"), at("cy"))
        })
        .collect()
}

fn assert_texts_are_apart(picture: &str) {
    let (_, size) = picture.split_once("viewBox=\"0 0 ").unwrap();
    let (width, rest) = size.split_once(' ').unwrap();
    let height: f64 = rest.split_once('"').unwrap().0.parse().unwrap();
    let width: f64 = width.parse().unwrap();
    let all = texts(picture);
    for (n, text) in all.iter().enumerate() {
        assert!(text.x.0 >= 0.0 && text.x.1 <= width, "{}", text.words);
        assert!(text.y >= 11.0 && text.y <= height - 3.0, "{}", text.words);
        for other in &all[..n] {
            let beside = text.x.1 <= other.x.0 || other.x.1 <= text.x.0;
            let apart = (text.y - other.y).abs() >= 11.0;
            assert!(
                beside || apart,
                "{} is drawn over {}",
                text.words,
                other.words
            );
        }
    }
}

#[test]
fn the_numbers_of_a_picture_are_those_of_the_rows() {
    let picture = loss(PAGE).unwrap();
    let wanted = [
        ("f0", "2.70"),
        ("f0", "37.6"),
        ("f0", "38.2"),
        ("f0", "4.30"),
        ("f1", "2.24"),
        ("f1", "246.3"),
        ("f1", "246.9"),
        ("f1", "4.30"),
    ];
    assert_eq!(drawn(&picture), owned(&wanted));
    let picture = cpu(PAGE).unwrap();
    let wanted = [
        ("f0", "1.13"),
        ("f0", "1.37"),
        ("f1", "1.18"),
        ("f1", "1.48"),
        ("f2", "0.60"),
    ];
    assert_eq!(drawn(&picture), owned(&wanted));
    assert!(picture.contains(">G.722, SDES</text>") && picture.contains(">PCMU</text>"));
}

#[test]
fn a_dot_lies_where_its_number_says() {
    let picture = loss(PAGE).unwrap();
    // The first two dots of a phone are of the key.
    let [_, _, best, worse, soon, later] = dots(&picture, 0)[..] else {
        panic!("{:?}", dots(&picture, 0))
    };
    let [_, _, _, theirs, ..] = dots(&picture, 1)[..] else {
        panic!("{:?}", dots(&picture, 1))
    };
    // PESQ from 1 to 5 fills 176 units.
    assert!((worse.1 - best.1 - 1.6 * 44.0).abs() < 0.2);
    assert!((theirs.1 - best.1 - 2.06 * 44.0).abs() < 0.2);
    assert!(worse.0 > best.0 + 100.0 && later.0 > soon.0 + 100.0);
    assert!(soon.1 > later.1 && soon.1 > worse.1 + 100.0);
}

#[test]
fn texts_do_not_lie_on_each_other() {
    for (_, draw) in PICTURES {
        assert_texts_are_apart(&draw(PAGE).unwrap());
    }
    // Every phone the same, at every loss.
    let mut page = "| figure | budget | a | b | c | d |\n".to_owned();
    for (codec, _) in CODECS {
        for percent in [0, 3, 5, 10] {
            let cells = "| 1.00 | 1.00 | 1.00 | 1.01 |";
            let _ = writeln!(
                page,
                "| speech at {percent} % loss, {codec}, PESQ WB | x {cells}"
            );
            let cells = "| 33.4 ms | 240.1 ms | 240.0 ms | 240.2 ms |";
            let what = "one-way delay mouth to ear at";
            let _ = writeln!(page, "| {what} {percent} % loss, {codec} | x {cells}");
        }
        for hz in [8000, 16_000, 48_000] {
            for how in ["in clear", "by SDES"] {
                let cells = "| 1.00 % | 10.01 % | 10.01 % | 10.00 % |";
                let what = "CPU of one core";
                let _ = writeln!(page, "| {what}, {codec} {how}, card at {hz} Hz | x {cells}");
            }
        }
    }
    for (_, draw) in PICTURES {
        assert_texts_are_apart(&draw(&page).unwrap());
    }
}

#[test]
fn a_page_without_such_rows_has_no_picture() {
    for (name, draw) in PICTURES {
        assert!(draw("| figure | budget | Offhook |\n").is_none(), "{name}");
    }
}
