//! Weights and pictures from the server, and weights from what the browser has kept.

use fclm_core::wire::{LightInfo, WorkerFailure, WorkerReply};
use js_sys::{Reflect, Uint8Array};
use sha2::{Digest, Sha256};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, ReadableStreamDefaultReader, Response};

use crate::problem::Problem;
use crate::surroundings::{post, scope};

/// Where the browser keeps the weights of one model.
const CACHE: &str = "fclm-light";

/// The weights that the page has announced. The page is told how far they are.
pub(crate) async fn weights(light: &LightInfo) -> Result<Vec<u8>, Problem> {
    // A browser may keep nothing, as in a private window; then each visit loads them.
    let cache = open_cache().await;
    if let Some(cache) = &cache
        && let Some(bytes) = kept(cache, light).await
    {
        return Ok(bytes);
    }
    let response = fetch(&light.url).await?;
    let bytes = read_with_progress(&response, light.bytes).await?;
    if !is_announced(&bytes, light) {
        let message = "the weights that arrived are not those of the served model".to_owned();
        return Err(Problem::new(WorkerFailure::Unreadable, message));
    }
    if let Some(cache) = &cache {
        keep(cache, light, &bytes).await;
    }
    Ok(bytes)
}

/// The bytes behind an address.
pub(crate) async fn bytes(url: &str) -> Result<Vec<u8>, Problem> {
    let response = fetch(url).await?;
    let failed = |thrown: JsValue| Problem::thrown(WorkerFailure::Download, url, &thrown);
    let buffer = JsFuture::from(response.array_buffer().map_err(failed)?);
    Ok(Uint8Array::new(&buffer.await.map_err(failed)?).to_vec())
}

async fn fetch(url: &str) -> Result<Response, Problem> {
    let failed = |thrown: JsValue| Problem::thrown(WorkerFailure::Download, url, &thrown);
    let answer = JsFuture::from(scope().fetch_with_str(url)).await;
    let response: Response = answer.map_err(failed)?.dyn_into().map_err(failed)?;
    match response.ok() {
        true => Ok(response),
        false => {
            let message = format!("{url} was answered with status {}", response.status());
            Err(Problem::new(WorkerFailure::Download, message))
        }
    }
}

async fn read_with_progress(response: &Response, total: u64) -> Result<Vec<u8>, Problem> {
    let failed = |thrown: JsValue| {
        Problem::thrown(WorkerFailure::Download, "the weights broke off", &thrown)
    };
    let Some(body) = response.body() else {
        let message = "the weights are an empty answer".to_owned();
        return Err(Problem::new(WorkerFailure::Download, message));
    };
    let reader: ReadableStreamDefaultReader = body.get_reader().unchecked_into();
    let mut bytes = Vec::new();
    loop {
        let part = JsFuture::from(reader.read()).await.map_err(failed)?;
        let get = |key: &str| Reflect::get(&part, &JsValue::from_str(key)).map_err(failed);
        if get("done")?.is_truthy() {
            return Ok(bytes);
        }
        let chunk = Uint8Array::new(&get("value")?);
        bytes.extend_from_slice(&chunk.to_vec());
        let loaded = bytes.len() as u64;
        if loaded > total {
            let message = format!("more than the announced {total} bytes of weights arrived");
            return Err(Problem::new(WorkerFailure::Unreadable, message));
        }
        post(&WorkerReply::Progress { loaded, total });
    }
}

async fn open_cache() -> Option<Cache> {
    let caches = scope().caches().ok()?;
    let opened = JsFuture::from(caches.open(CACHE)).await.ok()?;
    opened.dyn_into().ok()
}

/// The weights that were kept on an earlier visit; none where they are others.
async fn kept(cache: &Cache, light: &LightInfo) -> Option<Vec<u8>> {
    let found = JsFuture::from(cache.match_with_str(&light.url))
        .await
        .ok()?;
    let response: Response = found.dyn_into().ok()?;
    let buffer = JsFuture::from(response.array_buffer().ok()?).await.ok()?;
    let bytes = Uint8Array::new(&buffer).to_vec();
    is_announced(&bytes, light).then_some(bytes)
}

/// Keeps weights in place of those of any other model. Where the browser does not take them, the
/// next visit loads them again.
async fn keep(cache: &Cache, light: &LightInfo, bytes: &[u8]) {
    if let Ok(keys) = JsFuture::from(cache.keys()).await {
        for key in js_sys::Array::from(&keys).iter() {
            let request: web_sys::Request = key.unchecked_into();
            let _ = JsFuture::from(cache.delete_with_request(&request)).await;
        }
    }
    let array = Uint8Array::from(bytes);
    if let Ok(response) = Response::new_with_opt_buffer_source(Some(array.unchecked_ref())) {
        let _ = JsFuture::from(cache.put_with_str(&light.url, &response)).await;
    }
}

fn is_announced(bytes: &[u8], light: &LightInfo) -> bool {
    let hash: String = Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    bytes.len() as u64 == light.bytes && hash == light.sha256
}
