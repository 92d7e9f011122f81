//! What an account may do.

use super::text::text_enum;

text_enum!(
    /// `user` < `manager` < `admin`: each can do all that the one before it can. Compared only by [`Role::reaches`].
    Role {
        User = "user",
        Manager = "manager",
        Admin = "admin",
    }
);

impl Role {
    /// Whether an account of this role may do what asks for `required`.
    pub fn reaches(self, required: Self) -> bool {
        self >= required
    }

    /// The role as a person reads it on a page.
    pub fn title(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Manager => "Manager",
            Self::Admin => "Administrator",
        }
    }
}
