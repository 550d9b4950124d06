//! Why a call did not come about, as it stands on the display: in the phone's language. Log and
//! status say the same in English, at length.

use phone::{BarredNumber, DialError, EndCause, RouteError};
use types::Language;

/// Something that failed while the handset was lifted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// A call ended without having been established.
    Call(EndCause),
    /// What was dialled cannot be called.
    Dialled(DialError),
}

impl Failure {
    /// What is said of it.
    pub(crate) fn text(&self, language: Language) -> String {
        match (language, self) {
            (Language::English, Self::Call(cause)) => cause.to_string(),
            (Language::English, Self::Dialled(error)) => error.to_string(),
            (Language::German, Self::Call(cause)) => german_cause(cause),
            (Language::German, Self::Dialled(error)) => german_error(error),
        }
    }
}

/// What a status means to a person; the text that came with it may be in any language.
fn german_cause(cause: &EndCause) -> String {
    let Some(code) = cause.code else {
        return "Die Verbindung kam nicht zustande".to_owned();
    };
    let meaning = match code {
        401 | 407 => "Anmeldung abgelehnt",
        403 => "Nicht erlaubt",
        404 | 604 => "Nummer unbekannt",
        408 => "Keine Antwort",
        410 => "Nummer nicht mehr vergeben",
        415 | 488 | 606 => "Keine gemeinsame Tonübertragung",
        433 => "Anonyme Anrufe abgelehnt",
        480 => "Zurzeit nicht erreichbar",
        484 => "Nummer unvollständig",
        486 | 600 => "Besetzt",
        487 => "Abgebrochen",
        494 => "Ohne Verschlüsselung abgelehnt",
        502..=504 => "Server nicht erreichbar",
        603 => "Abgelehnt",
        607 => "Unerwünscht",
        500..=599 => "Fehler des Servers",
        _ => "Abgewiesen",
    };
    format!("{meaning} ({code})")
}

fn german_error(error: &DialError) -> String {
    match error {
        DialError::Nothing => "Nichts gewählt".to_owned(),
        DialError::Incomplete(number) => format!("{number} ist unvollständig"),
        DialError::Unknown(number) => format!("{number} steht nicht im Wählplan"),
        DialError::Barred(BarredNumber::Emergency(number)) => {
            format!("{number} ist eine Notrufnummer")
        }
        DialError::Barred(BarredNumber::DigitMap(number)) => format!("{number} ist gesperrt"),
        DialError::NoRoute { why, .. } => match why {
            RouteError::NotRegistered(account) => format!("{account} ist nicht angemeldet"),
            RouteError::DirectOff => "Direktrufe sind abgeschaltet".to_owned(),
            RouteError::NoAccount => "Es gibt kein Konto für Nummern".to_owned(),
            RouteError::NoEmergencyRoute => "Kein Weg für Notrufe".to_owned(),
        },
        DialError::NothingToRedial => "Noch nichts gewählt".to_owned(),
        DialError::NoOneCalled => "Noch kein Anrufer".to_owned(),
        DialError::NothingToTransfer | DialError::NothingToConnect => {
            "Kein Gespräch wird gehalten".to_owned()
        }
        DialError::TooManyCalls(_) => "Zu viele Gespräche".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_said_in_the_language_of_the_phone() {
        let busy = Failure::Call(EndCause {
            code: Some(486),
            reason: "Busy Here".to_owned(),
        });
        assert_eq!(busy.text(Language::English), "486 Busy Here");
        assert_eq!(busy.text(Language::German), "Besetzt (486)");
        let gone = Failure::Call(EndCause {
            code: None,
            reason: "the far end is gone".to_owned(),
        });
        assert_eq!(
            gone.text(Language::German),
            "Die Verbindung kam nicht zustande"
        );
        let barred = Failure::Dialled(BarredNumber::DigitMap("0900".to_owned()).into());
        assert_eq!(barred.text(Language::German), "0900 ist gesperrt");
    }

    #[test]
    fn no_reason_of_any_status_is_english_or_cannot_be_shown() {
        for code in 300..700 {
            let failure = Failure::Call(EndCause {
                code: Some(code),
                reason: "Whatever The Server Says".to_owned(),
            });
            let text = failure.text(Language::German);
            assert!(
                !text.contains("Server Says") && text.contains(&code.to_string()),
                "{text}"
            );
            assert_eq!(display::legible(&text), text);
        }
    }
}
