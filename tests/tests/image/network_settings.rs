//! The network the configuration asks for: DHCP with its options, a fixed address, a VLAN, IPv6; a
//! configuration from a server; log and SSH, each only when asked for. Always after the phone.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use testkit::process::TestDir;

use crate::boot::BOOT_LIMIT;
use crate::machine::{Machine, Plugs};
use crate::network::{TestNetwork, serve};

const SOON: Duration = Duration::from_secs(40);

/// Seconds since the kernel's start at which its log first says this.
fn logged(machine: &mut Machine, what: &str) -> f64 {
    let line = machine.shell(&format!("dmesg | grep -m1 -e '{what}'"));
    let time = line
        .trim_start_matches('[')
        .split(']')
        .next()
        .unwrap_or_default()
        .trim();
    time.parse()
        .unwrap_or_else(|error| panic!("{line}: {error}"))
}

#[test]
fn the_network_is_what_the_file_says() {
    let mut network = match TestNetwork::new(2) {
        Ok(network) => network,
        Err(why) => {
            eprintln!(
                "SKIPPED: the_network_is_what_the_file_says: no tap device can be made here: {why}"
            );
            return;
        }
    };
    let dir = TestDir::new("image-network");
    // Option 160 as the bytes of its text; nothing listens there, which is no error of the network.
    let url = format!("http://{}/{{mac}}.toml", network.host);
    let hex = url
        .bytes()
        .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    network.serve_dhcp(
        &dir,
        &format!("opt tftp {}\nopt 0xa0 {hex}\n", network.host),
    );
    let plugs = Plugs {
        tap: Some(network.tap.clone()),
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);
    machine
        .card
        .write("offhook.toml", b"[phone]\ncountry = \"fr\"\n");
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.wait(
        "an address by DHCP",
        "ip -4 addr show dev eth0",
        SOON,
        |text| text.contains(&network.phone),
    );
    let options = machine.wait("the options", "cat /run/offhook/dhcp", SOON, |text| {
        text.contains("option160")
    });
    assert!(
        options.contains(&format!("option160={url}"))
            && options.contains(&format!("option66={}", network.host)),
        "{options}"
    );
    assert!(
        machine
            .shell("cat /etc/resolv.conf")
            .contains(&network.host)
    );
    assert!(
        machine
            .shell("ip route")
            .contains(&format!("default via {}", network.host))
    );
    // Dial tone does not wait for it.
    let (phone, network) = (
        logged(&mut machine, "SIP on"),
        logged(&mut machine, "on device eth0"),
    );
    println!("phone ready at {phone} s, network at {network} s of the kernel's time");
    assert!(phone < network, "the phone waited for the network");
    // No one gave a key: nothing listens but the phone.
    let listening = machine.shell("cat /proc/net/tcp /proc/net/tcp6");
    assert!(
        !listening.contains(":0016 "),
        "SSH without a key: {listening}"
    );
    machine.cut();

    // A fixed address on a VLAN, and a name.
    machine.card.write(
        "offhook.toml",
        b"[phone]\ncountry = \"fr\"\n[network]\nhost_name = \"desk\"\naddress = \"10.78.2.9/24\"\n\
          gateway = \"10.78.2.1\"\nvlan = 7\n",
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    machine.wait(
        "the fixed address",
        "ip -4 addr show dev eth0.7",
        SOON,
        |text| text.contains("10.78.2.9/24"),
    );
    machine.ask("ping -c 2 -W 1 10.78.2.1", SOON).unwrap();
    assert_eq!(machine.shell("hostname").trim(), "desk");
    assert!(
        !machine.shell("ip -4 addr show dev eth0").contains("inet "),
        "an address outside the VLAN"
    );
    assert!(
        !machine.shell("ip -6 addr show dev eth0").contains("inet6 "),
        "an IPv6 address outside the VLAN"
    );
    machine.cut();
    // On the network: the question for the router's address, tagged with VLAN 7 and the priority of
    // voice, 5.
    let seen = std::fs::read(machine.wire_record()).unwrap();
    assert!(
        seen.windows(6)
            .any(|part| part == [0x81, 0x00, 5 << 5, 7, 0x08, 0x06]),
        "no ARP with VLAN 7 and priority 5 among {} bytes",
        seen.len()
    );
}

/// The next datagram to this socket that is right.
fn datagram(socket: &UdpSocket, what: &str, right: impl Fn(&[u8]) -> bool) {
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let (end, mut buffer, mut seen) = (Instant::now() + SOON, [0; 2048], Vec::new());
    while Instant::now() < end {
        if let Ok(length) = socket.recv(&mut buffer) {
            if right(&buffer[..length]) {
                return;
            }
            seen.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
    }
    panic!("no {what} within {SOON:?}, only {seen:?}");
}

/// IPv6; a configuration from the network, taken without a reboot; and what runs beside the phone
/// when the file asks for it: the log to a server, SSH with a key.
#[test]
fn provisioning_syslog_and_ssh_by_configuration() {
    let network = match TestNetwork::new(4) {
        Ok(network) => network,
        Err(why) => {
            eprintln!(
                "SKIPPED: provisioning_syslog_and_ssh_by_configuration: no tap device can be made \
                 here: {why}"
            );
            return;
        }
    };
    let dir = TestDir::new("image-beside");
    let key = dir.join("key");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "anna", "-f"])
        .arg(&key)
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    let stranger = dir.join("stranger");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(&stranger)
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    let log = UdpSocket::bind((network.host.as_str(), 0)).unwrap();
    let fetched = "[phone]\nname = \"From afar\"\n[network]\nhost_name = \"desk\"\n";
    let (url, counts) = serve(&network.host, "{mac}.toml", fetched.into());
    let plugs = Plugs {
        tap: Some(network.tap.clone()),
        ..Plugs::default()
    };
    let mut machine = Machine::new(&dir, "phone", plugs);
    machine.card.write(
        "offhook.toml",
        format!(
            "[provision]\nurl = \"{url}\"\nallow_http = true\n[phone]\ncountry = \"fr\"\n\
             [network]\naddress = \"{}/24\"\nipv6 = \"fd77:4::20/64\"\n\
             [system]\nsyslog = \"{}\"\nssh_keys = [\"{}\"]\n",
            network.phone,
            log.local_addr().unwrap(),
            public.trim(),
        )
        .as_bytes(),
    );
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    // Fetched and judged beside the running phone, then another phone, and the system around it
    // follows; the board runs on.
    let boot_id = machine.shell("cat /proc/sys/kernel/random/boot_id");
    machine.wait("the name from the network", "hostname", SOON, |text| {
        text.trim() == "desk"
    });
    machine.wait(
        "its word",
        "offhook ctl refresh >/dev/null; cat /boot/offhook/status.txt",
        SOON,
        |text| text.contains("From the network: in use"),
    );
    machine.wait_state("idle", SOON);
    // The interface came after the phone: no one's file was asked for meanwhile.
    let [given, known, other] = [0, 1, 2].map(|index: usize| counts[index].load(Ordering::SeqCst));
    assert!(
        given == 1 && known >= 1 && other == 0,
        "given {given} times, {known} times not new, {other} times another file"
    );
    assert_eq!(
        machine.shell("cat /proc/sys/kernel/random/boot_id"),
        boot_id,
        "it was started again"
    );
    machine.shell(
        "dmesg | grep -q 'restarts with a new configuration' && grep -q 'From afar' \
                   /data/offhook/network.toml",
    );
    // Busybox's words in the log are the kernel's and the phone's.
    datagram(&log, "line of the phone's log", |line| {
        let line = String::from_utf8_lossy(line);
        line.contains("offhook") || line.contains("SIP on")
    });
    machine.wait("SSH", "cat /proc/net/tcp6 /proc/net/tcp", SOON, |text| {
        text.contains(":0016 ")
    });
    let ssh = |key: &std::path::Path, host: &str| {
        let output = Command::new("ssh")
            .args([
                "-F",
                "none",
                "-T",
                "-o",
                "BatchMode=yes",
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "IdentitiesOnly=yes",
            ])
            .args([
                "-o",
                "UserKnownHostsFile=/dev/null",
                "-o",
                "ConnectTimeout=60",
                "-i",
            ])
            .arg(key)
            .args([&format!("root@{host}"), "hostname"])
            .stdin(std::process::Stdio::null())
            .output()
            .expect("ssh runs");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    for host in [network.phone.as_str(), "fd77:4::20"] {
        let (done, said, why) = ssh(&key, host);
        assert!(done && said == "desk", "{host}: {said} {why}");
    }
    let (done, _, why) = ssh(&stranger, &network.phone);
    assert!(
        !done && why.contains("Permission denied (publickey)"),
        "a stranger's key, or a password would do: {why}"
    );
    // Its host key stays when the power goes.
    machine.shell("sync");
    let host_key = machine.shell("sha256sum /data/ssh/*");
    machine.cut();
    machine.power();
    machine.wait_state("idle", BOOT_LIMIT);
    assert_eq!(machine.shell("sha256sum /data/ssh/*"), host_key);
}
