//! The nginx example of `docs/fleet.md`, run as it stands there but for its paths and its port.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use crate::machine::{Machine, until};
use crate::server::Authority;

const PAGE: &str = include_str!("../../../../docs/fleet.md");

/// Ended with its test.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The example, with files of this machine's.
fn nginx(machine: &Machine, authority: &Authority, port: u16) -> Option<Nginx> {
    let program = ["/usr/sbin/nginx", "/usr/bin/nginx"];
    let program = program
        .into_iter()
        .find(|path| fs::exists(path).unwrap_or(false))?;
    let folder = machine.path("nginx");
    fs::create_dir_all(folder.join("www")).unwrap();
    let (certificate, key) = authority.certificate("127.0.0.1");
    fs::write(folder.join("phones.pem"), certificate).unwrap();
    fs::write(folder.join("phones.key"), key).unwrap();
    let example = PAGE
        .split("```nginx\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let shown = folder.display().to_string();
    let server = example
        .replace("listen 443", &format!("listen 127.0.0.1:{port}"))
        .replace("/etc/nginx/", &format!("{shown}/"))
        .replace("/srv/phones", &format!("{shown}/www"));
    let configuration = format!(
        "daemon off; master_process off; pid {shown}/pid; error_log {shown}/error.log; events \
         {{}}\n\
         http {{ access_log off; client_body_temp_path {shown}/t1; proxy_temp_path {shown}/t2; \
         fastcgi_temp_path {shown}/t3; uwsgi_temp_path {shown}/t4; scgi_temp_path {shown}/t5;\n\
         {server} }}\n"
    );
    fs::write(folder.join("nginx.conf"), configuration).unwrap();
    let child = Command::new(program)
        .args(["-e", &format!("{shown}/error.log"), "-c"])
        .arg(folder.join("nginx.conf"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let nginx = Nginx(child);
    until("nginx listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    Some(nginx)
}

#[test]
fn the_nginx_example_serves_a_fleet() {
    let machine = Machine::new("fleet");
    let authority = Authority::new(&machine.path("card"), "ca.pem");
    machine.card("[provision]\nca = \"ca.pem\"\n");
    let port = testkit::process::free_port();
    let Some(_nginx) = nginx(&machine, &authority, port) else {
        eprintln!("SKIPPED: the_nginx_example_serves_a_fleet: there is no nginx on this machine");
        return;
    };
    let www = machine.path("nginx/www");
    fs::write(www.join("0242ac110002.toml"), "[phone]\nname = \"one\"\n").unwrap();
    fs::write(www.join("default.toml"), "[phone]\nname = \"new\"\n").unwrap();
    fs::write(www.join("secret.txt"), "not for phones").unwrap();
    let fetch = |name: &str| {
        let file = machine.path(&format!("run/{name}"));
        let url = format!("https://127.0.0.1:{port}/{name}");
        let arguments = ["fetch", url.as_str(), file.to_str().unwrap()];
        let output = machine.command(&arguments).output().unwrap();
        (
            output.status.code(),
            fs::read_to_string(file).unwrap_or_default(),
        )
    };
    let (code, text) = fetch("0242ac110002.toml");
    assert_eq!(code, Some(0));
    assert!(text.contains("one"), "{text}");
    assert_eq!(fetch("0242ac110002.toml").0, Some(3), "by its version");
    assert!(
        fetch("0242ac110003.toml").1.contains("new"),
        "an unknown phone"
    );
    assert_eq!(fetch("secret.txt").0, Some(1));
    assert_eq!(fetch("default.toml").0, Some(1));
}
