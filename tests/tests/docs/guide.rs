//! The guide holds what it says: links lead somewhere, commands and targets exist, settings load.
//!
//! ```text
//! docs/SUMMARY.md ─▶ chapters ────▶ links and pictures ─▶ a chapter, or a file beside it?
//! docs/guide/src/*.md, README.md ─┬▶ ```toml ──▶ config::load
//!                                 └▶ ```console ▶ offhook … --help (every option known), make targets
//! ```
//!
//! What mdBook makes of them is checked by `make guide` (scripts/check-book).

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::repository;

fn guide() -> PathBuf {
    repository().join("docs/guide/src")
}

/// The pages of the guide, and the README that leads into it: name and text.
pub(crate) fn pages() -> Vec<(PathBuf, String)> {
    let mut pages: Vec<PathBuf> = std::fs::read_dir(guide())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    pages.push(repository().join("README.md"));
    pages.sort();
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    };
    pages.into_iter().map(read).collect()
}

/// The blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    text.split(&start)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

/// Where a page links to, code left out.
fn links(text: &str) -> Vec<String> {
    let mut without_code = String::new();
    for (number, part) in text.split("```").enumerate() {
        if number % 2 == 0 {
            without_code.push_str(part);
        }
    }
    without_code
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// What the headings of a page are linked by.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter_map(|c| match c {
                ' ' => Some('-'),
                c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
                _ => None,
            });
            kept.collect()
        })
        .collect()
}

/// The chapters of the book `make guide` makes, in its order.
fn chapters() -> Vec<PathBuf> {
    let docs = repository().join("docs");
    let summary = std::fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    links(&summary).iter().map(|link| docs.join(link)).collect()
}

