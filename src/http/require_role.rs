//! The role that a handler asks for, as an extractor.

use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{Error, FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;

use super::current_user::CurrentUser;
use super::principal::{Principal, permit};
use crate::domain::Role;

/// Someone whose role reaches that of `R`.
pub struct RequireRole<R, P = CurrentUser> {
    pub user: P,
    role: PhantomData<R>,
}

/// The role that a handler asks for, as a type.
pub trait RequiredRole {
    const ROLE: Role;
}

/// At least a manager.
pub struct Manager;
/// An administrator.
pub struct Admin;

impl RequiredRole for Manager {
    const ROLE: Role = Role::Manager;
}

impl RequiredRole for Admin {
    const ROLE: Role = Role::Admin;
}

impl<R: RequiredRole + 'static, P: Principal> FromRequest for RequireRole<R, P> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let principal = P::from_request(request, payload);
        Box::pin(async move {
            let user = principal.await.and_then(|principal| permit(principal, R::ROLE))?;
            Ok(Self { user, role: PhantomData })
        })
    }
}
