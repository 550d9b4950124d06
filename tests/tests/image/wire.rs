//! The network the configuration asks for: DHCP with its options, a fixed address, a VLAN. Always after the phone.

use std::time::Duration;

use crate::machine::{Machine, Plugs};
use crate::place::Place;
use crate::room::Wire;
use crate::start::START;

const SOON: Duration = Duration::from_secs(40);

/// Seconds since the kernel's start at which its log first says this.
fn logged(machine: &mut Machine, what: &str) -> f64 {
    let line = machine.shell(&format!("dmesg | grep -m1 -e '{what}'"));
    let time = line.trim_start_matches('[').split(']').next().unwrap_or_default().trim();
    time.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_network_is_what_the_file_says() {
    let mut wire = match Wire::new(2) {
        Ok(wire) => wire,
        Err(why) => {
            eprintln!("SKIPPED: the_network_is_what_the_file_says: no tap device can be made here: {why}");
            return;
        }
    };
    let place = Place::new("image-network");
    // Option 160 as the bytes of its text; nothing listens there, which is no error of the network.
    let url = format!("http://{}/{{mac}}.toml", wire.host);
    let hex = url.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    wire.serve_dhcp(&place, &format!("opt tftp {}\nopt 0xa0 {hex}\n", wire.host));
    let plugs = Plugs {
        tap: Some(wire.tap.clone()),
        ..Plugs::default()
    };
    let mut machine = Machine::new(&place, "phone", plugs);
    machine.card.write("offhook.toml", b"[phone]\ncountry = \"fr\"\n");
    machine.power();
    machine.wait_state("idle", START);
    machine.wait("an address by DHCP", "ip -4 addr show dev eth0", SOON, |text| {
        text.contains(&wire.phone)
    });
    let told = machine.wait("the options", "cat /run/offhook/dhcp", SOON, |text| text.contains("option160"));
    assert!(
        told.contains(&format!("option160={url}")) && told.contains(&format!("option66={}", wire.host)),
        "{told}"
    );
    assert!(machine.shell("cat /etc/resolv.conf").contains(&wire.host));
    assert!(machine.shell("ip route").contains(&format!("default via {}", wire.host)));
    // Dial tone does not wait for it.
    let (phone, network) = (logged(&mut machine, "SIP on"), logged(&mut machine, "on device eth0"));
    println!("phone ready at {phone} s, network at {network} s of the kernel's time");
    machine.cut();

    // A fixed address on a VLAN, and a name.
    machine.card.write(
        "offhook.toml",
        b"[phone]\ncountry = \"fr\"\n[network]\nhost_name = \"desk\"\naddress = \"10.78.2.9/24\"\ngateway = \"10.78.2.1\"\nvlan = 7\n",
    );
    machine.power();
    machine.wait_state("idle", START);
    machine.wait("the fixed address", "ip -4 addr show dev eth0.7", SOON, |text| {
        text.contains("10.78.2.9/24")
    });
    machine.ask("ping -c 2 -W 1 10.78.2.1", SOON).unwrap();
    assert_eq!(machine.shell("hostname").trim(), "desk");
    assert!(
        !machine.shell("ip -4 addr show dev eth0").contains("inet "),
        "an address outside the VLAN"
    );
    machine.cut();
    // On the wire: the question for the router's address, tagged with VLAN 7 and the priority of voice, 5.
    let seen = std::fs::read(machine.wire_record()).unwrap();
    assert!(
        seen.windows(6).any(|part| part == [0x81, 0x00, 5 << 5, 7, 0x08, 0x06]),
        "no ARP with VLAN 7 and priority 5 among {} bytes",
        seen.len()
    );
}
