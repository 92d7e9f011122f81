//! An account.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::text::text_enum;
use super::{EmailAddress, Role, Timestamp, UserId, Username};

text_enum!(
    /// Whether the account may be used.
    UserStatus {
        Active = "active",
        Suspended = "suspended",
    }
);

/// An account as its owner sees it.
#[derive(Clone, Debug)]
pub struct OwnAccount {
    pub user: User,
    /// Until when the account is locked, for strangers or in one of its known browsers, as it was read. That moment may
    /// have passed: [`OwnAccount::locked_until`].
    pub lock: Option<Timestamp>,
}

impl OwnAccount {
    /// Until when the account is locked, if it is.
    pub fn locked_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.lock.filter(|until| now < *until)
    }
}

/// An account as SQL has it. Deleted accounts are not users: only their sessions and events remain.
#[derive(Clone, Debug)]
pub struct User {
    pub id: UserId,
    pub username: Username,
    pub email: EmailAddress,
    /// What the person is called; shown, never used to sign in.
    pub name: Option<String>,
    pub role: Role,
    pub status: UserStatus,
    /// Raised by all that ends every session at once; a session of an older epoch is dead.
    pub epoch: i64,
    pub created_at: Timestamp,
    /// Until its owner has chosen one, nobody can sign in to it.
    pub has_password: bool,
    pub password_changed_at: Option<Timestamp>,
    pub last_sign_in_at: Option<Timestamp>,
}

impl User {
    /// The epoch of a new account.
    pub const FIRST_EPOCH: i64 = 1;

    /// The name if there is one, else the username.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.username.as_str())
    }

    /// Stands for what an administrator can edit: another one once any of it has changed. 96 bits in base64url.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        let name = self.name.as_deref().unwrap_or_default();
        for part in [self.username.as_str(), self.email.as_str(), name, self.role.as_str(), self.status.as_str()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        URL_SAFE_NO_PAD.encode(&hash.finalize()[..12])
    }

    pub fn is_active(&self) -> bool {
        self.status == UserStatus::Active
    }
}
