//! The files of the system around the phone, made of the configuration. What they are for stands in
//! `docs/image.md`.
//!
//! ```text
//! Config ─▶ files (pure: name, text, secret) ─▶ FOLDER.new ─▶ FOLDER      `changed`: what differs from the FOLDER before
//! ```
//!
//! Every value was checked by the schema; what a shell reads is quoted nevertheless.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use config::Config;
use config::schema::{EapMethod, Ipv4Config, Ipv6Config, WifiSecurity};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SystemFile {
    name: &'static str,
    text: String,
    /// Only its owner may read it.
    secret: bool,
}

/// Writes them all. The folder is made again, so that what is not said any more is gone.
pub(crate) fn emit(config: &Config, folder: &Path) -> io::Result<()> {
    let mut files = files(config);
    let changed = changed(&files, folder);
    files.push(SystemFile {
        name: "changed",
        text: changed,
        secret: false,
    });
    let beside = folder.with_extension("new");
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&beside)?;
    for file in &files {
        let mode = if file.secret { 0o600 } else { 0o644 };
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(beside.join(file.name))?;
        out.write_all(file.text.as_bytes())?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    fs::rename(&beside, folder)
}

/// Names of the files that differ from what lies in the folder, one a line; those that are gone
/// count.
fn changed(files: &[SystemFile], folder: &Path) -> String {
    let mut names: Vec<String> = files
        .iter()
        .filter(|file| {
            let before = board::files::read(&folder.join(file.name), file.text.len() as u64);
            before.ok().as_deref() != Some(file.text.as_bytes())
        })
        .map(|file| file.name.to_owned())
        .collect();
    if let Ok(before) = fs::read_dir(folder) {
        let gone = before
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name != "changed" && files.iter().all(|file| file.name != name));
        names.extend(gone);
    }
    names.sort_unstable();
    names
        .iter()
        .fold(String::new(), |text, name| text + name + "\n")
}

fn files(config: &Config) -> Vec<SystemFile> {
    let plain = |name, text| SystemFile {
        name,
        text,
        secret: false,
    };
    let secret = |name, text| SystemFile {
        name,
        text,
        secret: true,
    };
    let (link, system) = (&config.link, &config.system);
    let mut files = vec![
        plain("network.env", network_env(config)),
        plain("hostname", format!("{}\n", link.host_name)),
        plain("TZ", format!("{}\n", system.time_zone)),
    ];
    if !link.dns.is_empty() {
        let text = link.dns.iter().fold(String::new(), |text, ip| {
            text + &format!("nameserver {ip}\n")
        });
        files.push(plain("resolv.conf", text));
    }
    if let Some(text) = wpa_supplicant(config) {
        files.push(secret("wpa_supplicant.conf", text));
    }
    if let Some(text) = eap(config) {
        files.push(secret("eap.conf", text));
    }
    if !system.ntp.is_empty() {
        // busybox's ntpd takes an IPv6 address without brackets.
        let bare = |host: &String| {
            host.trim_start_matches('[')
                .trim_end_matches(']')
                .to_owned()
        };
        let text = system.ntp.iter().fold(String::new(), |text, host| {
            text + &format!("server {}\n", bare(host))
        });
        files.push(plain("ntp.conf", text));
    }
    if !system.ssh_keys.is_empty() {
        files.push(secret("authorized_keys", system.ssh_keys.join("\n") + "\n"));
    }
    if let Some(syslog) = &system.syslog {
        // The port is said where it was not: busybox's syslogd would take its own default, which is
        // the same.
        let port = if syslog
            .rsplit(']')
            .next()
            .is_some_and(|rest| rest.contains(':'))
        {
            ""
        } else {
            ":514"
        };
        files.push(plain(
            "syslog.env",
            env(&[("SYSLOG", format!("{syslog}{port}"))]),
        ));
    }
    files
}

