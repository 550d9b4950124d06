//! A board without a clock of its own: it wakes up in another year, and the network gives the time.

use std::net::UdpSocket;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::machine::{Machine, Plugs};
use crate::network::TestNetwork;

/// Seconds between the beginning of NTP's time (1900) and that of Unix.
const NTP_EPOCH: u64 = 2_208_988_800;

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// A time server (RFC 5905, what a client needs of it) at the network's end.
fn serve(address: &str) -> Result<(), String> {
    let socket =
        UdpSocket::bind((address, 123)).map_err(|error| format!("{address}:123: {error}"))?;
    std::thread::spawn(move || {
        let mut question = [0; 128];
        while let Ok((length, from)) = socket.recv_from(&mut question) {
            if length < 48 {
                continue;
            }
            let time = now();
            let fraction = ((u64::from(time.subsec_nanos()) << 32) / 1_000_000_000) as u32;
            let mut stamp = [0; 8];
            stamp[..4].copy_from_slice(&((time.as_secs() + NTP_EPOCH) as u32).to_be_bytes());
            stamp[4..].copy_from_slice(&fraction.to_be_bytes());
            // No leap second, version 4, server; stratum 1; a precision of a microsecond.
            let mut answer = [0; 48];
            answer[..4].copy_from_slice(&[0x24, 1, question[2], 0xec]);
            answer[12..16].copy_from_slice(b"TEST");
            answer[16..24].copy_from_slice(&stamp);
            answer[24..32].copy_from_slice(&question[40..48]);
            answer[32..40].copy_from_slice(&stamp);
            answer[40..48].copy_from_slice(&stamp);
            let _ = socket.send_to(&answer, from);
        }
    });
    Ok(())
}

#[test]
fn a_clock_of_another_year_is_set_by_the_network() {
    let name = "a_clock_of_another_year_is_set_by_the_network";
    let network = match TestNetwork::new(6) {
        Ok(network) => network,
        Err(why) => return eprintln!("SKIPPED: {name}: no tap device can be made here: {why}"),
    };
    if let Err(why) = serve(&network.host) {
        return eprintln!("SKIPPED: {name}: no time server can listen here: {why}");
    }
    let dir = TestDir::new("image-clock");
    let plugs = Plugs {
        tap: Some(network.tap.clone()),
        clock: Some("2001-02-03T04:05:06"),
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);
    let file = format!(
        "[phone]\ncountry = \"fr\"\n[network]\naddress = \"{}/24\"\n[system]\nntp = [\"{}\"]\n",
        network.phone, network.host
    );
    machine.card.write("offhook.toml", file.as_bytes());
    machine.power();
    // Whatever the year: the phone is a phone.
    machine.wait_state("idle", BOOT_LIMIT);
    if machine.ask("[ -x /usr/sbin/ntpd ]", BOOT_LIMIT).unwrap().1 != 0 {
        return eprintln!(
            "SKIPPED: {name}: Debian's busybox has no time client, and its source could not be had \
             or built"
        );
    }
    assert_eq!(
        machine
            .shell("dmesg | grep -c 'setting system clock to 2001-02-03'")
            .trim(),
        "1"
    );
    let right = |text: &str| {
        text.trim()
            .parse::<u64>()
            .is_ok_and(|seconds| seconds.abs_diff(now().as_secs()) < 5)
    };
    machine.wait("the right time", "date +%s", Duration::from_secs(60), right);
    // The phone took note: certificates are judged by the new clock, timers by none.
    machine.wait(
        "the phone's word",
        "dmesg",
        Duration::from_secs(30),
        |text| text.contains("the clock was set"),
    );
    machine.wait_state("idle", BOOT_LIMIT);
}
