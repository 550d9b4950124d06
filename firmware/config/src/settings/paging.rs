//! Announcements to many phones at once: `[paging]`.

use types::Codec;

use super::{Section, Setting, WhenUnset, setting};
use crate::schema::Paging;
use crate::value::{TextFormat, ValueKind};

/// These keys, in the order of the example.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting(Section::Paging, "groups",
        ValueKind::Numbered(Paging::MOST_GROUPS, TextFormat::PagingGroup),
        WhenUnset::Default("{}"), "{ 1 = \"239.1.1.1:5004\", 2 = \"239.1.1.2:5004\" }",
        |c, v| c.paging.groups = v.pairs().iter()
            .filter_map(|(number, group)| Some((number.parse().ok()?, Paging::group(group)?)))
            .collect(),
        "Multicast groups whose announcements are heard in the loudspeaker, and the number of \
         each: the lower, the more important. A more important page cuts off another. Star code \
         `paging` and the number speaks to a group."),
    setting(Section::Paging, "over_calls", ValueKind::Number(0, 9), WhenUnset::Default("0"), "1",
        |c, v| c.paging.over_calls = v.number() as u8,
        "Groups up to this number are heard while the phone is in use, too, but never in an \
         emergency call; 0: none. The far end does not hear them."),
    setting(Section::Paging, "over_dnd", ValueKind::Number(0, 9), WhenUnset::Default("1"), "0",
        |c, v| c.paging.over_dnd = v.number() as u8,
        "Groups up to this number are heard in spite of do not disturb and quiet hours; 0: none."),
    setting(Section::Paging, "codec", ValueKind::Choice(&["pcmu", "pcma", "g722", "opus"]),
        WhenUnset::Default("\"g722\""), "\"pcmu\"",
        |c, v| c.paging.codec = Codec::from_name(&v.text()).unwrap_or(Codec::G722),
        "What this phone sends. It understands all of them."),
];
