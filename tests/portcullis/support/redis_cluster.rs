//! A Redis Cluster of real `redis-server` processes.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::{RedisServer, eventually};

/// Three masters that have found each other, and after them so many replicas of each.
pub async fn cluster(replicas: usize) -> Vec<Arc<RedisServer>> {
    let servers: Vec<_> = (0..3 * (1 + replicas)).map(|_| RedisServer::start_for_cluster()).collect();
    let mut create = Command::new("redis-cli");
    create.args(["--cluster", "create", "--cluster-yes", "--cluster-replicas", &replicas.to_string()]);
    create.args(servers.iter().map(|server| format!("127.0.0.1:{}", server.port)));
    let output = create.output().expect("redis-cli");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    for server in &servers {
        eventually("the cluster is whole", Duration::from_secs(20), async || {
            let replicates = server.cli(&["info", "replication"]);
            server.cli(&["cluster", "info"]).contains("cluster_state:ok")
                && (replicates.contains("role:master") || replicates.contains("master_link_status:up"))
        })
        .await;
    }
    servers
}

/// The URL of a cluster of these.
pub fn url(servers: &[Arc<RedisServer>]) -> String {
    let addresses: Vec<_> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    format!("redis-cluster://{}", addresses.join(","))
}
