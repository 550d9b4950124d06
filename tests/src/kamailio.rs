//! kamailio as registrar and record-routing proxy, digest without a database: every user's password
//! is `secret` + user.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::certificates::Issued;

use testkit::process::{ChildProcess, TestDir, port_block};

/// A running kamailio.
pub struct Kamailio {
    /// Its UDP and TCP port.
    pub port: u16,
    dir: PathBuf,
    config: PathBuf,
    process: ChildProcess,
    address: String,
}

impl Kamailio {
    /// Starts it without TLS on the loopback; `algorithm` is the digest's.
    pub fn start(dir: &TestDir, algorithm: &str) -> Self {
        Self::start_with(dir, algorithm, None, "127.0.0.1")
    }

    /// With TLS besides, on `tls_port`, by this certificate.
    pub fn start_tls(dir: &TestDir, algorithm: &str, certificate: &Issued) -> Self {
        Self::start_with(dir, algorithm, Some(certificate), "127.0.0.1")
    }

    /// Listening on this address; its domain and realm stay `127.0.0.1`.
    pub fn start_at(dir: &TestDir, algorithm: &str, address: &str) -> Self {
        Self::start_with(dir, algorithm, None, address)
    }

    fn start_with(
        dir: &TestDir,
        algorithm: &str,
        certificate: Option<&Issued>,
        address: &str,
    ) -> Self {
        let port = port_block();
        let dir = dir.join("kamailio");
        std::fs::create_dir_all(&dir).unwrap();
        let modules = [
            "/usr/lib/x86_64-linux-gnu/kamailio/modules",
            "/usr/lib/aarch64-linux-gnu/kamailio/modules",
        ];
        let modules = modules
            .iter()
            .find(|path| std::path::Path::new(path).exists())
            .expect("kamailio's modules are installed");
        let config = dir.join("kamailio.cfg");
        let (listen_tls, load_tls) = match certificate {
            None => (String::new(), String::new()),
            Some(issued) => (
                format!(
                    "enable_tls=yes\ntcp_connection_lifetime=3600\nlisten=tls:127.0.0.1:{}\n",
                    port + 1
                ),
                format!(
                    "loadmodule \"tls.so\"\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\n\
                     modparam(\"tls\", \"certificate\", \"{}\")\n\
                     modparam(\"tls\", \"private_key\", \"{}\")\n\
                     modparam(\"tls\", \"verify_certificate\", 0)\n",
                    issued.chain.display(),
                    issued.key.display()
                ),
            ),
        };
        // Contacts of phones that come by TLS lead back by the connection they came by.
        let (load_nat, fix_contact, use_alias, fix_register, replies) = match certificate {
            None => ("", "", "", "", ""),
            Some(_) => (
                "loadmodule \"nathelper.so\"\nmodparam(\"nathelper|registrar\", \"received_avp\", \
                 \"$avp(received)\")\n",
                "if (is_method(\"INVITE|UPDATE\")) add_contact_alias();",
                "handle_ruri_alias();",
                "fix_nated_register();",
                "onreply_route { add_contact_alias(); }\n",
            ),
        };
        let text = format!(
            r#"#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
listen=udp:{address}:{port}
listen=tcp:{address}:{port}
{listen_tls}mpath="{modules}/"
{load_tls}loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "max_expires", 60)
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
{load_nat}request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    {fix_contact}
    if (has_totag()) {{
        if (loose_route()) {{ {use_alias} t_relay(); exit; }}
        if (is_method("ACK")) {{ if (t_check_trans()) t_relay(); exit; }}
        sl_send_reply("404", "Not Here"); exit;
    }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("127.0.0.1", "secret$au", "0")) {{ www_challenge("127.0.0.1", "1"); exit; }}
        {fix_register} save("location"); exit;
    }}
    if (!pv_proxy_authenticate("127.0.0.1", "secret$au", "0")) {{ proxy_challenge("127.0.0.1", "1"); exit; }}
    record_route();
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    t_relay();
}}
{replies}"#
        );
        std::fs::write(&config, text).unwrap();
        let process = Self::spawn(&dir, &config);
        let kamailio = Self {
            port,
            dir,
            config,
            process,
            address: address.to_owned(),
        };
        kamailio.wait_up();
        kamailio
    }

    fn spawn(dir: &std::path::Path, config: &std::path::Path) -> ChildProcess {
        let mut command = Command::new("kamailio");
        // -DD: stays in the foreground, so that it ends with the test; small memories: there are
        // ten of us
        command
            .args(["-DD", "-E", "-m", "32", "-M", "8", "-Y"])
            .arg(dir)
            .arg("-f")
            .arg(config);
        ChildProcess::start(&mut command, &dir.join("log"))
    }

    fn wait_up(&self) {
        let end = Instant::now() + Duration::from_secs(8);
        while std::net::TcpStream::connect((self.address.as_str(), self.port)).is_err() {
            assert!(
                Instant::now() < end,
                "kamailio does not start:\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where it speaks TLS.
    pub fn tls_port(&self) -> u16 {
        self.port + 1
    }

    /// The `[[account]]` of a user who comes by TLS, for a domain of its own: what its certificate
    /// must be for.
    pub fn account_tls(&self, user: &str, domain: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = {domain:?}\npassword = \"secret{user}\"\n\
             registrar = \"127.0.0.1:{0}\"\n\
             outbound_proxy = \"127.0.0.1:{0}\"\ntransport = \"tls\"\nexpires_s = 60\n",
            self.tls_port()
        )
    }

    /// Its output so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The registrar dies; its registrations with it.
    pub fn stop(&mut self) {
        self.process.terminate(Duration::from_secs(5));
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        self.process = Self::spawn(&self.dir, &self.config);
        self.wait_up();
    }

    /// The `[[account]]` of a user.
    pub fn account(&self, user: &str, password: &str, transport: &str) -> String {
        format!(
            "[[account]]\nuser = {user:?}\ndomain = \"127.0.0.1\"\npassword = {password:?}\n\
             registrar = \"{1}:{0}\"\noutbound_proxy = \"{1}:{0}\"\n\
             transport = {transport:?}\nexpires_s = 60\n",
            self.port, self.address
        )
    }
}

impl Drop for Kamailio {
    /// Asked, not killed: its children would go on without it.
    fn drop(&mut self) {
        self.stop();
    }
}
