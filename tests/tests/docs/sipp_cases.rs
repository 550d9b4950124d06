//! The cases of the shared list for SIPp, and the scenarios of ours that hold them.

use std::collections::BTreeSet;

use super::repository;

/// Each case by its number, and what it is run by.
const CASES: &[(u32, &[&str])] = &[
    (1, &["call"]),
    (2, &["late_offer"]),
    (3, &["video_without_rtpmap"]),
    (4, &["late_offer_hung_up"]),
    (5, &["options"]),
    (6, &["options_headers"]),
    (7, &["info_dtmf"]),
    (8, &["reinvite_491"]),
    (9, &["only_line_port_zero"]),
    (10, &["hold_with_declined_video"]),
    (11, &["savp_refused"]),
    (12, &["plain_to_preferred"]),
    (13, &["session_too_short"]),
    (14, &["messages_unasked"]),
    (15, &["early_media_cancelled"]),
    (16, &["no_ack"]),
    (17, &["refresher", "session_expires"]),
    (18, &["reinvite_without_offer"]),
    (19, &["hung_up_by_phone"]),
    (20, &["preloaded_route"]),
    (21, &["utf8_name"]),
    (22, &["refresh"]),
    (23, &["update_early"]),
    (24, &["wrong_media"]),
    (25, &["several_require"]),
    (26, &["message_without_body"]),
    (27, &["prack_with_offer"]),
    (28, &["update_not_acceptable"]),
    (29, &["sdes_required"]),
    (30, &["dtls_required"]),
    (31, &["fresh_origin"]),
    (32, &["second_line_disabled"]),
    (33, &["subscribe_presence"]),
    (34, &["static_payload"]),
    (35, &["hold_and_resume"]),
    (36, &["uas_many_codecs_update"]),
    (37, &["uas_many_codecs"]),
    (38, &["uas_odd_183_cancelled"]),
    (39, &["uas_183_other_media"]),
    (40, &["uas_without_sdp"]),
    (41, &["uas_refreshed_by_update"]),
    (42, &["uas_early_bye"]),
    (43, &["uas_fork_two_200"]),
    (44, &["uas_fork_reliable"]),
    (45, &["uas_401_after_100"]),
    (46, &["uas_reinvite_without_sdp"]),
    (47, &["uas_reinvite_without_media"]),
    (48, &["uas_refreshed_by_reinvite"]),
    (49, &["uas_183_180_200"]),
    (50, &["uas_hangs_up"]),
    (51, &["uas_cancelled"]),
    (52, &["uas_busy"]),
    (53, &["uas_reliable_180"]),
    (54, &["uas_slow"]),
    (55, &["uas_held"]),
    (56, &["uas_over_tcp"]),
    (57, &["uas_refers"]),
    (58, &["uas_redirects"]),
    (59, &["uas_cancel_without_final"]),
    (60, &["uas_register"]),
    (61, &["uas_register"]),
    (62, &["uas_mailbox"]),
];

#[test]
fn every_case_of_the_list_has_a_scenario_that_passes() {
    let name = "every_case_of_the_list_has_a_scenario_that_passes";
    let Some(list) = testkit::data::read_text(name, "sipp-cases.md") else {
        return;
    };
    let listed: BTreeSet<u32> = list
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    assert!(listed.len() > 50, "only {} cases are read", listed.len());
    let held: BTreeSet<u32> = CASES.iter().map(|(case, _)| *case).collect();
    assert_eq!(listed, held, "the list and the table differ");
    let page = std::fs::read_to_string(repository().join("docs/conformance.md")).unwrap();
    for (case, scenarios) in CASES {
        for scenario in *scenarios {
            let file = repository().join(format!("tests/sipp/{scenario}.xml"));
            assert!(file.exists(), "case {case}: there is no {scenario}");
            let row = page
                .lines()
                .find(|line| line.starts_with(&format!("| `{scenario}` |")));
            assert!(
                row.is_some_and(|row| row.ends_with("| passes |")),
                "case {case}: {scenario} does not pass: {row:?}"
            );
        }
    }
}
