//! What RAUC said, read by its exit status and by the fields that are meant for programs. Its
//! sentences differ with its version and with its D-Bus service; they are shown, not judged.

use super::ledger::printable;

/// On the card: an older version may be installed.
pub(crate) const ALLOW_DOWNGRADE: &str = "allow-downgrade.txt";

/// What `rauc info` found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    /// Signed for us and made for this board.
    Fine,
    /// Not for this phone, or damaged.
    Refused(String),
    /// It is not known now.
    Unknown(String),
}

/// What `rauc install` came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Install {
    /// The other slot holds it.
    Done,
    /// It began, and did not end well.
    Failed(String),
    /// RAUC itself did not start: this says nothing about the bundle.
    NotBegun(String),
}

/// What a program wrote, and whether it ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// What a bundle is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Wanted<'a> {
    /// The board's profile.
    pub(crate) board: &'a str,
    /// The version that runs; empty: not known.
    pub(crate) running: &'a str,
    /// An older version than that is wanted.
    pub(crate) downgrade: bool,
}

/// Reads `rauc info --output-format=shell`. `readable`: the whole file could be read before.
pub(crate) fn check(info: &Output, wanted: Wanted<'_>, readable: bool) -> Check {
    if !info.success {
        let why = reason(&info.stderr).unwrap_or_else(|| "it is no bundle".to_owned());
        // Before a time server has answered no certificate is valid yet: not the bundle's fault.
        if !readable || why.contains("not yet valid") {
            return Check::Unknown(why);
        }
        return Check::Refused(why);
    }
    let machine = format!("offhook-{}", wanted.board);
    let field = |name: &str| {
        info.stdout.lines().find_map(|line| {
            let value = line.strip_prefix(name)?.strip_prefix('=')?;
            Some(value.trim_matches('\''))
        })
    };
    match field("RAUC_MF_COMPATIBLE") {
        Some(found) if found == machine => {}
        Some(found) => {
            return Check::Refused(printable(&format!(
                "it is made for {found}, and this is {machine}"
            )));
        }
        None => return Check::Unknown("RAUC does not say which board it is made for".to_owned()),
    }
    let version = field("RAUC_MF_VERSION").unwrap_or_default();
    if !wanted.downgrade && is_older(version, wanted.running) {
        // Not refused for good: somebody may still ask for it.
        return Check::Unknown(printable(&format!(
            "its version {version} is older than {}, which runs; if that is meant, put a file \
             {ALLOW_DOWNGRADE} on the card",
            wanted.running
        )));
    }
    Check::Fine
}

/// Whether one version is older than another, both numbers with points between; what cannot be
/// compared is not older.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| {
        let release = text.split(['-', '+']).next().unwrap_or_default();
        let parts = release.split('.').map(|part| part.parse::<u64>().ok());
        parts.collect::<Option<Vec<u64>>>()
    };
    match (numbers(version), numbers(than)) {
        (Some(version), Some(than)) => version < than,
        (..) => false,
    }
}

/// Reads what `rauc install` left.
pub(crate) fn install(output: &Output) -> Install {
    if output.success {
        return Install::Done;
    }
    let text = format!("{}{}", output.stdout, output.stderr);
    if text.lines().any(is_progress) {
        Install::Failed(reason(&text).unwrap_or_else(|| "RAUC gives no reason".to_owned()))
    } else {
        Install::NotBegun(reason(&text).unwrap_or_else(|| "RAUC did not start".to_owned()))
    }
}

/// `  0% Installing`: printed with and without the service as soon as it begins.
fn is_progress(line: &str) -> bool {
    let Some((percent, _)) = line.split_once("% ") else {
        return false;
    };
    percent.trim_start().parse::<u8>().is_ok()
}

