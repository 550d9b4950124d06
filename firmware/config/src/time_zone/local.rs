//! Local time, by a POSIX rule (IEEE 1003.1, `TZ`).
//!
//! ```text
//! "CET-1CEST,M3.5.0,M10.5.0/3" + seconds since 1970 ─▶ Rule ─▶ standard or summer time ─▶ LocalTime
//! ```

const DAY_S: i64 = 86_400;

/// A moment in local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LocalTime {
    /// The year.
    pub year: i64,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 is Sunday.
    pub weekday: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
}

impl LocalTime {
    /// Minutes since midnight.
    pub fn minute_of_day(self) -> u16 {
        u16::from(self.hour) * 60 + u16::from(self.minute)
    }
}

/// A day of the year on which the clock changes, and when.
#[derive(Debug, Clone, Copy)]
enum Change {
    /// `Mm.w.d`: the w-th weekday d of month m, 5 is the last.
    Weekday(u8, u8, u8),
    /// `Jn`: day 1 to 365, without 29 February.
    Julian(i64),
    /// `n`: day 0 to 365, with it.
    Day(i64),
}

/// The time of a moment, in seconds since 1970, by a POSIX rule; UTC where it is none.
pub fn local_time(rule: &str, unix_s: u64) -> LocalTime {
    let unix_s = i64::try_from(unix_s).unwrap_or(i64::MAX / 4);
    let offset = offset_s(rule, unix_s).unwrap_or(0);
    let local = unix_s + offset;
    let (days, second) = (local.div_euclid(DAY_S), local.rem_euclid(DAY_S));
    let (year, month, day) = date(days);
    LocalTime {
        year,
        month: month as u8,
        day: day as u8,
        // 1970-01-01 was a Thursday.
        weekday: (days + 4).rem_euclid(7) as u8,
        hour: (second / 3600) as u8,
        minute: (second / 60 % 60) as u8,
    }
}

/// How far that clock is ahead of UTC, in seconds.
fn offset_s(rule: &str, unix_s: i64) -> Option<i64> {
    let rest = skip_name(rule)?;
    let (standard, rest) = offset(rest)?;
    let standard = -standard;
    if rest.is_empty() {
        return Some(standard);
    }
    let rest = skip_name(rest)?;
    let (summer, rest) = if rest.starts_with(',') {
        (standard + 3600, rest)
    } else {
        let (summer, rest) = offset(rest)?;
        (-summer, rest)
    };
    let mut changes = rest.strip_prefix(',')?.splitn(2, ',');
    let (begins, ends) = (changes.next()?, changes.next()?);
    let (year, ..) = date((unix_s + standard).div_euclid(DAY_S));
    // Each change is written in the time that was before it.
    let begins = moment(begins, year)? - standard;
    let ends = moment(ends, year)? - summer;
    let is_summer = if begins < ends {
        (begins..ends).contains(&unix_s)
    } else {
        !(ends..begins).contains(&unix_s)
    };
    Some(if is_summer { summer } else { standard })
}

/// What follows the name of a time: letters, or anything in `<` and `>`.
fn skip_name(text: &str) -> Option<&str> {
    if let Some(quoted) = text.strip_prefix('<') {
        return Some(quoted.split_once('>')?.1);
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    (end >= 3).then(|| &text[end..])
}

/// `[+-]hh[:mm[:ss]]` in seconds, and what follows.
fn offset(text: &str) -> Option<(i64, &str)> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == ':'))
        .unwrap_or(text.len());
    let mut seconds = 0;
    for (part, unit) in text[..end].split(':').zip([3600, 60, 1]) {
        seconds += part.parse::<i64>().ok()? * unit;
    }
    Some((sign * seconds, &text[end..]))
}

