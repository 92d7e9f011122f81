//! nginx of Debian, in front of one server or of several.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use super::eventually;
use super::port::Port;

/// A reverse proxy on a port of its own, ended on drop.
pub struct Nginx {
    master: Child,
    folder: PathBuf,
    port: Port,
}

impl Nginx {
    /// Before these servers, each as `server` of an `upstream` takes it. Its files go into `folder`.
    pub async fn before(servers: &[&str], folder: &Path) -> Self {
        let port = Port::reserve();
        write_config(folder, port.number(), servers);
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(folder.join("nginx.conf"));
        let master = command.spawn().expect("nginx: run tests/run.sh, which installs it");
        let nginx = Self { master, folder: folder.to_owned(), port };
        eventually("nginx listens", Duration::from_secs(30), async || {
            tokio::net::TcpStream::connect(("127.0.0.1", nginx.port())).await.is_ok()
        })
        .await;
        nginx
    }

    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// From now on before these servers alone. Returns when the last request to the others has its answer.
    pub async fn turn_to(&self, servers: &[&str]) {
        let former = self.workers();
        write_config(&self.folder, self.port(), servers);
        self.signal("HUP");
        eventually("nginx has turned", Duration::from_secs(30), async || {
            let workers = self.workers();
            !workers.is_empty() && workers.is_disjoint(&former)
        })
        .await;
    }

    fn workers(&self) -> BTreeSet<String> {
        let master = self.master.id();
        let children = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("its children");
        children.split_whitespace().map(str::to_owned).collect()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.master.id().to_string()]).status();
        assert!(status.expect("kill").success());
    }
}

impl Drop for Nginx {
    /// Killed, it would leave its workers behind.
    fn drop(&mut self) {
        self.signal("TERM");
        let _ = self.master.wait();
    }
}

/// Each request has a connection of its own: what becomes of one that a client left open while the proxy reads its
/// configuration anew is no affair of ours.
fn write_config(folder: &Path, port: u16, servers: &[&str]) {
    let servers: String = servers.iter().map(|server| format!("server {server}; ")).collect();
    let config = format!(
        "daemon off; user root; worker_processes 1; pid {0}/nginx.pid; error_log {0}/nginx.log;
         events {{}}
         http {{
           access_log off; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy;
           fastcgi_temp_path {0}/fastcgi; uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
           keepalive_timeout 0;
           upstream portcullis {{ {servers} keepalive 4; }}
           server {{
             listen 127.0.0.1:{port};
             location / {{
               proxy_pass http://portcullis;
               proxy_http_version 1.1;
               proxy_set_header Connection \"\";
               proxy_set_header Host $http_host;
               proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
             }}
           }}
         }}",
        folder.display(),
    );
    std::fs::write(folder.join("nginx.conf"), config).expect("its configuration");
}
