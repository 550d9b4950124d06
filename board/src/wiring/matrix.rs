//! The keypad: which two lines each key joins, and what rows and columns that makes.

use std::collections::BTreeMap;

use super::findings::KeypadFound;

/// While `driven` was low, `reads_low` read low, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Joined {
    /// The line that was driven.
    pub driven: u32,
    /// The line that followed it.
    pub reads_low: u32,
}

/// Keys and the lines they join.
#[derive(Debug, Default)]
pub(super) struct Matrix {
    keys: BTreeMap<char, Vec<Joined>>,
}

/// The keys of a telephone, row by row.
const ROWS: [&str; 4] = ["123A", "456B", "789C", "*0#D"];

impl Matrix {
    pub(super) fn press(&mut self, key: char, joined: &[Joined]) {
        self.keys.insert(key, joined.to_vec());
    }

    /// Both ends of a key; `None`: it joins more or fewer than two lines.
    fn ends(&self, key: char) -> Option<(u32, u32)> {
        let joined = self.keys.get(&key)?;
        let mut lines: Vec<u32> = joined
            .iter()
            .flat_map(|j| [j.driven, j.reads_low])
            .collect();
        lines.sort_unstable();
        lines.dedup();
        match lines[..] {
            [a, b] => Some((a, b)),
            _ => None,
        }
    }

    /// Keys that join anything but two lines.
    pub(super) fn unclear(&self) -> Vec<char> {
        let unclear = self.keys.keys().filter(|key| self.ends(**key).is_none());
        unclear.copied().collect()
    }

    /// The line that all of these keys that were pressed have in common.
    fn common(&self, keys: impl Iterator<Item = char> + Clone) -> Option<u32> {
        let ends = keys.filter_map(|key| self.ends(key));
        let ends: Vec<(u32, u32)> = ends.collect();
        let (first, rest) = ends.split_first()?;
        if rest.is_empty() {
            return None;
        }
        let in_all = |line: u32| rest.iter().all(|(a, b)| line == *a || line == *b);
        match (in_all(first.0), in_all(first.1)) {
            (true, false) => Some(first.0),
            (false, true) => Some(first.1),
            (true, true) | (false, false) => None,
        }
    }

    /// Rows and columns, where the keys pressed make a matrix.
    pub(super) fn keypad(&self) -> Option<KeypadFound> {
        let key = |row: usize, column: usize| ROWS[row].chars().nth(column).unwrap_or('.');
        let rows: Option<Vec<u32>> = (0..4)
            .map(|row| self.common((0..4).map(move |column| key(row, column))))
            .collect();
        let columns: Vec<Option<u32>> = (0..4)
            .map(|column| self.common((0..4).map(move |row| key(row, column))))
            .collect();
        let (rows, columns) = (rows?, columns);
        // Three columns, or four.
        let columns: Vec<u32> = columns.into_iter().map_while(|column| column).collect();
        if columns.len() < 3 || rows.iter().any(|row| columns.contains(row)) {
            return None;
        }
        let fits = (0..4).all(|row| {
            (0..columns.len()).all(|column| {
                let ends = self.ends(key(row, column));
                let (row, column) = (rows[row], columns[column]);
                ends.is_some_and(|(a, b)| (a, b) == (row, column) || (a, b) == (column, row))
            })
        });
        if !fits {
            return None;
        }
        let labels: Vec<String> = ROWS
            .iter()
            .map(|row| row.chars().take(columns.len()).collect())
            .collect();
        // With a diode at each key current flows one way only: what is driven is the side it comes
        // to.
        let all = || self.keys.values().flatten();
        let row_drives = all().any(|joined| rows.contains(&joined.driven));
        let column_drives = all().any(|joined| columns.contains(&joined.driven));
        let has_diodes = row_drives != column_drives;
        if has_diodes && column_drives {
            let turned = (0..columns.len()).map(|column| {
                labels
                    .iter()
                    .filter_map(|row| row.chars().nth(column))
                    .collect()
            });
            return Some(KeypadFound {
                labels: turned.collect(),
                rows: columns,
                columns: rows,
                has_diodes,
            });
        }
        Some(KeypadFound {
            rows,
            columns,
            labels,
            has_diodes,
        })
    }
}
