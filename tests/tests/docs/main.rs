//! Pages that are generated or that name what exists: the security matrix, the guide and its wiring
//! drawings. The pages on security agree with the matrix in `docs/security.toml`, and the matrix
//! with the tests that exist.
//!
//! ```text
//! docs/security.toml ─┬▶ tables in docs/security.md, docs/security-cases.md (compared, or written)
//!                     └▶ every test it names ─▶ is there a `fn NAME(` in the tree?
//! ```

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test program: a file that cannot be read is a failed test"
)]

mod budgets;
mod display;
mod figures;
mod guide;
mod handset;
mod plot;
mod rfcs;
mod screens;
mod sheet;
mod sipp_cases;
mod speech;
mod wiring;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use offhook_tests::pages::with_table;
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Matrix {
    promise: Vec<Promise>,
    required_in: Vec<Situation>,
    removal: Vec<Removal>,
    case: Vec<Case>,
}

/// A promise of the first table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    title: String,
    rule: String,
    decided_in: String,
    tests: Vec<String>,
}

/// A call flow in which every media packet of a required call is compared with its keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Situation {
    situation: String,
    tests: Vec<String>,
}

/// A rule that was removed from the code once, alone, and the tests that failed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Removal {
    rule: String,
    tests: Vec<String>,
}

/// A black-box case of the shared test data.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    id: String,
    title: String,
    note: Option<String>,
    tests: Vec<String>,
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn matrix() -> Matrix {
    let text = std::fs::read_to_string(repository().join("docs/security.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

/// Test names as Markdown code, separated by commas.
fn code(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(", ")
}

fn promises(matrix: &Matrix) -> String {
    let mut out =
        "| promise | decided in | tests that fail without it |\n|---|---|---|\n".to_owned();
    for (i, promise) in matrix.promise.iter().enumerate() {
        let Promise {
            title,
            rule,
            decided_in,
            tests,
        } = promise;
        let _ = writeln!(
            out,
            "| **{}. {title}**, {rule} | {decided_in} | {} |",
            i + 1,
            code(tests)
        );
    }
    out
}

fn situations(matrix: &Matrix) -> String {
    let mut out = "| situation | tests |\n|---|---|\n".to_owned();
    for row in &matrix.required_in {
        let _ = writeln!(out, "| {} | {} |", row.situation, code(&row.tests));
    }
    out
}

fn removals(matrix: &Matrix) -> String {
    let mut out = "| rule removed | tests that failed |\n|---|---|\n".to_owned();
    for row in &matrix.removal {
        let _ = writeln!(out, "| {} | {} |", row.rule, code(&row.tests));
    }
    out
}

fn cases(matrix: &Matrix) -> String {
    let mut out = "| case | tests | remark |\n|---|---|---|\n".to_owned();
    for row in &matrix.case {
        let note = row.note.as_deref().unwrap_or_default();
        let _ = writeln!(
            out,
            "| {} {} | {} | {note} |",
            row.id,
            row.title,
            code(&row.tests)
        );
    }
    out
}

/// Compares a generated file with what is checked in, or writes it.
fn write_or_compare(file: &str, wanted: &str) {
    let path = repository().join(file);
    if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{file} is out of date; run `make docs`");
}

fn assert_page(file: &str, tables: &[(&str, String)]) {
    let path = repository().join(file);
    let page = std::fs::read_to_string(&path).unwrap();
    let wanted = tables.iter().fold(page.clone(), |page, (name, table)| {
        with_table(&page, name, table)
    });
    if std::env::var_os("OFFHOOK_WRITE_PAGES").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(
        page == wanted,
        "{file} is not what docs/security.toml says; run `make docs`"
    );
}

#[test]
fn security_pages_match_the_matrix() {
    let matrix = matrix();
    assert_page(
        "docs/security.md",
        &[
            ("promises", promises(&matrix)),
            ("required calls", situations(&matrix)),
            ("removed rules", removals(&matrix)),
        ],
    );
    assert_page("docs/security-cases.md", &[("cases", cases(&matrix))]);
}

/// Adds the names of all functions of the Rust files below `folder`.
fn functions(folder: &Path, names: &mut HashSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            for (at, _) in text.match_indices("fn ") {
                let name = text[at + 3..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || *c == '_');
                names.insert(name.collect());
            }
        }
    }
}

#[test]
fn every_test_in_the_matrix_exists() {
    let mut known = HashSet::new();
    for folder in ["firmware", "board", "tests"] {
        functions(&repository().join(folder), &mut known);
    }
    let matrix = matrix();
    let named = matrix.promise.iter().flat_map(|row| &row.tests);
    let named = named.chain(matrix.required_in.iter().flat_map(|row| &row.tests));
    let named = named.chain(matrix.removal.iter().flat_map(|row| &row.tests));
    let missing: Vec<_> = named
        .chain(matrix.case.iter().flat_map(|row| &row.tests))
        .filter(|name| !known.contains(*name))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/security.toml names tests that do not exist: {missing:?}"
    );
}

/// The faults of images: a name in the column of tests is a function, or a script that is there.
#[test]
fn every_test_of_an_image_fault_exists() {
    let mut known = HashSet::new();
    for folder in ["firmware", "board", "tests"] {
        functions(&repository().join(folder), &mut known);
    }
    let page = std::fs::read_to_string(repository().join("docs/image-verification.md")).unwrap();
    let (_, table) = page.split_once("## Faults that were found").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows.skip(1).collect();
    assert!(rows.len() > 15, "{} rows", rows.len());
    for row in rows {
        let tests: Vec<&str> = row.split('|').nth(2).unwrap().split('`').collect();
        let named: Vec<&&str> = tests.iter().skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test: {row}");
        for name in named {
            let command = name.starts_with("make ");
            let file = ["", "tests/image"]
                .iter()
                .any(|folder| repository().join(folder).join(name).is_file());
            assert!(command || file || known.contains(*name), "no {name}: {row}");
        }
    }
}

#[test]
fn every_row_has_a_test_or_says_why_not() {
    let matrix = matrix();
    for row in &matrix.promise {
        assert!(
            !row.tests.is_empty(),
            "promise without a test: {}",
            row.title
        );
    }
    for row in &matrix.removal {
        assert!(!row.tests.is_empty(), "rule without a test: {}", row.rule);
    }
    for row in &matrix.case {
        assert!(
            !row.tests.is_empty() || row.note.is_some(),
            "case {} has neither a test nor a remark",
            row.id
        );
    }
}
