//! What settings must hold together.

use chrono::TimeDelta;
use secrecy::ExposeSecret as _;

use super::JwtAlgorithm;
use super::declaration::Values;
use super::resolve::Resolved;

/// Notes what doesn't fit together. Values that are wrong by themselves are left out: that was noted before.
pub fn together(values: &Values, resolved: &mut Resolved) {
    limits(
        resolved,
        ("session_idle_timeout", values.session_idle_timeout),
        ("session_absolute_timeout", values.session_absolute_timeout),
    );
    limits(
        resolved,
        ("remember_idle_timeout", values.remember_idle_timeout),
        ("remember_absolute_timeout", values.remember_absolute_timeout),
    );
    argon2_cost(values, resolved);
    jwt_secret(values, resolved);
    if let (Some(listen), Some(Some(metrics))) = (&values.listen, &values.metrics_listen)
        && listen.iter().any(|place| metrics.iter().any(|other| place.meets(other)))
    {
        resolved.complain("metrics_listen", "is the same as listen: write another port");
    }
    bootstrap(resolved);
}

/// An idle limit can't be longer than the absolute one.
fn limits(resolved: &mut Resolved, idle: (&str, Option<TimeDelta>), absolute: (&str, Option<TimeDelta>)) {
    if let (Some(idle_limit), Some(absolute_limit)) = (idle.1, absolute.1)
        && idle_limit > absolute_limit
    {
        let text = |key| resolved.text(key).unwrap_or_default().to_owned();
        let message = format!(
            "{} is longer than {} ({}): write at most that, or raise that",
            text(idle.0),
            absolute.0,
            text(absolute.0)
        );
        resolved.complain(idle.0, message);
    }
}

/// What Argon2 itself asks for (RFC 9106, section 3.1: at least 8 KiB for each lane).
fn argon2_cost(values: &Values, resolved: &mut Resolved) {
    if let (Some(memory), Some(iterations), Some(lanes)) =
        (values.argon2_memory_kib, values.argon2_iterations, values.argon2_lanes)
        && argon2::Params::new(memory, iterations, lanes, None).is_err()
    {
        resolved.complain(
            "argon2_memory_kib",
            format!("{memory} is too little for argon2_lanes {lanes}: write at least {}", lanes.saturating_mul(8)),
        );
    }
}

fn jwt_secret(values: &Values, resolved: &mut Resolved) {
    match (values.jwt_algorithm, &values.jwt_secret) {
        (Some(JwtAlgorithm::Hs256), Some(None)) => {
            resolved.complain("jwt_secret", "is needed with jwt_algorithm HS256: write at least 32 bytes");
        }
        (Some(algorithm), Some(Some(_))) if algorithm != JwtAlgorithm::Hs256 => {
            resolved.complain("jwt_secret", "is used by jwt_algorithm HS256 alone: leave it out");
        }
        _ => {}
    }
    // Whoever verifies tokens has the one, and must not have the other.
    if let (Some(Some(shared)), Some(root)) = (&values.jwt_secret, resolved.text("secret_key"))
        && shared.expose_secret() == root
    {
        resolved.complain("jwt_secret", "is the same as secret_key: write another one");
    }
}

/// All three or none.
fn bootstrap(resolved: &mut Resolved) {
    let keys = ["bootstrap_admin_username", "bootstrap_admin_email", "bootstrap_admin_password"];
    let (given, missing): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| resolved.is_given(key));
    if !given.is_empty() {
        for key in missing {
            resolved.complain(key, format!("is needed with {}: write it too", given.join(" and ")));
        }
    }
}