/// When the clock changes in a year, in seconds since 1970 of the clock itself.
fn moment(text: &str, year: i64) -> Option<i64> {
    let (day, time) = match text.split_once('/') {
        Some((day, time)) => (day, offset(time)?.0),
        None => (text, 2 * 3600),
    };
    let first = days_of(year, 1, 1);
    let day = match change(day)? {
        Change::Weekday(month, week, weekday) => {
            let begin = days_of(year, i64::from(month), 1);
            let first = (i64::from(weekday) - (begin + 4)).rem_euclid(7);
            let mut day = begin + first + 7 * (i64::from(week) - 1);
            let next = if month == 12 {
                days_of(year + 1, 1, 1)
            } else {
                days_of(year, i64::from(month) + 1, 1)
            };
            while day >= next {
                day -= 7;
            }
            day
        }
        Change::Julian(day) => {
            let leap = days_of(year, 3, 1) - first == 60;
            first + day - 1 + i64::from(leap && day >= 60)
        }
        Change::Day(day) => first + day,
    };
    Some(day * DAY_S + time)
}

fn change(text: &str) -> Option<Change> {
    if let Some(rest) = text.strip_prefix('M') {
        let mut parts = rest.split('.').map(|part| part.parse::<u8>().ok());
        let (month, week, weekday) = (parts.next()??, parts.next()??, parts.next()??);
        let fine = (1..=12).contains(&month) && (1..=5).contains(&week) && weekday < 7;
        return fine.then_some(Change::Weekday(month, week, weekday));
    }
    match text.strip_prefix('J') {
        Some(day) => day.parse().ok().map(Change::Julian),
        None => text.parse().ok().map(Change::Day),
    }
}

/// Year, month and day of a day since 1970-01-01. The year begins in March, so that a leap day is
/// its last.
pub fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (era * 400 + year + later, month, day)
}

/// The day since 1970-01-01 of a date.
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rule: &str, unix_s: u64) -> String {
        let t = local_time(rule, unix_s);
        let (year, month, day) = (t.year, t.month, t.day);
        let weekday = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"][usize::from(t.weekday)];
        format!(
            "{weekday} {year}-{month:02}-{day:02} {:02}:{:02}",
            t.hour, t.minute
        )
    }

    /// As `date -d @N` prints it with this `TZ`.
    #[test]
    fn a_clock_shows_what_date_prints() {
        for (rule, unix_s, expected) in [
            ("UTC0", 0, "Thu 1970-01-01 00:00"),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                1_774_745_999,
                "Sun 2026-03-29 01:59",
            ),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                1_774_746_000,
                "Sun 2026-03-29 03:00",
            ),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                1_792_889_999,
                "Sun 2026-10-25 02:59",
            ),
            (
                "CET-1CEST,M3.5.0,M10.5.0/3",
                1_792_890_000,
                "Sun 2026-10-25 02:00",
            ),
            (
                "EST5EDT,M3.2.0,M11.1.0",
                1_772_953_199,
                "Sun 2026-03-08 01:59",
            ),
            (
                "EST5EDT,M3.2.0,M11.1.0",
                1_772_953_200,
                "Sun 2026-03-08 03:00",
            ),
            // The southern summer is over new year.
            (
                "AEST-10AEDT,M10.1.0,M4.1.0/3",
                1_767_222_000,
                "Thu 2026-01-01 10:00",
            ),
            (
                "AEST-10AEDT,M10.1.0,M4.1.0/3",
                1_782_864_000,
                "Wed 2026-07-01 10:00",
            ),
            ("<+0545>-5:45", 1_767_225_600, "Thu 2026-01-01 05:45"),
            ("<-03>3", 1_709_164_800, "Wed 2024-02-28 21:00"),
            ("no rule", 60, "Thu 1970-01-01 00:01"),
        ] {
            assert_eq!(shown(rule, unix_s), expected, "{rule} {unix_s}");
        }
    }

    #[test]
    fn every_zone_of_the_table_is_understood() {
        for name in super::super::names() {
            let rule = super::super::rule(name).unwrap();
            assert!(offset_s(rule, 1_767_225_600).is_some(), "{name}: {rule}");
        }
    }
}
