//! Around every route: the request's id and span, its count and latency, the net under it that turns a bug into a
//! problem, and the word that a server which is stopping closes the connection.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, Version, header};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use metrics::{Counter, Histogram, counter, describe_counter, describe_histogram, histogram};
use ordermill_api::ProblemKind;
use ordermill_station::measure::Station;
use tower::{Layer, Service};
use tracing::{Instrument, Span};

use crate::app::App;
use crate::problem::Failure;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id that is taken over from a client.
const REQUEST_ID_BYTES: usize = 128;

/// The methods that are counted by name.
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "HEAD", "other"];
/// The statuses that are counted by number.
const STATUSES: [u16; 24] = [
    200, 201, 202, 204, 304, 307, 308, 400, 401, 404, 405, 408, 409, 410, 412, 413, 415, 422, 429, 431, 500, 503, 507,
    0,
];

/// What all routes share.
#[derive(Debug)]
pub(crate) struct Measures {
    app: Arc<App>,
    station: Station,
    /// What the ids of this process begin with.
    prefix: u64,
    last_id: AtomicU64,
}

impl Measures {
    pub(crate) fn new(app: &Arc<App>) -> Arc<Self> {
        describe_counter!("ordermill_http_requests_total", "Requests answered, by route, method and status");
        describe_histogram!(
            "ordermill_http_request_seconds",
            metrics::Unit::Seconds,
            "Time until a request's answer began, by route and method"
        );
        let (station, prefix) = (Station::new("ingress"), rand::random());
        Arc::new(Self { app: Arc::clone(app), station, prefix, last_id: AtomicU64::new(0) })
    }

    /// The client's id for the request, or a new one.
    fn request_id(&self, request: &Request<Body>) -> HeaderValue {
        match request.headers().get(REQUEST_ID) {
            Some(id) if (1..=REQUEST_ID_BYTES).contains(&id.len()) => id.clone(),
            _ => {
                let number = self.last_id.fetch_add(1, Ordering::Relaxed);
                let mut text = [0u8; 32];
                hexadecimal(self.prefix, &mut text[..16]);
                hexadecimal(number, &mut text[16..]);
                HeaderValue::from_bytes(&text).expect("digits are a valid header")
            }
        }
    }
}

fn hexadecimal(mut number: u64, text: &mut [u8]) {
    for place in text.iter_mut().rev() {
        *place = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
}

/// The measurements of one route, looked up once each.
#[derive(Debug)]
struct Route {
    path: &'static str,
    counts: [[OnceLock<Counter>; STATUSES.len()]; METHODS.len()],
    seconds: [OnceLock<Histogram>; METHODS.len()],
}

impl Route {
    fn new(path: &'static str) -> Self {
        Self { path, counts: Default::default(), seconds: Default::default() }
    }

    fn done(&self, method: usize, status: StatusCode, took: Duration) {
        let known = STATUSES.iter().position(|known| *known == status.as_u16());
        let name = METHODS[method];
        let count = &self.counts[method][known.unwrap_or(STATUSES.len() - 1)];
        let make = || counter!("ordermill_http_requests_total", "route" => self.path, "method" => name, "status" => status.as_str().to_owned());
        count.get_or_init(make).increment(1);
        let make = || histogram!("ordermill_http_request_seconds", "route" => self.path, "method" => name);
        self.seconds[method].get_or_init(make).record(took);
    }
}

fn method_index(method: &Method) -> usize {
    METHODS.iter().position(|known| *known == method.as_str()).unwrap_or(METHODS.len() - 1)
}

/// The layer of one route.
#[derive(Clone)]
pub(crate) struct Around {
    measures: Arc<Measures>,
    route: Arc<Route>,
}

/// A route with everything around it.
#[derive(Clone)]
pub(crate) struct Measured<S> {
    inner: S,
    around: Around,
}

impl Measured<()> {
    /// What stands around the route `path`.
    pub(crate) fn layer(measures: &Arc<Measures>, path: &'static str) -> Around {
        Around { measures: Arc::clone(measures), route: Arc::new(Route::new(path)) }
    }
}

impl<S> Layer<S> for Around {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, around: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Measured<S>
where
    S: Service<Request<Body>>,
    S::Response: IntoResponse,
    S::Error: Into<std::convert::Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let around = self.around.clone();
        let began = around.measures.app.config.clock.elapsed();
        let id = around.measures.request_id(&request);
        let (method, version) = (method_index(request.method()), request.version());
        let span = tracing::debug_span!(
            "request",
            method = METHODS[method],
            route = around.route.path,
            id = id.to_str().unwrap_or_default(),
            status = tracing::field::Empty,
            seconds = tracing::field::Empty,
        );
        let too_large = head_bytes(&request) > around.measures.app.config.head_bytes;
        let answer = (!too_large).then(|| self.inner.call(request));
        let inside = span.clone();
        let run = async move {
            let response = match answer {
                None => Failure::new(ProblemKind::HeadTooLarge, "path and headers are too large").into_response(),
                Some(answer) => match AssertUnwindSafe(answer).catch_unwind().await {
                    Ok(Ok(response)) => response.into_response(),
                    Ok(Err(never)) => match never.into() {},
                    Err(panic) => failed(&*panic, &around, &id),
                },
            };
            let mut response = around.finish(response, id, method, began, &inside);
            // HTTP/2 has a way of its own.
            if version < Version::HTTP_2 && *around.measures.app.stopping.borrow() {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response)
        };
        Box::pin(run.instrument(span))
    }
}

impl Around {
    fn finish(&self, mut response: Response, id: HeaderValue, method: usize, began: Duration, span: &Span) -> Response {
        let station = &self.measures.station;
        let took = self.measures.app.config.clock.elapsed().saturating_sub(began);
        let status = response.status();
        station.called(1);
        station.took(took);
        if status.is_server_error() {
            station.failed("server_error");
        } else if status.is_client_error() {
            station.failed("client_error");
        }
        self.route.done(method, status, took);
        if !span.is_disabled() {
            span.record("status", status.as_u16());
            span.record("seconds", took.as_secs_f64());
            tracing::debug!("answered");
        }
        response.headers_mut().insert(REQUEST_ID, id);
        response
    }
}

/// A bug: it is logged, and the client is told no more than that.
#[cold]
fn failed(panic: &(dyn std::any::Any + Send), around: &Around, id: &HeaderValue) -> Response {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(route = around.route.path, ?id, panic = text.unwrap_or("?"), "a request has failed: this is a bug");
    Failure::new(ProblemKind::Internal, "the request has failed: the server's log says why").into_response()
}

fn head_bytes(request: &Request<Body>) -> usize {
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let uri = request.uri();
    headers + uri.path().len() + uri.query().map_or(0, str::len)
}
