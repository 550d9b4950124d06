//! Every star code has a story in which somebody keys it.

use config::codes::CODES;

use super::{folder, lines};

#[test]
fn every_star_code_is_keyed_in_a_story() {
    let stories = super::STORIES.iter().map(|name| {
        let path = folder().join(format!("{name}.story"));
        std::fs::read_to_string(path).unwrap_or_default()
    });
    let all: String = stories.collect();
    let keyed = |keys: &str| {
        lines(&all).any(|line| {
            let pressed = line.split_once(" presses ").map(|(_, pressed)| pressed);
            pressed.is_some_and(|pressed| pressed.starts_with(keys))
        })
    };
    // The stories' phones are in Germany.
    let without = CODES.iter().filter(|entry| !keyed(entry.elsewhere));
    let without: Vec<&str> = without.map(|entry| entry.name).collect();
    assert!(without.is_empty(), "no story keys {without:?}");
}
