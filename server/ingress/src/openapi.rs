//! The description of the API (OpenAPI 3.1), made from the handlers and the wire types.

use std::sync::OnceLock;

use serde_json::{Value, json};
use utoipa::openapi::schema::{SchemaType, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{self, RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::cluster::{self, actions};
use crate::{events, import, items, orders, site, steps};

/// What `consistency` says.
pub(crate) const CONSISTENCY: &str = "`linearizable`, unless asked otherwise: everything that was answered before is \
    seen. `stale`: what was written to the store last, from any member, also while nobody serves the shard; its `Age` \
    says what it may lack (by the clock of the shard's owner).";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Ordermill",
        description = "An order-processing engine: it takes orders, holds stock for them, and never sells a unit it does not have.\n\n\
            Amounts are integer minor units (pence, cents) of an ISO 4217 currency. Times are RFC 3339 in UTC. \
            Errors are `application/problem+json` (RFC 9457) with one stable `type` per kind of error. \
            Customers, SKUs, references and idempotency keys are 1 to 128 bytes of UTF-8 without control characters \
            and without white space around them.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        orders::create, orders::list, orders::get, steps::cancel, steps::pay, steps::fulfil, steps::take_back,
        import::import, items::list, items::get, items::put, items::adjust, events::read, cluster::summary, cluster::members, cluster::shards, actions::drain, actions::cordon,
        actions::uncordon, actions::move_shard, actions::split_shard, actions::rebalance, actions::change_rebalancing, actions::raise_format,
        site::alive, site::ready, site::metrics,
    ),
    components(schemas(ordermill_api::Problem)),
    tags(
        (name = "Orders", description = "Placed, read, and taken through payment, shipment, cancellation and return. A step happens once: repeat it with its `Idempotency-Key`, or hold it to a version with `If-Match`."),
        (name = "Items", description = "What there is to sell: `available = on_hand - held`, never below zero."),
        (name = "Events", description = "Everything that has happened, in order and without a gap, as CloudEvents 1.0."),
        (name = "Cluster", description = "The members that serve the shards, and what can be done about them. Any member answers; where API keys are configured, only to a key of the tenant `default`."),
        (name = "Server", description = "Health and measurements."),
    ),
    modifiers(&Keys, &ImportLines, &Parameters, &Refusals, &Examples),
)]
struct Description;

/// The description of the API as JSON.
pub fn openapi_json() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = Description::openapi().to_pretty_json().expect("the description has only texts and numbers");
        text.push('\n');
        text
    })
}

/// API keys: asked for only where some are configured.
struct Keys;

impl Modify for Keys {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An API key; needed only where the server was configured with keys."))
            .build();
        openapi.components.get_or_insert_default().add_security_scheme("api_key", SecurityScheme::Http(scheme));
        let key = openapi::security::SecurityRequirement::new("api_key", Vec::<String>::new());
        openapi.security = Some(vec![openapi::security::SecurityRequirement::default(), key]);
    }
}

/// A line of an import says what it is, unless it is an order.
struct ImportLines;

impl Modify for ImportLines {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let schemas = &mut openapi.components.get_or_insert_default().schemas;
        for name in ["NewImportOrder", "Credit"] {
            if let Some(RefOr::T(Schema::Object(object))) = schemas.get_mut(name) {
                // The `type` stands beside the fields of either.
                object.additional_properties = None;
            }
        }
        if let Some(RefOr::T(Schema::OneOf(lines))) = schemas.get_mut("ImportLine")
            && let Some(RefOr::T(Schema::AllOf(order))) = lines.items.first_mut()
            && let Some(RefOr::T(Schema::Object(tag))) = order.items.last_mut()
        {
            tag.required.clear();
        }
    }
}

/// A parameter that may be left out is still never null.
struct Parameters;

impl Modify for Parameters {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let items = openapi.paths.paths.values_mut();
        let operations = items.flat_map(|item| [&mut item.get, &mut item.put, &mut item.post]).flatten();
        for parameter in operations.filter_map(|operation| operation.parameters.as_mut()).flatten() {
            if let RefOr::T(parameter) = parameter
                && let Some(RefOr::T(Schema::Object(object))) = &mut parameter.schema
                && let SchemaType::Array(types) = &object.schema_type
                && let Some(one) = types.iter().find(|one| **one != Type::Null)
            {
                object.schema_type = SchemaType::Type(one.clone());
            }
        }
    }
}

/// Problems are described once and referred to.
struct Refusals;

impl Modify for Refusals {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let responses = &mut openapi.components.get_or_insert_default().responses;
        responses.extend(refusals::all().into_iter().map(|(name, response)| (name, RefOr::T(response))));
    }
}

/// Examples of what is sent and what comes back.
struct Examples;

impl Modify for Examples {
    fn modify(&self, openapi: &mut openapi::OpenApi) {
        let schemas = &mut openapi.components.get_or_insert_default().schemas;
        for (name, example) in examples() {
            match schemas.get_mut(name) {
                Some(RefOr::T(Schema::Object(object))) => object.example = Some(example),
                Some(RefOr::T(Schema::OneOf(one_of))) => one_of.example = Some(example),
                _ => unreachable!("{name} is described as an object or a choice"),
            }
        }
    }
}

/// Examples by the name of their schema.
fn examples() -> [(&'static str, Value); 12] {
    let line = json!({"sku": "85123A", "quantity": 6, "unit_price": {"amount": 255, "currency": "GBP"}});
    let order = json!({
        "id": "01M85WT1JVRNXG6PR000000001", "customer": "c-17", "status": "confirmed",
        "lines": [{
            "line": 1, "sku": "85123A", "quantity": 6, "unit_price": {"amount": 255, "currency": "GBP"},
            "held": 6, "backordered": 0, "fulfilled": 0, "cancelled": 0, "returned": 0,
        }],
        "total": {"amount": 1530, "currency": "GBP"},
        "payment": {
            "status": "required", "terms": "on_account",
            "authorized": 0, "captured": 0, "refunded": 0, "voided": 0,
        },
        "version": 1, "created_at": "2026-01-31T09:30:00.000Z", "updated_at": "2026-01-31T09:30:00.000Z",
    });
    let item = json!({
        "sku": "85123A", "on_hand": 100, "held": 6, "available": 94, "backorder": false, "backordered": 0,
        "received": 100, "fulfilled": 0, "restocked": 0, "version": 2, "updated_at": "2026-01-31T09:30:00.000Z",
    });
    [
        ("NewOrder", json!({"customer": "c-17", "reference": "web-1001", "lines": [line]})),
        ("ImportLine", json!({"type": "order", "customer": "c-17", "reference": "536365", "lines": [line]})),
        (
            "ImportResult",
            json!({
                "line": 1, "result": "created", "reference": "536365",
                "id": "01M85WT1JVRNXG6PR000000001", "status": "confirmed",
            }),
        ),
        ("Cancellation", json!({"reason": "ordered twice"})),
        ("CancelResult", json!({"outcome": "done", "order": order})),
        ("NewPayment", json!({"action": "authorize", "amount": {"amount": 1530, "currency": "GBP"}})),
        ("NewFulfillment", json!({"lines": [{"line": 1, "quantity": 6}], "tracking": "JD014600003828"})),
        ("NewReturn", json!({"lines": [{"line": 1, "quantity": 1}], "restock": true, "reason": "broken"})),
        ("PutItem", json!({"on_hand": 100, "backorder": false})),
        ("Adjustment", json!({"delta": -3, "reason": "counted"})),
        ("Order", order),
        ("Item", item),
    ]
}

pub(crate) mod refusals;
