//! A TCP relay whose target can be changed: how a fail-over, a cut cable and a slow line look to a client.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Listens on a port of its own and hands each connection on to a port of 127.0.0.1. It has a thread of its own, so
/// that a test which waits for a command does not hold it up; both end when it is dropped.
pub struct Relay {
    address: SocketAddr,
    state: watch::Sender<State>,
    loss: Loss,
}

/// What is lost, and its connection with it, as soon as it comes: at most one thing.
type Loss = Arc<Mutex<Option<Lost>>>;

/// See [`Relay::lose`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The script that a client asks for next: the server has not heard it.
    Request,
    /// What a script answers next: it has done what it was asked for.
    Answer,
}

#[derive(Clone, Copy)]
struct State {
    line: Line,
    /// How often the connections that there were came to an end, and whether by hanging, the last time.
    cuts: u64,
    hangs: bool,
    /// What passes is held up for any time up to this.
    delay: Duration,
}

/// What becomes of new connections.
#[derive(Clone, Copy)]
enum Line {
    To(u16),
    /// New connections are closed at once.
    CutOff,
    /// Nothing passes, and nobody is told: those that there are stay open too.
    Frozen,
}

impl Relay {
    pub fn to(port: u16) -> Self {
        Self::at((Ipv4Addr::LOCALHOST, 0).into(), port)
    }

    /// The same at an address of this machine that the test chooses.
    pub fn at(address: SocketAddr, port: u16) -> Self {
        let listener = std::net::TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("its address");
        listener.set_nonblocking(true).expect("non-blocking");
        let state = watch::Sender::new(State { line: Line::To(port), cuts: 0, hangs: false, delay: Duration::ZERO });
        let changes = state.subscribe();
        let loss = Loss::default();
        std::thread::spawn({
            let loss = loss.clone();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(serve(listener, changes, loss));
            }
        });
        Self { address, state, loss }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn redis_url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// Cuts all connections; the next ones go to `port`.
    pub fn switch_to(&self, port: u16) {
        self.cut(Line::To(port));
    }

    /// New connections go to `port`; those that there are stay what they are, as with a name that leads elsewhere, also
    /// where they hang.
    pub fn lead_to(&self, port: u16) {
        self.state.send_modify(|state| state.line = Line::To(port));
    }

    /// Cuts all connections and closes new ones at once.
    pub fn cut_off(&self) {
        self.cut(Line::CutOff);
    }

    /// Cuts a connection when the next such thing comes, which does not arrive.
    pub fn lose(&self, what: Lost) {
        *self.loss.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// Whether it has not come yet.
    pub fn is_to_lose(&self) -> bool {
        self.loss.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Holds everything up from now on, each time for any time up to `most`: on two connections what was sent later may
    /// arrive first.
    pub fn delay(&self, most: Duration) {
        self.state.send_modify(|state| state.delay = most);
    }

    /// Lets nothing pass until the next change.
    pub fn freeze(&self) {
        self.cut(Line::Frozen);
    }

    fn cut(&self, line: Line) {
        let hangs = matches!(line, Line::Frozen);
        self.state.send_modify(|state| *state = State { line, cuts: state.cuts + 1, hangs, delay: state.delay });
    }
}

/// Takes connections until the relay is dropped.
async fn serve(listener: std::net::TcpListener, changes: watch::Receiver<State>, loss: Loss) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let mut dropped = changes.clone();
    let accept = async {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(relay(client, changes.clone(), loss.clone()));
        }
    };
    tokio::select! {
        () = accept => {}
        () = async { while dropped.changed().await.is_ok() {} } => {}
    }
}

async fn relay(mut client: TcpStream, mut changes: watch::Receiver<State>, loss: Loss) {
    let State { line, cuts, .. } = *changes.borrow_and_update();
    let mut server = None;
    if let Line::To(port) = line {
        let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
        let _ = (client.set_nodelay(true), stream.set_nodelay(true));
        let state = changes.clone();
        tokio::select! {
            () = pass_on(&mut client, &mut stream, &loss, &state) => return,
            _ = changes.wait_for(|state| state.cuts != cuts) => server = Some(stream),
        }
    }
    // Frozen connections hang until all are cut.
    let State { hangs, cuts, .. } = *changes.borrow_and_update();
    if hangs {
        let _ = changes.wait_for(|state| state.cuts != cuts).await;
    }
    drop((client, server));
}

/// Until both ends have nothing more to say, or something is lost.
async fn pass_on(client: &mut TcpStream, server: &mut TcpStream, loss: &Loss, state: &watch::Receiver<State>) {
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    let requests = pass(from_client, to_server, Lost::Request, loss, state);
    let answers = pass(from_server, to_client, Lost::Answer, loss, state);
    let _ = tokio::try_join!(requests, answers);
}

/// Whether a script is asked for, or answers: what nodes say to one another, and hear, is nothing to lose here. An answer
/// may come behind that to a `PUBLISH`, in one piece.
fn is_of_script(what: Lost, data: &[u8]) -> bool {
    match what {
        Lost::Request => data.windows(7).any(|word| word == b"EVALSHA"),
        Lost::Answer => {
            let is_of_channel =
                [&b"*3\r\n$7\r\nmessage"[..], b"*3\r\n$9\r\nsubscribe"].iter().any(|of| data.starts_with(of));
            !is_of_channel && (data.starts_with(b"*") || data.windows(3).any(|part| part == b"\r\n*"))
        }
    }
}

async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    what: Lost,
    loss: &Loss,
    state: &watch::Receiver<State>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        let is_meant = is_of_script(what, &buffer[..read]);
        let lose = |lost: &mut Lost| *lost == what && is_meant;
        if loss.lock().unwrap_or_else(PoisonError::into_inner).take_if(lose).is_some() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let delay = state.borrow().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay.mul_f64(rand::random())).await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}