/// A path without `..`.
fn plain(path: &Path) -> PathBuf {
    path.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Host and path of a link out of here can be right: `https`, a name with a point, no space.
fn assert_outside(page: &Path, link: &str) {
    let rest = link.strip_prefix("https://");
    let host = rest.and_then(|rest| rest.split('/').next());
    let is_right = host.is_some_and(|host| {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        host.contains('.') && host.chars().all(known)
    });
    assert!(
        is_right && !link.contains(char::is_whitespace),
        "{}: {link}",
        page.display()
    );
}

#[test]
fn every_link_and_picture_leads_somewhere() {
    let docs = plain(&repository().join("docs"));
    let chapters: Vec<PathBuf> = chapters().iter().map(|page| plain(page)).collect();
    let readme = plain(&repository().join("README.md"));
    let (mut count, mut outside) = (0, 0);
    for page in chapters.iter().chain([&readme]) {
        let text = std::fs::read_to_string(page).unwrap();
        for link in text.split('<').filter(|part| part.starts_with("http")) {
            assert_outside(page, link.split('>').next().unwrap());
            outside += 1;
        }
        for link in links(&text) {
            if link.starts_with("http") {
                assert_outside(page, &link);
                outside += 1;
                continue;
            }
            let (file, anchor) = match link.split_once('#') {
                Some((file, anchor)) => (file, Some(anchor)),
                None => (link.as_str(), None),
            };
            let target = if file.is_empty() {
                page.clone()
            } else {
                plain(&page.parent().unwrap().join(file))
            };
            if page != &readme {
                let is_page = target.extension().is_some_and(|e| e == "md");
                let is_in_the_book = if is_page {
                    chapters.contains(&target)
                } else {
                    target.starts_with(&docs)
                };
                let page = page.display();
                assert!(is_in_the_book, "{page}: {link} is not in the book");
            }
            if let Some(anchor) = anchor {
                let text = std::fs::read_to_string(&target).unwrap();
                let is_there = anchors(&text).iter().any(|known| known == anchor);
                assert!(is_there, "{}: {link}: no such heading", page.display());
            }
            count += 1;
        }
    }
    println!(
        "{count} links followed; {outside} to other hosts: their form only, without a network"
    );
    assert!(count > 100 && outside > 25, "{count}, {outside}");
}

/// `hardware.toml` is part of the image: an owner has the files of the card alone.
#[test]
fn no_page_sends_an_owner_to_a_file_of_the_image() {
    for (page, text) in pages() {
        let page = page.display();
        assert!(
            !text.contains("hardware.toml"),
            "{page}: say it by `[hardware]`"
        );
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let chapters = chapters();
    for (page, _) in pages() {
        let is_readme = page.ends_with("README.md") && !page.starts_with(guide());
        assert!(is_readme || chapters.contains(&page), "{}", page.display());
    }
}

#[test]
fn every_drawing_is_shown() {
    for (folder, page) in [
        ("wiring", "wiring.md"),
        ("sheets", "codes.md"),
        ("screens", "troubleshooting.md"),
    ] {
        let text = std::fs::read_to_string(guide().join(page)).unwrap();
        for entry in std::fs::read_dir(guide().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(text.contains(&format!("({folder}/{name})")), "{name}");
        }
    }
}

/// Tables of a board's profile begin with its name; they are read by the board's own tests.
#[test]
fn every_setting_of_the_page_on_sound_cards_loads() {
    let page = repository().join("docs/hardware/sound-cards.md");
    let text = std::fs::read_to_string(page).unwrap();
    let blocks = blocks(&text, "toml");
    let own = blocks.iter().filter(|block| !block.starts_with("name = "));
    let loaded = own.map(|block| config::load(block, "offhook.toml"));
    let loaded: Vec<_> = loaded
        .map(|config| config.unwrap_or_else(|errors| panic!("{errors}")))
        .collect();
    assert!(
        loaded
            .iter()
            .any(|config| config.audio.speaker_card.is_some())
    );
}

#[test]
fn every_setting_in_the_guide_loads() {
    let dir = testkit::process::TestDir::new("guide-settings");
    let profiles = plain(&repository().join("board/profiles"));
    let (mut count, mut wired) = (0, 0);
    // The reader has it beside the file.
    std::fs::write(dir.join("broker-ca.pem"), "").unwrap();
    for (page, text) in pages() {
        for block in blocks(&text, "toml") {
            if let Err(errors) = config::load(&block, "offhook.toml") {
                panic!("{}: {errors}\n{block}", page.display());
            }
            // The wiring is put over the profile's, and no line may have two purposes.
            let file = dir.join("offhook.toml");
            let is_wired = block.contains("[hardware.");
            assert!(
                !is_wired || block.contains("[board]\n"),
                "{}: which board?\n{block}",
                page.display()
            );
            let block = block.replace(
                "[board]\n",
                &format!("[board]\nprofile_dir = {profiles:?}\n"),
            );
            std::fs::write(&file, &block).unwrap();
            let done = Command::new(offhook_tests::desk_phone::binary())
                .arg("check")
                .arg(&file)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(
                done.status.success() && !said.contains("not compared"),
                "{}: {said}\n{block}",
                page.display()
            );
            wired += usize::from(is_wired);
            count += 1;
        }
    }
    assert!(count >= 7 && wired >= 5, "{count}, {wired}");
}

/// What the first call needs of a computer: the command as the page has it writes a file, and the
/// next one finds no mistake in it.
#[test]
fn the_commands_of_the_first_call_run() {
    let text = std::fs::read_to_string(guide().join("first-call.md")).unwrap();
    let dir = testkit::process::TestDir::new("guide-first-call");
    std::fs::write(dir.join("password.txt"), "secret\n").unwrap();
    let mut run = 0;
    let lines = blocks(&text, "console").join("\n");
    for line in lines.lines() {
        let Some(arguments) = line.strip_prefix("offhook ") else {
            continue;
        };
        // What asks at a terminal, or speaks to a server, is run where there are such
        // (tests/tests/peers/first_hour.rs).
        let arguments = match arguments.split_once(' ') {
            Some(("setup", rest)) if rest.contains("--user") => format!("{arguments} --no-try"),
            Some(("check", rest)) if !rest.contains("--try") => arguments.to_owned(),
            _ => continue,
        };
        let done = Command::new(offhook_tests::desk_phone::binary())
            .args(arguments.split_whitespace())
            .current_dir(dir.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "offhook {arguments}: {said}");
        run += 1;
    }
    assert_eq!(run, 2);
}

/// What is built or installed is the program `offhook`.
fn assert_cargo(arguments: &str, page: &Path) {
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let after = |name: &str| {
        let at = words.iter().position(|word| *word == name)?;
        words.get(at + 1).copied()
    };
    let is_right = match words[0] {
        "install" => {
            let manifest = repository()
                .join(after("--path").unwrap())
                .join("Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).unwrap();
            manifest.contains("\nname = \"offhook\"\n") && words.contains(&"--locked")
        }
        "build" => after("--bin") == Some("offhook") && words.contains(&"--release"),
        _ => false,
    };
    assert!(is_right, "{}: cargo {arguments}", page.display());
}

/// `offhook` checks its arguments before it prints its help: what is unknown is an error.
fn assert_offhook(arguments: &str, page: &Path) {
    let done = Command::new(offhook_tests::desk_phone::binary())
        .args(arguments.split_whitespace())
        .arg("--help")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{}: offhook {arguments}: {said}",
        page.display()
    );
}

#[test]
fn every_command_in_the_guide_exists() {
    let makefile = std::fs::read_to_string(repository().join("Makefile")).unwrap();
    let mut count = 0;
    for (page, text) in pages() {
        for line in blocks(&text, "console")
            .iter()
            .flat_map(|block| block.lines())
        {
            let line = line.split(" #").next().unwrap().trim();
            count += 1;
            match line.split_once(' ') {
                Some(("offhook", arguments)) => assert_offhook(arguments, &page),
                Some(("make", target)) => {
                    let target = target.split_whitespace().next().unwrap();
                    let is_there =
                        makefile.contains(&format!("\n{target}:")) || target.starts_with("test-");
                    assert!(is_there, "{}: make {target}", page.display());
                }
                Some(("cargo", arguments)) => assert_cargo(arguments, &page),
                _ => panic!("{}: `{line}` is neither offhook nor make", page.display()),
            }
        }
    }
    assert!(count >= 12, "{count}");
}

/// The sentences that lead to a fix are those the program prints.
#[test]
fn troubleshooting_quotes_the_program() {
    let text = std::fs::read_to_string(guide().join("troubleshooting.md")).unwrap();
    let mut source = String::new();
    for file in ["account_check", "net/tls"] {
        let folder = repository().join("firmware/app/src").join(file);
        for path in [folder.with_extension("rs")].into_iter().chain(
            std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().path()),
        ) {
            source.push_str(&std::fs::read_to_string(path).unwrap_or_default());
        }
    }
    let table = text.split("| it says |").nth(1).unwrap();
    let mut count = 0;
    for row in table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
    {
        for quoted in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
            for part in quoted.split(" … ") {
                assert!(source.contains(part), "the program does not say {part:?}");
                count += 1;
            }
        }
    }
    assert!(count >= 10, "{count}");
}
