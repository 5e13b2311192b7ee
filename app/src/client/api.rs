use leptos::prelude::window;
use serde::{Serialize, de::DeserializeOwned};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Request, RequestInit, Response};

use super::Failure;

/// `GET`, JSON back.
pub(crate) async fn get<T: DeserializeOwned>(path: &str) -> Result<T, Failure> {
    read(&send("GET", path, None).await?)
}

/// `POST` of JSON, JSON back.
pub(crate) async fn post<B: Serialize, T: DeserializeOwned>(
    path: &str,
    body: &B,
) -> Result<T, Failure> {
    read(&send("POST", path, Some(&json(body))).await?)
}

/// `POST` without body; the answer's body does not matter.
pub(crate) async fn post_empty(path: &str) -> Result<(), Failure> {
    send("POST", path, None).await.map(drop)
}

/// `PUT` of JSON; the answer's body does not matter.
pub(crate) async fn put<B: Serialize>(path: &str, body: &B) -> Result<(), Failure> {
    send("PUT", path, Some(&json(body))).await.map(drop)
}

/// `DELETE`.
pub(crate) async fn delete(path: &str) -> Result<(), Failure> {
    send("DELETE", path, None).await.map(drop)
}

struct Answer {
    status: u16,
    body: String,
}

fn json<B: Serialize>(body: &B) -> String {
    serde_json::to_string(body).expect("wire types have string keys and no maps that fail")
}

fn read<T: DeserializeOwned>(answer: &Answer) -> Result<T, Failure> {
    serde_json::from_str(&answer.body).map_err(|_| Failure::Unreadable(answer.status))
}

async fn send(method: &str, path: &str, body: Option<&str>) -> Result<Answer, Failure> {
    let response = fetch(method, path, body)
        .await
        .map_err(|_| Failure::Offline)?;
    let status = response.status();
    let text = async { JsFuture::from(response.text()?).await };
    let body = text
        .await
        .ok()
        .and_then(|text| text.as_string())
        .ok_or(Failure::Offline)?;
    if response.ok() {
        Ok(Answer { status, body })
    } else {
        Err(Failure::from_body(status, &body))
    }
}

async fn fetch(method: &str, path: &str, body: Option<&str>) -> Result<Response, JsValue> {
    let init = RequestInit::new();
    init.set_method(method);
    if let Some(body) = body {
        init.set_body(&JsValue::from_str(body));
    }
    let request = Request::new_with_str_and_init(path, &init)?;
    request.headers().set("accept", "application/json")?;
    if body.is_some() {
        request.headers().set("content-type", "application/json")?;
    }
    JsFuture::from(window().fetch_with_request(&request))
        .await?
        .dyn_into()
}
