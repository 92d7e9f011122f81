//! A TCP relay whose target can be changed: how a fail-over, a cut cable and a slow line look to a client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and hands each connection on to a port of 127.0.0.1. Must be made inside a runtime,
/// which it lives as long as.
pub struct Relay {
    address: SocketAddr,
    target: Arc<AtomicU16>,
    /// A new value cuts all connections.
    cut: watch::Sender<()>,
}

impl Relay {
    /// Port 0 as a target refuses everyone.
    const NOBODY: u16 = 0;

    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let target = Arc::new(AtomicU16::new(port));
        let cut = watch::Sender::new(());
        tokio::spawn({
            let (target, cut) = (target.clone(), cut.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let port = target.load(Ordering::SeqCst);
                    if port != Self::NOBODY {
                        tokio::spawn(relay(client, port, cut.subscribe()));
                    }
                }
            }
        });
        Self { address, target, cut }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Cuts all connections; the next ones go to `port`.
    pub fn switch_to(&self, port: u16) {
        self.target.store(port, Ordering::SeqCst);
        self.cut.send_replace(());
    }

    /// Cuts all connections and closes new ones at once.
    pub fn cut_off(&self) {
        self.switch_to(Self::NOBODY);
    }
}

async fn relay(mut client: TcpStream, port: u16, mut cut: watch::Receiver<()>) {
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = cut.changed() => {}
    }
}
