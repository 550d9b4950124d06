//! How loud the phone is: what the configuration says and what the volume keys made of it.

use types::FunctionKey;

/// One press of a volume key, in dB.
const STEP_DB: i8 = 3;
/// The volume keys add at most this much, in dB.
const MOST_DB: i8 = 12;
/// And take away at most this much.
const LEAST_DB: i8 = -30;

/// What a volume belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VolumeOf {
    /// What the handset's ear hears.
    Earpiece,
    /// What the loudspeaker plays while one talks hands-free.
    Speaker,
    /// A bell that is played.
    Ringer,
    /// The microphone.
    Microphone,
}

impl VolumeOf {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Earpiece,
        Self::Speaker,
        Self::Ringer,
        Self::Microphone,
    ];

    /// Its name on the control socket.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earpiece => "earpiece",
            Self::Speaker => "speaker",
            Self::Ringer => "ringer",
            Self::Microphone => "microphone",
        }
    }

    /// The one of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|of| of.as_str() == name)
    }
}

/// What the volume keys add to the configuration's levels, in dB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Of [`VolumeOf::Earpiece`].
    pub earpiece_db: i8,
    /// Of [`VolumeOf::Speaker`].
    pub speaker_db: i8,
    /// Of [`VolumeOf::Ringer`].
    pub ringer_db: i8,
    /// Of [`VolumeOf::Microphone`].
    pub microphone_db: i8,
}

impl Volumes {
    /// The least and the most that is added, in dB, and one press of a key.
    pub const LIMITS_DB: (i8, i8, i8) = (LEAST_DB, MOST_DB, STEP_DB);

    /// One of them.
    pub const fn of(self, of: VolumeOf) -> i8 {
        match of {
            VolumeOf::Earpiece => self.earpiece_db,
            VolumeOf::Speaker => self.speaker_db,
            VolumeOf::Ringer => self.ringer_db,
            VolumeOf::Microphone => self.microphone_db,
        }
    }

    /// The same, as far as volume keys can go.
    #[must_use]
    pub fn within_limits(mut self) -> Self {
        for of in VolumeOf::ALL {
            self.set(of, self.of(of));
        }
        self
    }

    /// Sets one of them, as far as there is room.
    pub(crate) fn set(&mut self, of: VolumeOf, db: i8) {
        let db = db.clamp(LEAST_DB, MOST_DB);
        match of {
            VolumeOf::Earpiece => self.earpiece_db = db,
            VolumeOf::Speaker => self.speaker_db = db,
            VolumeOf::Ringer => self.ringer_db = db,
            VolumeOf::Microphone => self.microphone_db = db,
        }
    }

    /// One press of a volume key.
    pub(crate) fn step(&mut self, of: VolumeOf, key: FunctionKey) {
        let step = if key == FunctionKey::VolumeUp {
            STEP_DB
        } else {
            -STEP_DB
        };
        self.set(of, self.of(of).saturating_add(step));
    }
}

/// How loud everything is now, in dB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Levels {
    /// Gain of the microphone.
    pub microphone_db: i8,
    /// Gain of what is heard, by handset or loudspeaker.
    pub ear_db: i8,
    /// Gain of a bell that is played.
    pub ringer_db: i8,
    /// One talks without the handset: no sidetone.
    pub hands_free: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_ends_at_both_ends() {
        let mut volumes = Volumes::default();
        for of in VolumeOf::ALL {
            assert_eq!(VolumeOf::from_name(of.as_str()), Some(of));
            for _ in 0..50 {
                volumes.step(of, FunctionKey::VolumeUp);
            }
            assert_eq!(volumes.of(of), MOST_DB, "{of:?}");
            volumes.step(of, FunctionKey::VolumeDown);
            assert_eq!(volumes.of(of), MOST_DB - STEP_DB, "{of:?}");
            volumes.set(of, i8::MIN);
            volumes.step(of, FunctionKey::VolumeDown);
            assert_eq!(volumes.of(of), LEAST_DB, "{of:?}");
        }
    }
}
