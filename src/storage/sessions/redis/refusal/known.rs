//! Every refusal that the sources of Redis and Valkey know, and those of the client. The first that fits counts.

use super::Known;
use super::Remedy::{self, ConnectAnew, Tell, Wait};

const fn known(begin: &'static str, remedy: Remedy, advice: &'static str) -> Known {
    Known { begin, remedy, advice }
}

pub(super) const ANY_ERROR: &str =
    "look at the log of Redis, and whether redis_url leads to a Redis and not to something else";

/// Whatever is not in the list.
pub(super) const ANY: Known =
    known("anything else", Tell, "look it up in the documentation of the server behind redis_url");

const RIGHTS: &str = "allow its user +@scripting +@hash +@keyspace +info +time +publish +subscribe (on a cluster +cluster) on the \
    keys of redis_prefix, and the channel redis_prefix:changes (ACL)";
const PASSWORD: &str = "check user and password in redis_url";
const NOT_OURS: &str =
    "nothing of Portcullis asks for this: another program may use the same connection, as a proxy does";
const FOREIGN_KEY: &str = "another program writes keys below redis_prefix: choose another prefix";

pub(super) const KNOWN: &[Known] = &[
    // The server is another one than it was, or is no longer the one.
    known("READONLY", ConnectAnew, "redis_url leads to a replica: let it lead to the primary"),
    known("MASTERDOWN", ConnectAnew, "redis_url leads to a replica without its primary: let it lead to the primary"),
    known("LOADING", ConnectAnew, "it reads its data after a restart: wait"),
    known("NOREPLICAS", ConnectAnew, "it has fewer replicas than min-replicas-to-write: start them, or lower it"),
    known("CLUSTERDOWN", ConnectAnew, "slots of the cluster have no primary: redis-cli --cluster check"),
    known("MOVED", ConnectAnew, "redis_url leads to one node of a cluster: write redis-cluster://HOST:PORT,HOST:PORT"),
    known("ASK", ConnectAnew, "redis_url leads to one node of a cluster: write redis-cluster://HOST:PORT,HOST:PORT"),
    known("REDIRECT", ConnectAnew, "it hands over to another server: let redis_url lead there"),
    known("UNBLOCKED", ConnectAnew, "it became a replica meanwhile: let redis_url lead to the primary"),
    known(
        "ERR max number of clients",
        ConnectAnew,
        "raise maxclients, or look who holds so many connections (CLIENT LIST)",
    ),
    known("no connection", ConnectAnew, "check redis_url, and that the server runs"),
    known("connection lost", ConnectAnew, "check that the server runs, and what is between it and this one"),
    // Soon over.
    known("BUSY", Wait, "a script of another program holds it up: SCRIPT KILL ends it"),
    known("TRYAGAIN", Wait, "the cluster moves a slot: wait"),
    known("NOSCRIPT", Wait, "it forgets scripts at once: is there a proxy before it?"),
    // Only a person can mend it.
    known(
        "OOM",
        Tell,
        "its memory is full: raise maxmemory, or look what else is in it; keep maxmemory-policy noeviction",
    ),
    known("MISCONF", Tell, "it can't write to its disk and takes no writes: make room there, or see its log"),
    known("NOAUTH", Tell, PASSWORD),
    known("WRONGPASS", Tell, PASSWORD),
    known("ERR AUTH", Tell, "it wants no password: take it out of redis_url, or set one there (requirepass)"),
    known("NOPERM", Tell, RIGHTS),
    known("ERR The user executing the script", Tell, RIGHTS),
    known("NOPROTO", Tell, "it is no Redis 7, Valkey 7.2 or newer"),
    known("DENIED", Tell, "it is in protected mode: set a password there (requirepass), and in redis_url"),
    known(
        "CROSSSLOT",
        Tell,
        "keys of one account are in two slots: is there a proxy before it that knows no hash tags?",
    ),
    known("WRONGTYPE", Tell, FOREIGN_KEY),
    known(
        "ERR unknown command",
        Tell,
        "is it a Redis? A Sentinel and some proxies run no scripts, and commands can be renamed",
    ),
    known("ERR DB index", Tell, "take the number of the database at the end of redis_url, or raise databases there"),
    known("ERR SELECT", Tell, "a cluster has no numbered databases: take the number out of redis_url"),
    known("ERR", Tell, ANY_ERROR),
    known("no answer", Tell, "look at its load (SLOWLOG GET), and what is between it and this one"),
    known("unreadable answer", Tell, "is it a Redis that redis_url leads to?"),
    // Answers to what nobody here asks for.
    known("EXECABORT", Tell, NOT_OURS),
    known("UNKILLABLE", Tell, NOT_OURS),
    known("NOTBUSY", Tell, NOT_OURS),
    known("NOSUB", Tell, NOT_OURS),
    known("BUSYKEY", Tell, NOT_OURS),
    known("BUSYGROUP", Tell, NOT_OURS),
    known("NOGROUP", Tell, NOT_OURS),
    known("INVALIDOBJ", Tell, NOT_OURS),
    known("IOERR", Tell, NOT_OURS),
    known("NOMASTERLINK", Tell, NOT_OURS),
    known("TESTFAILED", Tell, NOT_OURS),
    known("INPROG", Tell, "redis_url leads to a Sentinel: let it lead to the primary"),
    known("NOGOODSLAVE", Tell, "redis_url leads to a Sentinel: let it lead to the primary"),
    known("NOQUORUM", Tell, "redis_url leads to a Sentinel: let it lead to the primary"),
];
