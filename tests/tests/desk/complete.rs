//! Every story is run, enough of them in real time, too, and every star code has one in which
//! somebody keys it.

use config::codes::CODES;
use offhook_tests::story::{Stage, Story};

fn all() -> Vec<Story> {
    Story::all(&Story::folder())
}

#[test]
fn every_story_is_run() {
    let found: Vec<String> = all().into_iter().map(|story| story.name).collect();
    assert_eq!(found, super::STORIES);
}

#[test]
fn a_third_of_the_stories_is_played_in_real_time() {
    let all = all();
    let played = all.iter().filter(|story| story.is_played(Stage::RealTime));
    let (played, all) = (played.count(), all.len());
    assert!(played * 3 >= all, "{played} of {all}");
}

#[test]
fn every_star_code_is_keyed_in_a_story() {
    let all = all();
    let keyed = |keys: &str| {
        all.iter().flat_map(Story::lines).any(|line| {
            let pressed = line.split_once(" presses ").map(|(_, pressed)| pressed);
            pressed.is_some_and(|pressed| pressed.starts_with(keys))
        })
    };
    // The stories' phones are in Germany.
    let without = CODES.iter().filter(|entry| !keyed(entry.elsewhere));
    let without: Vec<&str> = without.map(|entry| entry.name).collect();
    assert!(without.is_empty(), "no story keys {without:?}");
}
