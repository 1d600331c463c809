//! The description of the API (OpenAPI 3.1).

/// The description of the API as JSON.
pub fn openapi_json() -> &'static str {
    "{}"
}