/// The last line that is a reason, without what frames it.
fn reason(text: &str) -> Option<String> {
    let framing = |line: &&str| {
        line.is_empty()
            || is_progress(line)
            || matches!(*line, "started" | "finished" | "idle" | "installing")
            || [
                "Installing `",
                "D-Bus error while",
                "Checking and mounting",
                "rauc-",
                "** ",
                "(rauc",
            ]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let line = text
        .lines()
        .map(str::trim)
        .rev()
        .find(|line| !framing(line))?;
    Some(printable(line.strip_prefix("LastError: ").unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_SIGNED: &str = "signature verification failed: Verify error: self-signed certificate";

    const VIRT: Wanted<'_> = Wanted {
        board: "virt",
        running: "",
        downgrade: false,
    };

    #[test]
    fn an_older_version_is_installed_only_when_asked_for() {
        let info = |version: &str| {
            info(&format!(
                "RAUC_MF_COMPATIBLE='offhook-virt'\nRAUC_MF_VERSION='{version}'\n"
            ))
        };
        let running = Wanted {
            running: "0.10.1",
            ..VIRT
        };
        for older in ["0.9.9", "0.10.0", "0", "0.10", "0.10.0-rc1"] {
            let found = check(&info(older), running, true);
            assert!(
                matches!(&found, Check::Unknown(why) if why.contains(ALLOW_DOWNGRADE)),
                "{older}"
            );
            let asked = Wanted {
                downgrade: true,
                ..running
            };
            assert_eq!(check(&info(older), asked, true), Check::Fine, "{older}");
        }
        for other in [
            "0.10.1", "0.10.2", "0.11", "1", "0.10.1-3", "20261130", "next", "",
        ] {
            assert_eq!(check(&info(other), running, true), Check::Fine, "{other}");
        }
        assert_eq!(
            check(&info("0.1"), VIRT, true),
            Check::Fine,
            "no one knows what runs"
        );
    }

    fn failed(stdout: &str, stderr: &str) -> Output {
        Output {
            success: false,
            stdout: stdout.to_owned(),
            stderr: stderr.to_owned(),
        }
    }

    fn info(stdout: &str) -> Output {
        Output {
            success: true,
            stdout: stdout.to_owned(),
            stderr: "rauc-Message: 12:00:00.000: Verified inline signature by 'CN = a'\n"
                .to_owned(),
        }
    }

    #[test]
    fn a_foreign_bundle_is_refused_with_its_reason() {
        let said =
            format!("rauc-Message: 12:00:00.000: Verifying bundle signature... \n{NOT_SIGNED}\n");
        let found = check(&failed("", &said), VIRT, true);
        assert_eq!(found, Check::Refused(NOT_SIGNED.to_owned()));
        assert_eq!(
            check(&failed("", ""), VIRT, true),
            Check::Refused("it is no bundle".to_owned())
        );
    }

    #[test]
    fn a_bundle_for_another_board_is_refused() {
        let found = check(&info("RAUC_MF_COMPATIBLE='offhook-rpi3'\n"), VIRT, true);
        let Check::Refused(why) = found else {
            panic!("{found:?}")
        };
        assert!(
            why.contains("offhook-rpi3") && why.contains("offhook-virt"),
            "{why}"
        );
        assert_eq!(
            check(&info("RAUC_MF_COMPATIBLE='offhook-virt'\n"), VIRT, true),
            Check::Fine
        );
    }

    #[test]
    fn what_is_not_the_bundles_fault_is_unknown() {
        let clock = "signature verification failed: Verify error: certificate is not yet valid\n";
        assert!(matches!(
            check(&failed("", clock), VIRT, true),
            Check::Unknown(_)
        ));
        assert!(matches!(
            check(&failed("", NOT_SIGNED), VIRT, false),
            Check::Unknown(_)
        ));
        assert!(matches!(check(&info(""), VIRT, true), Check::Unknown(_)));
    }

    #[test]
    fn an_install_that_fails_is_read_in_both_wordings() {
        let why = "Installation error: Failed updating slot boot.1: Input/output error";
        let service = failed(
            &format!(
                "installing\n  0% Installing\n 20% Checking bundle\n100% Installing failed.\n\
                 LastError: {why}\nidle\n"
            ),
            "Installing `/boot/offhook/update.raucb` failed\n",
        );
        let alone = failed(
            &format!(
                "started\n  0% Installing\nChecking and mounting bundle...\n{why}\n\
                 100% Installing failed.\nfinished\n"
            ),
            &format!(
                "rauc-Message: 12:00:00.000: Active slot bootname: 'a'\n\
                 (rauc:7): rauc-WARNING **: 12:00:01.000: {why}\n\
                 Installing `/boot/offhook/update.raucb` failed\n"
            ),
        );
        for output in [service, alone] {
            assert_eq!(install(&output), Install::Failed(why.to_owned()));
        }
    }

    #[test]
    fn a_rauc_that_does_not_start_says_nothing_of_the_bundle() {
        for said in [
            "Failed to contact rauc service: Could not connect: No such file or directory\n\
             D-Bus error while installing `x`\n",
            "Failed to determine slot states: no slot\n",
            "",
        ] {
            assert!(
                matches!(install(&failed("", said)), Install::NotBegun(_)),
                "{said}"
            );
        }
        let done = Output {
            success: true,
            ..Output::default()
        };
        assert_eq!(install(&done), Install::Done);
    }
}
