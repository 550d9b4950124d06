//! Emergency calls: encrypted where that is possible, in clear where it is not, whatever is
//! required of every other call.

use offhook_tests::world::{World, secs};
use phone::{State, Tone};
use testkit::peer::sdp;

use crate::encryption::{media_at, reply, required};

#[test]
fn emergency_call_goes_in_clear_where_nothing_else_is_taken() {
    for (lines, clear) in [("", true), ("emergency_clear = false", false)] {
        let mut world = World::new(&format!("encryption emergency {clear}"), 14);
        let setup = required().toml("encryption", lines).toml(
            "dial",
            "emergency_route = \"sip:script@10.0.0.9:5061;transport=tls\"",
        );
        let l = world.phone(setup);
        if clear {
            world.let_emergency_go_in_clear(l);
        }
        let far = world.tls_peer();
        world.call(l, "112");
        let mut last = world.expect(far, "INVITE");
        let mut offers = 1;
        // A far end that takes no encryption at all.
        while last.body.contains("a=crypto:") && offers < 6 {
            world.say(far, &last.reply(488, "b"));
            world.expect(far, "ACK");
            if !clear && offers == 2 {
                break;
            }
            last = world.expect(far, "INVITE");
            offers += 1;
        }
        if !clear {
            world.expect_nothing(far, secs(1));
            continue;
        }
        assert!(last.body.contains("RTP/AVP 0"), "{}", last.body);
        let ok = reply(
            &world,
            far,
            &last,
            200,
            "b",
            &sdp(media_at(), 1, "sendrecv"),
        );
        world.say(far, &ok);
        world.expect(far, "ACK");
        world.expect_state(l, State::Talking, secs(1));
        assert_eq!(world[l].control.tone(), Some(Tone::Unprotected));
        world.run(secs(1));
        assert!(!world.recorded(l).clear.is_empty(), "sound goes, in clear");
        world.report("required, 112: every encryption refused, then in clear, and heard so");
    }
}
