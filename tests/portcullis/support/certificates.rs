//! A certificate authority of a test's own, for servers on 127.0.0.1 and those who sign in to them.

use std::path::{Path, PathBuf};
use std::process::Command;

/// `ca.pem`, and for `server` and `client` a certificate and a key of the account `postgres`.
pub struct Certificates {
    folder: PathBuf,
}

impl Certificates {
    /// In that folder, which stays its owner's, and so do the files.
    pub fn new(folder: &Path) -> Self {
        let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let openssl = |words: &[&str]| {
            let made = Command::new("openssl").args(words).current_dir(folder).output();
            let made = made.unwrap_or_else(|error| panic!("openssl can't be started: {error}. Use tests/run.sh"));
            assert!(made.status.success(), "{words:?}: {}", String::from_utf8_lossy(&made.stderr));
        };
        let authority = ["req", "-x509", "-subj", "/CN=tests", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&[&authority[..], &new_key].concat());
        for (name, subject) in [("server", "/CN=127.0.0.1"), ("client", "/CN=postgres")] {
            let (key, pem) = (format!("{name}.key"), format!("{name}.pem"));
            let signed = ["req", "-x509", "-subj", subject, "-days", "2", "-CA", "ca.pem", "-CAkey", "ca.key"];
            let files = ["-keyout", &key, "-out", &pem, "-addext", "subjectAltName=IP:127.0.0.1"];
            let plain = ["-addext", "basicConstraints=critical,CA:FALSE"];
            openssl(&[&signed[..], &new_key, &files, &plain].concat());
        }
        let owner = Command::new("chown").arg("--reference").arg(folder).arg("-R").arg(folder).status();
        assert!(owner.expect("chown").success());
        Self { folder: folder.to_owned() }
    }

    /// The path of one of the files.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The options of a URL that trust the authority and show the client's certificate.
    pub fn options(&self) -> String {
        let [root, certificate, key] = ["ca.pem", "client.pem", "client.key"].map(|name| self.path(name));
        format!("sslrootcert={root}&sslcert={certificate}&sslkey={key}")
    }
}
