//! TCP ports that are told to a server before it listens, and that nobody else takes meanwhile.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixListener};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::{Domain, Socket, Type};

/// A port for as long as this is kept: for a server that is started, killed and started again there, or for nobody.
///
/// One that the kernel gave and that was closed again is soon given to somebody else, be it for the near end of a
/// connection. So these lie outside of the range that it chooses from, and a name that only one process at a time can
/// have, on the same network stack as the port and gone with the process, keeps it from other tests and other runs.
pub struct Port {
    number: u16,
    _claim: UnixListener,
}

impl Port {
    /// One that no server has. A process gets none twice before it has had all.
    pub fn reserve() -> Self {
        static NEXT: OnceLock<AtomicUsize> = OnceLock::new();
        let numbers = numbers();
        // Two processes begin far from each other.
        let next = NEXT.get_or_init(|| AtomicUsize::new((std::process::id() as usize).wrapping_mul(997)));
        for _ in 0..numbers.len() {
            let number = numbers[next.fetch_add(1, Ordering::Relaxed) % numbers.len()];
            if let Some(_claim) = claim(number).filter(|_| is_free(number)) {
                return Self { number, _claim };
            }
        }
        panic!("no port from {:?} to {:?} is free", numbers.first(), numbers.last());
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

fn claim(number: u16) -> Option<UnixListener> {
    let name = UnixAddress::from_abstract_name(format!("portcullis-test-port-{number}")).expect("a short name");
    UnixListener::bind_addr(&name).ok()
}

/// Whether a server could listen on all addresses. Nobody reaches what is only bound.
fn is_free(number: u16) -> bool {
    let binds = |domain, address: SocketAddr| {
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.bind(&address.into())
    };
    let is_taken =
        |outcome: std::io::Result<()>| outcome.is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
    // Where there is no IPv6, it is taken by nobody.
    binds(Domain::IPV4, (Ipv4Addr::UNSPECIFIED, number).into()).is_ok()
        && !is_taken(binds(Domain::IPV6, (Ipv6Addr::UNSPECIFIED, number).into()))
}

/// Those that the kernel gives to nobody who names none; where it may give all of them, all.
fn numbers() -> Vec<u16> {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").expect("Linux");
    let mut ends = range.split_whitespace().map(|end| end.parse::<u16>().expect("a port"));
    let given = ends.next().expect("the first")..=ends.next().expect("the last");
    let numbers: Vec<_> = (10_000..=u16::MAX).filter(|number| !given.contains(number)).collect();
    if numbers.is_empty() { (10_000..=u16::MAX).collect() } else { numbers }
}