fn network_env(config: &Config) -> String {
    let link = &config.link;
    let interface = match (&config.wifi.ssid, link.vlan) {
        (Some(_), None) if link.interface == "auto" => "wlan0".to_owned(),
        (Some(_) | None, _) => link.interface.clone(),
    };
    let dns: Vec<String> = link.dns.iter().map(IpAddr::to_string).collect();
    let ipv4 = match link.ipv4 {
        Ipv4Config::Dhcp => "dhcp".to_owned(),
        Ipv4Config::Off => "off".to_owned(),
        Ipv4Config::Fixed(address, length) => format!("{address}/{length}"),
    };
    let ipv6 = match link.ipv6 {
        Ipv6Config::Auto => "auto".to_owned(),
        Ipv6Config::Off => "off".to_owned(),
        Ipv6Config::Fixed(address, length) => format!("{address}/{length}"),
    };
    let options = config.provision.dhcp && config.provision.url.is_none();
    let text = |value: Option<String>| value.unwrap_or_default();
    env(&[
        ("HOST_NAME", link.host_name.clone()),
        ("INTERFACE", interface),
        ("VLAN", text(link.vlan.map(|vlan| vlan.to_string()))),
        ("VLAN_PRIORITY", link.vlan_priority.to_string()),
        (
            "LLDP",
            if link.lldp && link.vlan.is_none() {
                "1".to_owned()
            } else {
                String::new()
            },
        ),
        ("IPV4", ipv4),
        ("GATEWAY", text(link.gateway.map(|ip| ip.to_string()))),
        ("DNS", dns.join(" ")),
        ("IPV6", ipv6),
        (
            "IPV6_GATEWAY",
            text(link.ipv6_gateway.map(|ip| ip.to_string())),
        ),
        (
            "DHCP_OPTIONS",
            if options {
                "66 160 43".to_owned()
            } else {
                String::new()
            },
        ),
    ])
}

/// `NAME='value'` lines for a POSIX shell.
fn env(pairs: &[(&str, String)]) -> String {
    pairs.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name}='{}'", value.replace('\'', "'\\''"));
        text
    })
}

fn wpa_supplicant(config: &Config) -> Option<String> {
    let wifi = &config.wifi;
    let ssid = wifi.ssid.as_ref()?;
    let region = wifi
        .region
        .clone()
        .unwrap_or_else(|| config.phone.country.iso_3166());
    let ssid = hexadecimal(ssid);
    let password = &wifi.password.0;
    // A key of 64 digits stands bare; wpa_supplicant takes a quoted one up to the last quote, so
    // quotes inside need nothing.
    let raw = password.len() == 64;
    let psk = if raw {
        password.clone()
    } else {
        format!("\"{password}\"")
    };
    let protection = match wifi.security {
        WifiSecurity::Open => "\tkey_mgmt=NONE\n".to_owned(),
        WifiSecurity::Wpa3 => format!("\tkey_mgmt=SAE\n\tieee80211w=2\n\tsae_password={psk}\n"),
        WifiSecurity::Any if !raw => {
            format!("\tkey_mgmt=SAE WPA-PSK\n\tieee80211w=1\n\tproto=RSN\n\tpsk={psk}\n")
        }
        WifiSecurity::Any | WifiSecurity::Wpa2 => {
            format!("\tkey_mgmt=WPA-PSK\n\tieee80211w=1\n\tproto=RSN\n\tpsk={psk}\n")
        }
    };
    let hidden = if wifi.hidden { "\tscan_ssid=1\n" } else { "" };
    Some(format!(
        "ctrl_interface=/run/wpa_supplicant\nupdate_config=0\nsae_pwe=2\ncountry={region}\n\
         network={{\n\tssid={ssid}\n{hidden}{protection}}}\n"
    ))
}

