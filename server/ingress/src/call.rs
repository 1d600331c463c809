//! What every handler of `/v1` begins with: who asks, whether the request may go on, and the
//! router to ask.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Method;
use axum::http::request::Parts;
use ordermill_admission::{Class, Permit};
use ordermill_api::ProblemKind;
use ordermill_routing::Router;

use crate::app::App;
use crate::problem::Failure;
use crate::tenants::may_administrate;

/// A request that was let in; it counts as running until this is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) app: Arc<App>,
    pub(crate) tenant: Arc<str>,
    _permit: Permit,
}

impl Call {
    /// The way into the shards.
    pub(crate) fn router(&self) -> &Router {
        self.app.backend.router().expect("a call is only made once there is a router")
    }
}

/// A request about the cluster. It is let in however much is waiting: it may be what helps.
#[derive(Debug)]
pub(crate) struct Administrator {
    pub(crate) app: Arc<App>,
}

impl Administrator {
    /// The way to the members.
    pub(crate) fn router(&self) -> &Router {
        self.app.backend.router().expect("a request is only let in once there is a router")
    }
}

impl FromRequestParts<Arc<App>> for Administrator {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        if !may_administrate(&app.config.tenants.of(&parts.headers)?) {
            let detail = "the cluster is seen and changed with a key of the tenant `default`";
            return Err(Failure::new(ProblemKind::Forbidden, detail));
        }
        if app.backend.router().is_none() {
            return Err(Failure::unavailable("the server is still opening its store"));
        }
        Ok(Self { app: Arc::clone(app) })
    }
}

fn class(parts: &Parts) -> Class {
    if parts.method == Method::GET || parts.method == Method::HEAD {
        return Class::Read;
    }
    match parts.uri.path() {
        "/v1/orders" => Class::Create,
        "/v1/orders/import" => Class::Import,
        _ => Class::Step,
    }
}

impl FromRequestParts<Arc<App>> for Call {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let tenant = app.config.tenants.of(&parts.headers)?;
        let Some(router) = app.backend.router() else {
            return Err(Failure::unavailable("the server is still opening its store"));
        };
        if let Some(fault) = router.clock_fault() {
            return Err(Failure::unavailable(fault));
        }
        let permit = app.admission.admit(class(parts), app.backend.queue_delay())?;
        Ok(Self { app: Arc::clone(app), tenant, _permit: permit })
    }
}
