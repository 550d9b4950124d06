//! The pictures of `docs/budgets.md` show its figures.
//!
//! ```text
//! docs/budgets.md ─▶ plots ─▶ docs/pictures/{loss,cpu}.svg (compared, or written)
//! ```

use std::collections::BTreeMap;

use offhook_tests::plots::{PICTURES, number_text};

use crate::{repository, write_or_compare};

/// A picture's file, and whether a row of this name belongs into it.
type Rows = (&'static str, fn(&str) -> bool);

/// The numbers of the page in the rows whose names hold one of these; of two rows of one name the
/// later one's.
fn numbers_of_rows(page: &str, belongs: fn(&str) -> bool) -> Vec<String> {
    let rows = page.lines().filter_map(|line| {
        let mut columns = line.strip_prefix("| ")?.split('|');
        let name = columns.next()?.trim();
        belongs(name).then(|| (name, columns.skip(1).collect::<Vec<_>>()))
    });
    let rows: BTreeMap<&str, Vec<&str>> = rows.collect();
    let cells = rows.into_values().flatten();
    let mut all: Vec<String> = cells.filter_map(number_text).map(str::to_owned).collect();
    all.sort();
    all
}

/// The numbers that a picture shows.
fn numbers_of_picture(picture: &str) -> Vec<String> {
    let texts = picture.split(" class=\"v ").skip(1);
    let number = |rest: &str| {
        let (_, rest) = rest.split_once('>').unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    };
    let mut all: Vec<String> = texts.map(number).collect();
    all.sort();
    all
}

#[test]
fn the_pictures_of_the_budgets_show_the_figures_of_the_page() {
    let page = std::fs::read_to_string(repository().join("docs/budgets.md")).unwrap();
    let belongs: [Rows; 2] = [
        ("loss.svg", |name| name.contains(" % loss, ")),
        ("cpu.svg", |name| {
            name.starts_with("CPU of one core, ") && name.contains(", card at ")
        }),
    ];
    for ((name, draw), (file, belongs)) in PICTURES.into_iter().zip(belongs) {
        assert_eq!(name, file);
        let picture = draw(&page).unwrap();
        let shown = numbers_of_picture(&picture);
        assert!(shown.len() > 10, "{name}: {}", shown.len());
        assert_eq!(shown, numbers_of_rows(&page, belongs), "{name}");
        assert!(page.contains(&format!("](pictures/{name})")), "{name}");
        write_or_compare(&format!("docs/pictures/{name}"), &picture);
    }
}
