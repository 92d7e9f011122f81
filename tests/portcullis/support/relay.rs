//! A TCP relay whose target can be changed: how a fail-over, a cut cable and a slow line look to a client.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and hands each connection on to a port of 127.0.0.1. It has a thread of its own, so
/// that a test which waits for a command does not hold it up; both end when it is dropped.
pub struct Relay {
    address: SocketAddr,
    line: watch::Sender<Line>,
}

/// What becomes of connections; a change cuts those that there are, but for `NewTo`.
#[derive(Clone, Copy)]
enum Line {
    To(u16),
    /// Those that there are stay as they are, frozen ones too.
    NewTo(u16),
    /// New connections are closed at once.
    CutOff,
    /// Nothing passes, and nobody is told: those that there are stay open too.
    Frozen,
}

impl Relay {
    pub fn to(port: u16) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("non-blocking");
        let line = watch::Sender::new(Line::To(port));
        let changes = line.subscribe();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(serve(listener, changes));
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

    /// From now on new connections go to `port`. Those that there are stay what they are, also where they hang.
    pub fn divert_to(&self, port: u16) {
        self.line.send_replace(Line::NewTo(port));
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

/// Takes connections until the relay is dropped.
async fn serve(listener: std::net::TcpListener, changes: watch::Receiver<Line>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut dropped = changes.clone();
    let accept = async {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, changes.clone()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = async { while dropped.changed().await.is_ok() {} } => {}
    }
}

async fn relay(mut client: TcpStream, mut changes: watch::Receiver<Line>) {
    let line = *changes.borrow_and_update();
    let mut server = None;
    if let Line::To(port) | Line::NewTo(port) = line {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        let _ = (client.set_nodelay(true), stream.set_nodelay(true));
        {
            let mut copying = std::pin::pin!(copy_bidirectional(&mut client, &mut stream));
            loop {
                tokio::select! {
                    _ = &mut copying => return,
                    changed = changes.changed() => {
                        if changed.is_err() || !matches!(*changes.borrow_and_update(), Line::NewTo(_)) {
                            break;
                        }
                    }
                }
            }
        }
        server = Some(stream);
    }
    // Frozen connections hang until something else becomes of the line.
    while matches!(*changes.borrow_and_update(), Line::Frozen | Line::NewTo(_)) {
        if changes.changed().await.is_err() {
            break;
        }
    }
    drop((client, server));
}
