//! A TCP relay whose target can be changed: how a fail-over, a cut cable and a slow line look to a client.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and hands each connection on to a port of 127.0.0.1. Must be made inside a runtime,
/// which it lives as long as.
pub struct Relay {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

/// What becomes of connections; a change cuts those that there are.
#[derive(Clone, Copy)]
enum Line {
    To(u16),
    /// New connections are closed at once.
    CutOff,
    /// Nothing passes, and nobody is told: those that there are stay open too.
    Frozen,
}

impl Relay {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let line = watch::Sender::new(Line::To(port));
        let changes = line.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut changes = changes.clone();
                changes.mark_unchanged();
                tokio::spawn(relay(client, changes));
            }
        });
        Self { address, line }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Cuts all connections; the next ones go to `port`.
    pub fn switch_to(&self, port: u16) {
        self.line.send_replace(Line::To(port));
    }

    /// Cuts all connections and closes new ones at once.
    pub fn cut_off(&self) {
        self.line.send_replace(Line::CutOff);
    }

    /// Lets nothing pass until the next change.
    pub fn freeze(&self) {
        self.line.send_replace(Line::Frozen);
    }
}

async fn relay(mut client: TcpStream, mut changes: watch::Receiver<Line>) {
    let line = *changes.borrow_and_update();
    let mut server = None;
    if let Line::To(port) = line {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        let _ = (client.set_nodelay(true), stream.set_nodelay(true));
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut stream) => return,
            _ = changes.changed() => server = Some(stream),
        }
    }
    // Frozen connections hang until something else becomes of the line.
    while matches!(*changes.borrow_and_update(), Line::Frozen) {
        if changes.changed().await.is_err() {
            break;
        }
    }
    drop((client, server));
}
