//! `make test`: runs the parts, counts what passed, failed and was skipped, and reports it.
//!
//! ```text
//! scripts/test PART… ─▶ main ─▶ parts ─▶ check, Binary::run ─▶ libtest (events to counts) ─▶ report
//!                                 └─▶ build: one `cargo test --no-run` for every part
//! ```
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool reports by printing"
)]

mod build;
mod libtest;
mod parts;
mod report;
mod run;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Instant;

use parts::{Lane, Part};
use report::{Report, Total};

fn main() -> ExitCode {
    let parts = match parts_of(std::env::args().skip(1)) {
        Ok(parts) => parts,
        Err(error) => {
            eprintln!("test: {error}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let total = Mutex::new(Total::default());
    let packages: Vec<&str> = parts
        .iter()
        .flat_map(|part| part.packages())
        .copied()
        .collect();
    let installed = Command::new("scripts/need").args(&packages).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("0 passed, 1 failed, 0 skipped");
        return ExitCode::FAILURE;
    }
    // Compiling for another machine runs beside compiling for this one and beside tests in virtual
    // time; what is in real time waits for it, because it needs the processors.
    let run_lane = |lane: Lane| {
        for part in parts.iter().filter(|part| part.lane() == lane) {
            let report = Report::of(*part);
            if let Ok(mut total) = total.lock() {
                report.print();
                total.add(report);
            }
        }
    };
    std::thread::scope(|scope| {
        if parts.contains(&Part::Board) {
            // Where its kernel has to be built, in the time that everything else leaves; the part
            // itself waits for it and says what went wrong.
            scope.spawn(|| {
                run::run(Command::new("nice").args(["-n", "19", "tests/board/kernel.sh"]))
            });
        }
        std::thread::scope(|scope| {
            scope.spawn(|| run_lane(Lane::Cross));
            run_lane(Lane::Virtual);
        });
        run_lane(Lane::RealTime);
    });

    let Ok(total) = total.into_inner() else {
        println!("0 passed, 1 failed, 0 skipped");
        return ExitCode::FAILURE;
    };
    total.print_slowest(10);
    println!("{} s", began.elapsed().as_secs());
    let counts = total.counts();
    println!("{counts}");
    if counts.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The parts named on the command line; without a name all but those that are extra.
fn parts_of(names: impl Iterator<Item = String>) -> Result<Vec<Part>, String> {
    let named: Vec<Part> = names
        .map(|name| {
            Part::ALL
                .into_iter()
                .find(|part| part.name() == name)
                .ok_or_else(|| format!("no part {name:?}; there are: {}", Part::names()))
        })
        .collect::<Result<_, _>>()?;
    if named.is_empty() {
        return Ok(Part::ALL
            .into_iter()
            .filter(|part| !part.is_extra())
            .collect());
    }
    Ok(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_name_all_but_image_and_long_run() {
        let parts = parts_of(std::iter::empty()).unwrap();
        assert_eq!(parts.len(), Part::ALL.len() - 2);
        assert!(!parts.contains(&Part::Image) && !parts.contains(&Part::Long));
    }

    #[test]
    fn an_unknown_part_is_an_error_that_names_the_known() {
        let error = parts_of(["unit", "uint"].map(str::to_owned).into_iter()).unwrap_err();
        assert!(
            error.contains("\"uint\"") && error.contains("lint unit"),
            "{error}"
        );
    }
}
