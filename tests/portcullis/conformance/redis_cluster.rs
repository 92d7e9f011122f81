//! A Redis Cluster of three masters: each account's state is in one slot, so that every operation is one script on one
//! node there too.

use portcullis::domain::Role;
use portcullis::domain::audit::Client;
use portcullis::services::accounts::passwords;
use portcullis::services::administration::user_acts;
use portcullis::services::sessions::own;

use super::{TestCluster, keeper};
use crate::support::stores::{Backend, Stores};
use crate::support::{Deadline, NEW_PASSWORD, PASSWORD, redis_cluster};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept_on_a_cluster() {
    let servers = redis_cluster::cluster(0).await;
    let mut stores = Stores::with_redis(Backend::SqliteRedis, Some(servers[0].clone())).await;
    stores.redis_url = Some(redis_cluster::url(&servers));
    let cluster = TestCluster::on(stores).await;
    let (one, two, witness) = (cluster.node().await, cluster.node().await, cluster.witness().await);
    let client = Client::default();

    // Enough accounts that each master has some.
    let mut people = Vec::new();
    for number in 0..18 {
        let name = format!("person{number}");
        let user = one.create(&name).await;
        let (handle, other) = (one.opens(&name).await, two.opens(&name).await);
        for node in [&one, &two] {
            assert!(node.alive(&handle).await && node.alive(&other).await);
        }
        people.push((user, handle, other));
    }
    for server in &servers {
        assert!(server.keys(&cluster.stores.redis_prefix).len() > 3, "a master without keys");
    }

    let mut dead = Vec::new();
    for (number, (user, handle, other)) in people.into_iter().enumerate() {
        let me = one.caller(&handle).await;
        let what = number % 6;
        match what {
            0 => own::sign_out(&one, &me, &client).await.unwrap(),
            1 => drop(own::end_others(&two, &me, &client).await.unwrap()),
            2 => drop(two.ends_all(&user).await),
            3 => {
                let changed =
                    passwords::change(&two, &me, &PASSWORD.into(), &NEW_PASSWORD.into(), &client).await.unwrap();
                changed.delivered.unwrap();
                assert!(one.alive(&changed.handle).await && two.alive(&changed.handle).await);
            }
            4 => drop(user_acts::suspend(&one, &keeper(), user.id, &client).await.unwrap()),
            // Told to no Redis: the feed brings it.
            _ => drop(witness.ends_all(&user).await),
        }
        let lives =
            [[false, true], [true, false], [false, false], [false, false], [false, false], [false, false]][what];
        let seen = async || [one.alive(&handle).await, two.alive(&other).await, two.alive(&handle).await];
        let expected = [lives[0], lives[1], lives[0]];
        if what == 5 {
            Deadline::second().expect_soon("by the feed", async || seen().await == expected).await;
        }
        assert_eq!(seen().await, expected, "{what}");
        assert_eq!(seen().await, expected, "{what}, asked again");
        dead.extend([(handle, lives[0]), (other, lives[1])].into_iter().filter(|(_, lives)| !lives));
    }

    let ann = one.create("ann").await;
    let handle = one.opens("ann").await;
    for role in [Role::Admin, Role::User] {
        one.sets_role(&ann, role).await;
        assert_eq!([one.role(&handle).await, two.role(&handle).await], [role, role]);
    }
    for server in &servers {
        server.cli(&["flushall"]);
        server.cli(&["script", "flush"]);
    }
    for node in [&one, &two] {
        assert!(node.alive(&handle).await, "signed out by a flush");
        for (handle, _) in &dead {
            assert!(!node.alive(handle).await, "back after a flush");
        }
    }
}
