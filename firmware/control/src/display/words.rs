//! The words on the display.

use config::LocalTime;
use types::Language;

/// Declares the words: variant, English, German.
macro_rules! words {
    ($($variant:ident $english:literal $german:literal,)*) => {
        /// Something that stands on the display.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Word {
            $(#[doc = $english] $variant,)*
        }

        impl Word {
            /// As it stands there.
            pub(crate) const fn text(self, language: Language) -> &'static str {
                match language {
                    Language::English => match self {
                        $(Self::$variant => $english,)*
                    },
                    Language::German => match self {
                        $(Self::$variant => $german,)*
                    },
                }
            }

            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

words! {
    Menu "Menu" "Menü",
    History "Calls" "Anrufe",
    PhoneBook "Phone book" "Telefonbuch",
    Volume "Volume" "Lautstärke",
    Ringing "Ringing" "Klingeln",
    Network "Network" "Netz",
    About "About" "Über",
    Earpiece "Earpiece" "Hörer",
    Speaker "Speaker" "Lautsprecher",
    Ringer "Ringer" "Klingel",
    Microphone "Microphone" "Mikrofon",
    DoNotDisturb "Do not disturb" "Nicht stören",
    ForwardAll "Forward all" "Weiterleiten",
    ForwardBusy "If busy" "Bei besetzt",
    ForwardNoAnswer "No answer" "Keine Antwort",
    HideNumber "Hide my number" "Nummer verbergen",
    On "on" "an",
    Off "off" "aus",
    Empty "Nothing here" "Nichts vorhanden",
    LessMore "2 more  8 less" "2 mehr  8 weniger",
    LiftToCall "Lift the handset to call." "Zum Anrufen abheben.",
    Call "# calls" "# anrufen",
    NoLine "No line" "Keine Leitung",
    DirectOnly "Direct calls" "Direktrufe",
    MissedOne "missed call" "Anruf verpasst",
    MissedMany "missed calls" "Anrufe verpasst",
    Messages "Messages wait" "Nachrichten warten",
    NewMessage "new message" "neue Nachricht",
    NewMessages "new messages" "neue Nachrichten",
    ForwardedTo "Forwarded to" "Umgeleitet zu",
    SettingsError "Settings: error" "Einstellung: Fehler",
    NoNetwork "No network" "Kein Netz",
    Dial "Dial" "Wählen",
    HeldCall "On hold:" "Gehalten:",
    WaitingCall "Waiting:" "Es wartet:",
    Calling "Calling" "Rufaufbau",
    RingsThere "It rings" "Es klingelt",
    IncomingCall "Incoming call" "Anruf",
    SilenceRefuse "* silent  # refuse" "* still  # ablehnen",
    OnHold "On hold" "Gehalten",
    HeldByPeer "The other holds" "Wird gehalten",
    Conference "Conference" "Konferenz",
    Unknown "Unknown" "Unbekannt",
    Quality "Quality" "Qualität",
    Encrypted "Encrypted" "Verschlüsselt",
    NotEncrypted "NOT encrypted" "NICHT verschlüsselt",
    Busy "Busy" "Besetzt",
    Failed "No connection" "Keine Verbindung",
    HangUp "Hang up" "Bitte auflegen",
    SetUp "Set-up" "Einrichten",
    FollowVoice "Answer the voice with the keys." "Mit den Tasten antworten.",
    Missed "Missed" "Verpasst",
    Received "Received" "Angenommen",
    Dialled "Dialled" "Gewählt",
    Refused "Refused" "Abgelehnt",
    Elsewhere "Answered elsewhere" "Anderswo angenommen",
    NotReached "Not reached" "Nicht erreicht",
    Message "Message" "Nachricht",
    Duration "Duration" "Dauer",
    Address "Address" "Adresse",
    Registered "registered" "angemeldet",
    NotRegistered "not registered" "nicht angemeldet",
    Version "Version" "Version",
    Fingerprint "Fingerprint" "Fingerabdruck",
    Account "Account" "Konto",
    Fault "Fault" "Störung",
}

/// The day, as people of the language write it.
pub(crate) fn date(time: LocalTime, language: Language) -> String {
    let (days, months): (&[&str; 7], &[&str; 12]) = match language {
        Language::English => (
            &["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"],
            &[
                "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
            ],
        ),
        Language::German => (
            &["So", "Mo", "Di", "Mi", "Do", "Fr", "Sa"],
            &[
                "Jan.", "Feb.", "März", "April", "Mai", "Juni", "Juli", "Aug.", "Sep.", "Okt.",
                "Nov.", "Dez.",
            ],
        ),
    };
    let weekday = days[usize::from(time.weekday) % 7];
    let month = months[usize::from(time.month.saturating_sub(1)) % 12];
    let (day, year) = (time.day, time.year);
    match language {
        Language::English => format!("{weekday} {day} {month} {year}"),
        Language::German => format!("{weekday} {day}. {month} {year}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_can_be_shown_in_each_language() {
        for word in Word::ALL {
            for language in Language::ALL {
                let text = word.text(language);
                assert!(!text.is_empty() && text.len() < 40, "{word:?}");
                assert_eq!(display::legible(text), text, "{word:?}");
            }
        }
    }

    #[test]
    fn days_are_written_as_people_do() {
        let time = config::local_time("UTC0", 1_772_357_400);
        assert_eq!(date(time, Language::English), "Sun 1 Mar 2026");
        assert_eq!(date(time, Language::German), "So 1. März 2026");
    }
}
