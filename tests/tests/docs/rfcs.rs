//! `docs/rfcs.md`: what it says the phone offers is what the phone says itself, and each row names
//! a test that exists; so does each of `docs/interop.md`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use sip::message::{Headers, Message};
use sip::{AgentConfig, DirectCallers, UserAgent};

use super::repository;

/// RFCs that the code names for a figure, a form or a layer below, and not for what is spoken.
const BESIDE: &[&str] = &[
    "1123", "1918", "2104", "2202", "3339", "3986", "4193", "5246", "5705", "7600", "9562",
];
/// Of NATs, in tests; of files: contacts, tables, digit maps.
const OF_TESTS_AND_FILES: &[&str] = &["4787", "5128", "2426", "3435", "4180", "6350"];

fn page() -> String {
    std::fs::read_to_string(repository().join("docs/rfcs.md")).unwrap()
}

/// What is in backticks.
fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The cells of each row of a table that says what shows it.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page
        .lines()
        .filter_map(|line| line.strip_prefix('|')?.strip_suffix('|'));
    let rows = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let head = |row: &Vec<&str>| row.first() == Some(&"RFC") || row.first() == Some(&"---");
    rows.filter(|row| !head(row)).collect()
}

/// The tests below a folder by their names, and its modules by their paths: `call/tests` of
/// `call/tests.rs`, `call/tests/mod.rs`, and of what is below.
fn collect(folder: &Path, tests: &mut BTreeSet<String>, modules: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            modules.insert(path.to_string_lossy().into_owned());
            collect(&path, tests, modules);
            continue;
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("rs") => {
                let text = std::fs::read_to_string(&path).unwrap();
                for part in text.split("#[test]").skip(1) {
                    let name = part.split("fn ").nth(1).unwrap_or_default();
                    let end = name.find('(').unwrap_or_default();
                    tests.insert(name[..end].to_owned());
                }
                modules.insert(path.with_extension("").to_string_lossy().into_owned());
            }
            // A SIPp scenario.
            Some("xml") => {
                let name = path.file_stem().unwrap_or_default();
                tests.insert(name.to_string_lossy().into_owned());
            }
            Some(_) | None => {}
        }
    }
}

/// Every test of the repository, by its name or its module.
struct Tests {
    names: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Tests {
    fn all() -> Self {
        let (mut names, mut modules) = (BTreeSet::new(), BTreeSet::new());
        for folder in ["firmware", "tests/tests", "tests/sipp"] {
            collect(&repository().join(folder), &mut names, &mut modules);
        }
        Self { names, modules }
    }

    /// Those in backticks that do not exist.
    fn missing<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let exists = |name: &&str| {
            let path = format!("/{}", name.replace("::", "/"));
            self.names.contains(*name) || self.modules.iter().any(|module| module.ends_with(&path))
        };
        codes(text).filter(|name| !exists(name)).collect()
    }
}

#[test]
fn every_row_of_other_peoples_programs_names_its_test() {
    let page = std::fs::read_to_string(repository().join("docs/interop.md")).unwrap();
    let (rows_of_tests, _) = page.split_once("## What they cannot do").unwrap();
    let tests = Tests::all();
    let rows = rows(rows_of_tests);
    assert!(rows.len() > 20, "only {} rows are read", rows.len());
    for row in rows.iter().filter(|row| row[0] != "peer") {
        let [peer, role, gave, shown] = &row[..] else {
            panic!("{row:?} has not four cells");
        };
        assert!(!gave.is_empty() && shown.contains('`'), "{peer}, {role}");
        assert!(tests.missing(shown).is_empty(), "{peer}: {shown}");
    }
}

#[test]
fn every_row_names_a_test_that_exists() {
    let tests = Tests::all();
    let page = page();
    let rows = rows(&page);
    assert!(rows.len() > 40, "only {} rows are read", rows.len());
    for row in rows {
        let [rfc, supported, _, shown] = &row[..] else {
            panic!("{row:?} has not four cells");
        };
        assert!(!supported.is_empty(), "{rfc}: nothing is supported");
        let named: Vec<&str> = codes(shown).collect();
        assert!(
            !named.is_empty() || shown.contains("](security.md)"),
            "{rfc}: no test"
        );
        let missing = tests.missing(shown);
        assert!(missing.is_empty(), "{rfc}: {missing:?} do not exist");
    }
}

/// The numbers of the RFCs that a text names.
fn rfcs_in(text: &str) -> impl Iterator<Item = &str> {
    let named = text.split("RFC ").skip(1);
    named.map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// The phone's own answer to OPTIONS.
fn options() -> Headers {
    let now = Instant::now();
    let here: SocketAddr = "192.0.2.1:5060".parse().unwrap();
    let mut phone = UserAgent::new(
        AgentConfig {
            direct_callers: DirectCallers::Everyone,
            ..AgentConfig::new(here.into(), [1; 32])
        },
        now,
    );
    let options = "OPTIONS sip:phone@192.0.2.1 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nFrom: <sip:a@192.0.2.9>;tag=a\r\n\
        To: <sip:phone@192.0.2.1>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\r\n";
    let from = "192.0.2.9:5060".parse().unwrap();
    phone.handle_datagram(from, options.as_bytes(), now);
    let answer = phone.poll_transmit().unwrap();
    match Message::parse(&answer.bytes) {
        Ok(Message::Response(response)) => response.headers,
        other => panic!("{other:?}"),
    }
}

/// The shipped code below a folder, each file's text.
fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.to_string_lossy().into_owned();
            found.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn every_rfc_that_the_code_names_is_on_the_page() {
    let page = page();
    let words = page.split(|c: char| !c.is_ascii_digit());
    let beside = || BESIDE.iter().chain(OF_TESTS_AND_FILES).copied();
    let listed: BTreeSet<&str> = words.chain(beside()).collect();
    let mut found = Vec::new();
    for name in ["sip", "media", "control", "phone"] {
        sources(
            &repository().join(format!("firmware/{name}/src")),
            &mut found,
        );
    }
    let named = found.iter().flat_map(|(file, text)| {
        let numbers = rfcs_in(text).filter(|number| number.len() == 4);
        numbers.map(move |number| (number, file))
    });
    let named: Vec<_> = named.collect();
    assert!(named.len() > 200, "only {} are found", named.len());
    let missing: BTreeSet<_> = named
        .iter()
        .filter(|(number, _)| !listed.contains(number))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let used: BTreeSet<&str> = named.iter().map(|(number, _)| *number).collect();
    let unused: Vec<_> = beside().filter(|n| !used.contains(n)).collect();
    assert!(unused.is_empty(), "no code names {unused:?} any more");
}

#[test]
fn page_says_what_the_phone_says() {
    let (page, said) = (page().replace('\n', " "), options());
    for name in ["Supported", "Allow", "Allow-Events"] {
        let value = said.get(name).unwrap();
        assert!(
            page.contains(&format!("`{name}: {value}`")),
            "{name}: {value}"
        );
    }
}
