//! Calls about items.

use ordermill_api::{Adjustment, Item, ItemPage, PutItem};

use super::{Client, Error, Request, random_key, segment};

impl Client {
    /// Sets an item's quantity on the shelf; creates it when it is new.
    pub async fn put_item(&self, sku: &str, item: &PutItem) -> Result<Item, Error> {
        self.call(Request::put(format!("/v1/items/{}", segment(sku)?)).json(item)).await
    }

    /// Changes an item's quantity on the shelf by a difference. With the same key it is done once.
    pub async fn adjust_item(&self, sku: &str, adjustment: &Adjustment, key: Option<&str>) -> Result<Item, Error> {
        let key = key.map_or_else(random_key, str::to_owned);
        self.call(Request::post(format!("/v1/items/{}/adjustments", segment(sku)?)).keyed(&key)?.json(adjustment)).await
    }

    /// An item.
    pub async fn item(&self, sku: &str) -> Result<Item, Error> {
        self.call(Request::get(format!("/v1/items/{}", segment(sku)?))).await
    }

    /// A page of items.
    pub async fn items(&self, page_size: Option<usize>, page_token: Option<&str>) -> Result<ItemPage, Error> {
        self.call(Request::get("/v1/items").query("page_size", page_size).query("page_token", page_token)).await
    }
}
