//! How a running server is stopped: from elsewhere, or by the end of a part of it.

use std::io;

use tokio::sync::watch;

/// Stops a running server from elsewhere.
#[derive(Clone, Default)]
pub struct Handle(watch::Sender<bool>);

impl Handle {
    /// Lets what is under way finish, for as long as `shutdown_timeout`.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Waits until somebody stops it.
    pub(super) async fn asked(&self) {
        // Whoever waits here keeps the sender.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }

    /// Waits for the end of one of the listening servers, and stops the others with it. One that ends with an error does
    /// so before anybody has asked for it: nothing would answer there any more, and nobody would know.
    pub(super) async fn ends_with(self, server: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let ended = server.await;
        if let Err(error) = &ended {
            tracing::error!(%error, "a server ended by itself, and so all do");
        }
        self.stop();
        ended
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_server_that_ends_by_itself_stops_the_others_and_tells_why() {
        for ended in [Ok(()), Err(io::ErrorKind::OutOfMemory)] {
            let handle = Handle::default();
            assert!(handle.asked().now_or_never().is_none());
            let told = handle.clone().ends_with(async move { ended.map_err(io::Error::from) }).await;
            assert_eq!(told.map_err(|error| error.kind()), ended);
            handle.asked().await;
        }
    }
}
