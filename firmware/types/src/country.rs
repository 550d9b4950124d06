//! Countries whose telephone networks the phone knows.

/// Declares the countries: variant, code and English name of each, once.
macro_rules! countries {
    ($($variant:ident $code:literal $name:literal,)*) => {
        /// A country whose tones, numbers and habits the phone knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Country {
            $(#[doc = $name] $variant,)*
        }

        impl Country {
            /// All of them, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its code in `offhook.toml`: ISO 3166, lower case, and `uk`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)*
                }
            }

            /// Its English name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

countries! {
    At "at" "Austria",
    Au "au" "Australia",
    Be "be" "Belgium",
    Bg "bg" "Bulgaria",
    Br "br" "Brazil",
    Ch "ch" "Switzerland",
    Cl "cl" "Chile",
    Cn "cn" "China",
    Cz "cz" "Czech Republic",
    De "de" "Germany",
    Dk "dk" "Denmark",
    Ee "ee" "Estonia",
    Es "es" "Spain",
    Fi "fi" "Finland",
    Fr "fr" "France",
    Gr "gr" "Greece",
    Hu "hu" "Hungary",
    Id "id" "Indonesia",
    Il "il" "Israel",
    In "in" "India",
    It "it" "Italy",
    Jp "jp" "Japan",
    Lt "lt" "Lithuania",
    Mx "mx" "Mexico",
    My "my" "Malaysia",
    Nl "nl" "Netherlands",
    No "no" "Norway",
    Nz "nz" "New Zealand",
    Ph "ph" "Philippines",
    Pl "pl" "Poland",
    Pt "pt" "Portugal",
    Ru "ru" "Russia",
    Se "se" "Sweden",
    Sg "sg" "Singapore",
    Th "th" "Thailand",
    Tw "tw" "Taiwan",
    Uk "uk" "United Kingdom",
    Us "us" "United States",
    Ve "ve" "Venezuela",
    Za "za" "South Africa",
}

impl Country {
    /// The country of this code, in any case; `gb` is `uk`, `ca` is `us`.
    pub fn from_name(code: &str) -> Option<Self> {
        let is = |known: &str| known.eq_ignore_ascii_case(code);
        if is("gb") {
            return Some(Self::Uk);
        }
        if is("ca") {
            return Some(Self::Us);
        }
        Self::ALL
            .iter()
            .copied()
            .find(|country| is(country.as_str()))
    }

    /// The code others dial it by (ITU-T E.164), without a prefix.
    pub const fn calling_code(self) -> &'static str {
        match self {
            Self::At => "43",
            Self::Au => "61",
            Self::Be => "32",
            Self::Bg => "359",
            Self::Br => "55",
            Self::Ch => "41",
            Self::Cl => "56",
            Self::Cn => "86",
            Self::Cz => "420",
            Self::De => "49",
            Self::Dk => "45",
            Self::Ee => "372",
            Self::Es => "34",
            Self::Fi => "358",
            Self::Fr => "33",
            Self::Gr => "30",
            Self::Hu => "36",
            Self::Id => "62",
            Self::Il => "972",
            Self::In => "91",
            Self::It => "39",
            Self::Jp => "81",
            Self::Lt => "370",
            Self::Mx => "52",
            Self::My => "60",
            Self::Nl => "31",
            Self::No => "47",
            Self::Nz => "64",
            Self::Ph => "63",
            Self::Pl => "48",
            Self::Pt => "351",
            Self::Ru => "7",
            Self::Se => "46",
            Self::Sg => "65",
            Self::Th => "66",
            Self::Tw => "886",
            Self::Uk => "44",
            Self::Us => "1",
            Self::Ve => "58",
            Self::Za => "27",
        }
    }

    /// Its ISO 3166 code, upper case: what radio regulations and time zones go by.
    pub fn iso_3166(self) -> String {
        match self {
            Self::Uk => "GB".to_owned(),
            _other => self.as_str().to_ascii_uppercase(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_leads_back_to_its_country() {
        for country in Country::ALL {
            assert_eq!(Country::from_name(country.as_str()), Some(*country));
            assert_eq!(Country::from_name(&country.iso_3166()), Some(*country));
        }
        assert_eq!(Country::from_name("CA"), Some(Country::Us));
        assert_eq!(
            (Country::from_name("xx"), Country::from_name("")),
            (None, None)
        );
        assert!(Country::ALL.is_sorted_by_key(|country| country.as_str()));
    }
}
