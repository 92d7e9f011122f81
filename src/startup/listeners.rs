//! The sockets of the settings `listen` and `metrics_listen`, taken before anything answers.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::StartupFailure;
use crate::settings::Listen;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// A socket that listens.
pub(super) enum Listener {
    Tcp { socket: TcpListener, address: SocketAddr },
    Unix { file: SocketFile, socket: UnixListener },
}

/// Takes every place of this setting, or none. `all` are those of other settings too.
pub(super) fn bind(setting: &str, places: &[Listen], all: &[Listen]) -> Result<Vec<Listener>, StartupFailure> {
    let mut listeners = Vec::new();
    for place in places {
        match place {
            Listen::Unix(path) => listeners.push(unix(setting, path)?),
            _ => listeners.extend(tcp(setting, place, all)?),
        }
    }
    Ok(listeners)
}

/// Gives a server these sockets, each by one of two functions, and tells the log which they are. The files are to be dropped
/// when the server stops.
pub(super) fn hand_over<S>(
    mut server: S,
    listeners: Vec<Listener>,
    what: &'static str,
    tcp: fn(S, TcpListener) -> io::Result<S>,
    unix: fn(S, UnixListener) -> io::Result<S>,
) -> io::Result<(S, Vec<SocketFile>)> {
    let mut files = Vec::new();
    for listener in listeners {
        server = match listener {
            Listener::Tcp { socket, address } => {
                tracing::info!(%address, "{what}");
                tcp(server, socket)
            }
            Listener::Unix { file, socket } => {
                tracing::info!(address = format!("unix:{}", file.path().display()), "{what}");
                files.push(file);
                unix(server, socket)
            }
        }?;
    }
    Ok((server, files))
}

fn tcp(setting: &str, place: &Listen, places: &[Listen]) -> Result<Vec<Listener>, StartupFailure> {
    let (mut listeners, mut missing) = (Vec::new(), None);
    for address in place.addresses() {
        match listen(address, is_of_ipv6_alone(address, place, places)) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_missing(&error) => missing = missing.or(Some((address, error))),
            Err(error) => return Err(taken(setting, place, address, &error)),
        }
    }
    // A host may have one of the two families.
    match missing {
        Some((address, error)) if listeners.is_empty() => Err(taken(setting, place, address, &error)),
        _ => Ok(listeners),
    }
}

fn listen(address: SocketAddr, of_ipv6_alone: bool) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A server that was stopped a moment ago leaves connections behind that keep nobody from listening.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(of_ipv6_alone)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let socket = TcpListener::from(socket);
    let address = socket.local_addr()?;
    Ok(Listener::Tcp { socket, address })
}

/// `[::]:8080` takes connections of IPv4 too, unless the same port of IPv4 is somebody else's: that of `:8080` itself, or
/// of another place.
fn is_of_ipv6_alone(address: SocketAddr, place: &Listen, places: &[Listen]) -> bool {
    let mut others = places.iter().flat_map(Listen::addresses);
    matches!(place, Listen::Every(_)) || others.any(|other| other.is_ipv4() && other.port() == address.port())
}

/// Whether this host has no such address, or none of its family.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == ErrorKind::AddrNotAvailable || Errno::from_io_error(error) == Some(Errno::AFNOSUPPORT)
}

fn taken(setting: &str, place: &Listen, address: SocketAddr, error: &io::Error) -> StartupFailure {
    let advice = match error.kind() {
        ErrorKind::AddrInUse => format!("another program has it; stop that, or set {setting} to another port"),
        ErrorKind::PermissionDenied => format!("a port below 1024 needs a right; set {setting} to another port"),
        _ => format!("set {setting} to an address of this machine"),
    };
    let shown = if matches!(place, Listen::Address(_)) { String::new() } else { format!(" ({place})") };
    StartupFailure::general(format!("can't listen on {address}{shown}: {error}; {advice}"))
}

fn unix(setting: &str, path: &Path) -> Result<Listener, StartupFailure> {
    let shown = path.display();
    let failed = |error: io::Error| {
        let advice = format!("set {setting} to a socket in a folder that is there and that this user can write to");
        StartupFailure::general(format!("can't listen on unix:{shown}: {error}; {advice}"))
    };
    // Of two servers that start at once, the second finds the first one listening.
    let folder = File::open(path.parent().unwrap_or(path)).map_err(failed)?;
    folder.lock().map_err(failed)?;
    make_room(setting, path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    socket.bind(&SockAddr::unix(path).map_err(failed)?).map_err(failed)?;
    let file = SocketFile::of(path).map_err(failed)?;
    // Before it listens, so that nobody else was let in before.
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    socket.listen(BACKLOG).map_err(failed)?;
    Ok(Listener::Unix { file, socket: socket.into() })
}

/// Removes the socket of a server that is gone, and nothing else.
fn make_room(setting: &str, path: &Path) -> Result<(), StartupFailure> {
    let refused = |why: &str| StartupFailure::general(format!("can't listen on unix:{}: {why}", path.display()));
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            let advice =
                format!("something that is no socket is there; move it away, or set {setting} to another path");
            Err(refused(&advice))
        }
        Ok(_) if is_abandoned(path) => fs::remove_file(path).map_err(|error| refused(&error.to_string())),
        Ok(_) => Err(refused(&format!("another program has it; stop that, or set {setting} to another path"))),
        // Whatever else is wrong, the attempt to listen tells.
        Err(_) => Ok(()),
    }
}

/// Whether nobody listens on this socket. One whose queue is full, or that may not be asked, is somebody's.
fn is_abandoned(path: &Path) -> bool {
    let asked = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    asked().is_err_and(|error: io::Error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The file of a Unix socket, removed on drop. Drop it before its socket: until then nobody else takes the path.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have put something else there.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            fs::remove_file(&self.path).ok();
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
