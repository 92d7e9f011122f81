//! The program: everything is in the library, see [`portcullis`].

fn main() -> std::process::ExitCode {
    // Before anything speaks TLS: rustls panics later where it has to guess its provider. It fails only where one is
    // installed already.
    rustls::crypto::aws_lc_rs::default_provider().install_default().ok();
    portcullis::cli::run(std::env::args_os())
}
