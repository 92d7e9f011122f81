//! Attempts with a password from one address, counted over all nodes: with Redis. Each node has counted them for itself
//! before (`http::limits`). That is all where there is no Redis, and goes on alone where Redis is away, which signing in
//! does not need.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::Quota;
use crate::domain::keys::mac;
use crate::domain::network::counted_name;
use crate::services::Services;
use crate::storage::sessions::SessionStore;

/// Counts an attempt from the client at `address`. `None`: nobody counts for all nodes.
pub async fn take(services: &Services, address: IpAddr) -> Option<Quota> {
    let SessionStore::Redis(store) = &services.sessions else { return None };
    // A keyed hash, so that Redis doesn't tell who was here.
    let hash = mac(&services.root_key.derive("login limit"), &[counted_name(address).as_bytes()]);
    store.take(&URL_SAFE_NO_PAD.encode(&hash[..16]), services.settings.login_rate, services.clock.now()).await
}