/// As `wpa_supplicant` takes a text of any bytes.
fn hexadecimal(text: &str) -> String {
    text.bytes().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// IEEE 802.1X on the cable, for `wpa_supplicant`.
fn eap(config: &Config) -> Option<String> {
    let eap = &config.link.eap;
    let method = eap.method?;
    let mut text = "ctrl_interface=/run/wpa_supplicant\nupdate_config=0\nap_scan=0\nnetwork={\n\t\
                    key_mgmt=IEEE8021X\n\teapol_flags=0\n"
        .to_owned();
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "\t{name}={value}");
    };
    line(
        "eap",
        match method {
            EapMethod::Peap => "PEAP",
            EapMethod::Ttls => "TTLS",
            EapMethod::Tls => "TLS",
        },
    );
    let user = match (method, eap.user.as_str()) {
        // A certificate says who the phone is; something must stand there all the same.
        (EapMethod::Tls, "") => &config.link.host_name,
        (_, user) => user,
    };
    line("identity", &hexadecimal(user));
    let quoted = |path: &Path| format!("\"{}\"", path.display());
    if let Some(ca) = &eap.ca {
        line("ca_cert", &quoted(ca));
    }
    match (method, &eap.certificate, &eap.key) {
        (EapMethod::Tls, Some(certificate), Some(key)) => {
            line("client_cert", &quoted(certificate));
            line("private_key", &quoted(key));
        }
        (EapMethod::Tls, _, _) => {}
        (EapMethod::Peap | EapMethod::Ttls, _, _) => {
            line("password", &hexadecimal(&eap.password.0));
            line("phase2", "\"auth=MSCHAPV2\"");
        }
    }
    text.push_str("}\n");
    Some(text)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use testkit::process::TestDir;

    use super::*;

    fn of(toml: &str) -> Vec<SystemFile> {
        files(&config::load(toml, "f").unwrap_or_else(|errors| panic!("{errors}")))
    }

    fn text<'f>(files: &'f [SystemFile], name: &str) -> Option<&'f str> {
        files
            .iter()
            .find(|file| file.name == name)
            .map(|file| file.text.as_str())
    }

    #[test]
    fn an_empty_configuration_asks_dhcp_and_starts_nothing_more() {
        let files = of("[phone]\ncountry = \"de\"");
        let names: Vec<_> = files.iter().map(|file| file.name).collect();
        assert_eq!(names, ["network.env", "hostname", "TZ", "ntp.conf"]);
        assert_eq!(text(&files, "TZ"), Some("CET-1CEST,M3.5.0,M10.5.0/3\n"));
        assert_eq!(
            text(&files, "network.env"),
            Some(
                "HOST_NAME='offhook'\nINTERFACE='auto'\nVLAN=''\nVLAN_PRIORITY='5'\nLLDP='1'\n\
                 IPV4='dhcp'\n\
                 GATEWAY=''\nDNS=''\nIPV6='auto'\n\
                 IPV6_GATEWAY=''\nDHCP_OPTIONS='66 160 43'\n"
            )
        );
    }

    #[test]
    fn everything_said_is_in_its_file() {
        let files = of(r#"
[network]
host_name = "kitchen"
address = "192.168.1.20/24"
gateway = "192.168.1.1"
dns = ["192.168.1.1", "2001:db8::53"]
ipv6 = "2001:db8::20/64"
ipv6_gateway = "fe80::1"
vlan = 20
vlan_priority = 6
[system]
ntp = ["[2001:db8::1]", "time.example.net"]
syslog = "10.0.0.5"
ssh_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJz2b6Y9 anna"]
[provision]
url = "https://pbx.example.net/{mac}.toml"
"#);
        assert_eq!(
            text(&files, "network.env"),
            Some(
                "HOST_NAME='kitchen'\nINTERFACE='auto'\nVLAN='20'\nVLAN_PRIORITY='6'\nLLDP=''\n\
                 IPV4='192.168.1.20/24'\nGATEWAY='192.168.1.1'\n\
                 DNS='192.168.1.1 2001:db8::53'\nIPV6='2001:db8::20/64'\nIPV6_GATEWAY='fe80::1'\n\
                 DHCP_OPTIONS=''\n"
            )
        );
        assert_eq!(
            text(&files, "resolv.conf"),
            Some("nameserver 192.168.1.1\nnameserver 2001:db8::53\n")
        );
        assert_eq!(
            text(&files, "ntp.conf"),
            Some("server 2001:db8::1\nserver time.example.net\n")
        );
        assert_eq!(text(&files, "syslog.env"), Some("SYSLOG='10.0.0.5:514'\n"));
        let keys = files
            .iter()
            .find(|file| file.name == "authorized_keys")
            .unwrap();
        assert!(keys.secret && keys.text.ends_with("Y9 anna\n"));
    }

    #[test]
    fn wifi_of_every_kind() {
        let wifi = |rest: &str| {
            let files = of(&format!(
                "[phone]\ncountry = \"uk\"\n[wifi]\nssid = \"Caf\u{e9} \\\"1\\\"\"\n{rest}\n"
            ));
            assert!(
                text(&files, "network.env")
                    .unwrap()
                    .contains("INTERFACE='wlan0'\n")
            );
            text(&files, "wpa_supplicant.conf").unwrap().to_owned()
        };
        let any = wifi("password = \"a \\\"quoted\\\" one\"");
        assert!(
            any.contains("country=GB\n") && any.contains("\tssid=436166c3a92022312\u{32}\n"),
            "{any}"
        );
        assert!(
            any.contains("\tkey_mgmt=SAE WPA-PSK\n")
                && any.contains("\tpsk=\"a \"quoted\" one\"\n"),
            "{any}"
        );
        let wpa3 = wifi("password = \"12345678\"\nsecurity = \"wpa3\"\nhidden = true");
        assert!(
            wpa3.contains("\tkey_mgmt=SAE\n\tieee80211w=2\n\tsae_password=\"12345678\"\n")
                && wpa3.contains("scan_ssid=1")
        );
        assert!(!wpa3.contains("psk="));
        let raw = wifi(&format!("password = \"{}\"", "ab".repeat(32)));
        assert!(
            raw.contains(&format!("\tpsk={}\n", "ab".repeat(32)))
                && raw.contains("\tkey_mgmt=WPA-PSK\n")
        );
        let open = wifi("security = \"open\"\ncountry = \"DE\"");
        assert!(open.contains("key_mgmt=NONE") && open.contains("country=DE"));
    }

    #[test]
    fn a_cable_that_asks_who_is_there() {
        let eap = |rest: &str| {
            let files = of(&format!("[network]\neap_ca = \"ca.pem\"\n{rest}\n"));
            let file = files.iter().find(|file| file.name == "eap.conf").unwrap();
            assert!(file.secret);
            file.text.clone()
        };
        let peap = eap("eap = \"peap\"\neap_user = \"a \\\"b\\\"\"\neap_password = \"p}\"");
        assert!(peap.contains("\tkey_mgmt=IEEE8021X\n") && peap.contains("\teap=PEAP\n"));
        assert!(
            peap.contains("\tidentity=6120226222\n\tca_cert=\"ca.pem\"\n\tpassword=707d\n"),
            "{peap}"
        );
        let ttls = eap("eap = \"ttls\"\neap_user = \"a\"\neap_password = \"b\"");
        assert!(ttls.contains("\teap=TTLS\n") && ttls.contains("\tphase2=\"auth=MSCHAPV2\"\n"));
        let tls = eap(
            "eap = \"tls\"\neap_certificate = \"/x/c.pem\"\neap_key = \"/x/k.pem\"\n\
             host_name = \"hall\"",
        );
        assert!(
            tls.contains("\tidentity=68616c6c\n")
                && tls.contains("\tclient_cert=\"/x/c.pem\"\n\tprivate_key=\"/x/k.pem\"\n")
                && !tls.contains("password"),
            "{tls}"
        );
        assert_eq!(text(&of(""), "eap.conf"), None);
    }

    #[test]
    fn what_a_shell_reads_stays_text() {
        assert_eq!(
            env(&[("A", "it's $(x) `y`".to_owned())]),
            "A='it'\\''s $(x) `y`'\n"
        );
    }

    #[test]
    fn the_folder_is_whole_its_secrets_closed_and_its_changes_reported() {
        let dir = TestDir::new("emit");
        let folder = dir.join("system");
        let config = |toml: &str| config::load(toml, "f").unwrap();
        let changed = || fs::read_to_string(folder.join("changed")).unwrap();
        emit(
            &config("[wifi]\nssid = \"x\"\npassword = \"12345678\""),
            &folder,
        )
        .unwrap();
        let mode = |name: &str| {
            fs::metadata(folder.join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(
            (mode("wpa_supplicant.conf"), mode("network.env")),
            (0o600, 0o644)
        );
        assert_eq!(
            changed(),
            "TZ\nhostname\nnetwork.env\nntp.conf\nwpa_supplicant.conf\n"
        );
        emit(
            &config("[wifi]\nssid = \"x\"\npassword = \"12345678\""),
            &folder,
        )
        .unwrap();
        assert_eq!(changed(), "");
        emit(&config("[network]\nhost_name = \"hall\""), &folder).unwrap();
        assert_eq!(changed(), "hostname\nnetwork.env\nwpa_supplicant.conf\n");
        assert!(
            !folder.join("wpa_supplicant.conf").exists() && !folder.with_extension("new").exists()
        );
    }
}
