use std::collections::HashMap;
use std::time::Duration;

use fclm_core::wire::{
    LightDevice, LightInfo, MaskPrompt, MaskRle, ModelInfo, PictureView, RegionMask, WorkerReply,
    WorkerRequest,
};
use futures::channel::oneshot;
use futures::future::{Either, select};
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use web_sys::OffscreenCanvas;

use super::trial::Trial;
use super::worker::WorkerLink;
use crate::client;

/// Lets the page come to rest first.
const REST: Duration = Duration::from_millis(300);
/// Longest that somebody waits for a worker's answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// A worker that owes an answer and is silent for so many of these times has broken down. Preparing
/// a GPU's kernels takes the longest.
const WATCH: Duration = Duration::from_secs(5);
const MOST_SILENT: u32 = 24;
/// Under this key the browser keeps which device was the fastest.
const CHOICE: &str = "fclm.extractor";
/// Vectors that are kept.
const VECTORS: usize = 64;

/// Where masks are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// On the server, for good or until a worker is started.
    Server,
    /// On the server, while the worker loads: bytes that are here, and in all.
    Loading(u64, u64),
    /// On this device.
    Here(LightDevice),
}

impl Place {
    /// What the page says of it.
    pub(crate) fn words(self) -> String {
        match self {
            Self::Server => "Masks: server".to_owned(),
            Self::Loading(loaded, total) if loaded < total => {
                let percent = loaded as f64 / total as f64 * 100.0;
                format!("Masks: server, loading {percent:.0}%")
            }
            Self::Loading(..) => "Masks: server, trying this device".to_owned(),
            Self::Here(device) => format!("Masks: this device's {}", name_of(device)),
        }
    }

    /// For tests and styles.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Loading(..) => "loading",
            Self::Here(LightDevice::Gpu) => "gpu",
            Self::Here(LightDevice::Cpu) => "cpu",
        }
    }
}

/// What an earlier visit has found out. It counts for the same weights only.
#[derive(Serialize, Deserialize)]
struct Choice {
    sha256: String,
    device: LightDevice,
}

/// The page's way to its workers.
#[derive(Clone, Copy)]
pub(crate) struct Extractor {
    /// Where masks are made.
    pub(crate) place: RwSignal<Place>,
    /// Why a device makes none, where one has been tried in vain.
    pub(crate) why: RwSignal<Option<String>>,
    script: StoredValue<Option<String>>,
    model: RwSignal<Option<ModelInfo>>,
    running: StoredValue<Option<Running>, LocalStorage>,
    picture: StoredValue<Option<String>>,
}

struct Running {
    light: LightInfo,
    script: String,
    trial: Trial,
    workers: Vec<Started>,
    /// Of each request the device that is asked, and who waits for it.
    waiting: HashMap<u32, (LightDevice, oneshot::Sender<WorkerReply>)>,
    next_id: u32,
    /// Which picture which worker has been told to open, by which request.
    opened: Option<(LightDevice, String, u32)>,
    vectors: Vec<(String, MaskRle, Vec<f32>)>,
    /// Whether no device has failed that did work: what takes its place then is no finding.
    finds: bool,
}

struct Started {
    device: LightDevice,
    link: WorkerLink,
    /// What no other worker of this visit is called.
    serial: u32,
    /// Whether it may be able to draw on a canvas of the page.
    draws: bool,
    /// Requests that it has not answered.
    owed: u32,
    /// How often it was found owing and silent.
    silent: u32,
}

impl Extractor {
    /// Without workers yet; `script` is what they start with.
    pub(crate) fn new(script: Option<String>, model: RwSignal<Option<ModelInfo>>) -> Self {
        let extractor = Self {
            place: RwSignal::new(Place::Server),
            why: RwSignal::new(None),
            script: StoredValue::new(script),
            model,
            running: StoredValue::new_local(None),
            picture: StoredValue::new(None),
        };
        Effect::new(move |_| {
            // The server may still be loading the model when the first picture is opened.
            if model.with(Option::is_some) && extractor.picture.with_value(Option::is_some) {
                extractor.begin();
            }
        });
        extractor
    }

    /// A picture is shown: it is encoded as soon as there is a worker. The first one starts them.
    pub(crate) fn open(self, url: String) {
        self.picture.set_value(Some(url));
        spawn_local(async move {
            client::pause(REST).await;
            self.begin();
            self.catch_up();
        });
    }

    fn begin(self) {
        if self.running.with_value(Option::is_some) {
            return;
        }
        let light = self
            .model
            .with_untracked(|model| model.as_ref()?.light.clone());
        let (Some(script), Some(light)) = (self.script.get_value(), light) else {
            return;
        };
        let remembered = client::recall::<Choice>(CHOICE)
            .filter(|choice| choice.sha256 == light.sha256)
            .map(|choice| choice.device);
        self.running.set_value(Some(Running {
            trial: Trial::new(has_gpu(), remembered),
            light,
            script,
            workers: Vec::new(),
            waiting: HashMap::new(),
            next_id: 0,
            opened: None,
            vectors: Vec::new(),
            finds: true,
        }));
        self.go_on();
    }

    /// Starts what is to be tried next, gives up what lost, and says where masks are made.
    fn go_on(self) {
        let mut dropped = Vec::new();
        self.running.update_value(|running| {
            let Some(running) = running else { return };
            while let Some(device) = running.trial.start() {
                let hear = move |reply| self.hear(device, reply);
                let serial = running.new_id();
                match WorkerLink::start(&running.script, hear) {
                    Some(link) => {
                        let mut worker = Started {
                            device,
                            link,
                            serial,
                            draws: device == LightDevice::Gpu,
                            owed: 0,
                            silent: 0,
                        };
                        let light = running.light.clone();
                        worker.send(&WorkerRequest::Start { device, light });
                        running.workers.push(worker);
                        self.watch(device);
                    }
                    None => running.trial.has_failed(device),
                }
            }
            for lost in running.trial.settle() {
                dropped.extend(running.take(lost));
            }
        });
        // Their end must not find the value above in use.
        drop(dropped);
        let best = self.best();
        let place = match best {
            Some(device) => Place::Here(device),
            None if self.is_trying() => match self.place.get_untracked() {
                loading @ Place::Loading(..) => loading,
                Place::Server | Place::Here(_) => Place::Loading(0, 0),
            },
            None => Place::Server,
        };
        self.place.set(place);
        self.catch_up();
    }

    /// Has the best worker open the picture that is shown.
    fn catch_up(self) {
        let Some(url) = self.picture.get_value() else {
            return;
        };
        self.running.update_value(|running| {
            if let Some(running) = running {
                running.open(&url);
            }
        });
    }

    fn best(self) -> Option<LightDevice> {
        self.running
            .with_value(|running| running.as_ref()?.trial.best())
    }

    fn is_trying(self) -> bool {
        self.running
            .with_value(|running| running.as_ref().is_some_and(|r| !r.workers.is_empty()))
    }

    /// Looks after a worker: a device that hangs tells nobody.
    fn watch(self, device: LightDevice) {
        spawn_local(async move {
            loop {
                client::pause(WATCH).await;
                let silent = self.running.try_update_value(|running| {
                    let worker = running.as_mut()?.worker(device)?;
                    worker.silent += u32::from(worker.owed > 0);
                    Some(worker.silent)
                });
                match silent.flatten() {
                    Some(silent) if silent < MOST_SILENT => {}
                    Some(_) => return self.give_up(device, "the worker does not answer"),
                    None => return,
                }
            }
        });
    }

    fn hear(self, device: LightDevice, reply: WorkerReply) {
        let is_answer = !matches!(reply, WorkerReply::Progress { .. });
        self.running.update_value(|running| {
            let worker = running.as_mut().and_then(|running| running.worker(device));
            if let Some(worker) = worker {
                worker.silent = 0;
                worker.owed = worker.owed.saturating_sub(u32::from(is_answer));
                if let WorkerReply::Previewed { is_drawn, .. } = &reply {
                    worker.draws &= is_drawn;
                }
            }
        });
        let id = match &reply {
            WorkerReply::Progress { loaded, total } => {
                if self.best().is_none() {
                    self.place.set(Place::Loading(*loaded, *total));
                }
                return;
            }
            WorkerReply::Ready { encode_ms, .. } => return self.is_ready(device, *encode_ms),
            WorkerReply::Failed {
                id,
                failure,
                message,
            } if id.is_none() || failure.ends_worker() => {
                if !failure.ends_worker() {
                    // What did not arrive says nothing about the device.
                    self.running.update_value(|running| {
                        if let Some(running) = running {
                            running.finds = false;
                        }
                    });
                }
                return self.give_up(device, message);
            }
            WorkerReply::Opened { id, .. }
            | WorkerReply::Segmented { id, .. }
            | WorkerReply::Previewed { id, .. }
            | WorkerReply::PreviewCleared { id }
            | WorkerReply::Vector { id, .. }
            | WorkerReply::Probed { id, .. } => Some(*id),
            WorkerReply::Failed { id, .. } => *id,
        };
        let mut waiting = None;
        self.running.update_value(|running| {
            if let (Some(running), Some(id)) = (running, id) {
                waiting = running.waiting.remove(&id);
                let failed = matches!(reply, WorkerReply::Failed { .. });
                let is_opening = |opened: &(_, _, u32)| opened.2 == id;
                if failed && running.opened.as_ref().is_some_and(is_opening) {
                    // Whoever asks next has it opened again.
                    running.opened = None;
                }
            }
        });
        if let Some((_, sender)) = waiting {
            // Whoever waited may have gone.
            let _ = sender.send(reply);
        }
    }

    fn is_ready(self, device: LightDevice, encode_ms: f64) {
        self.running.update_value(|running| {
            if let Some(running) = running {
                running.trial.is_ready(device, encode_ms);
            }
        });
        self.go_on();
        let settled = self.running.with_value(|running| {
            let running = running.as_ref()?;
            let device = running.trial.best()?;
            let sha256 = running.light.sha256.clone();
            let is_found = running.workers.len() == 1 && running.finds;
            is_found.then_some(Choice { sha256, device })
        });
        if let Some(choice) = settled {
            client::remember(CHOICE, &choice);
        }
    }

    /// Ends a worker whose device has failed; the next one is tried in a fresh worker.
    fn give_up(self, device: LightDevice, why: &str) {
        let mut dropped = None;
        self.why.set(Some(format!("{}: {why}", name_of(device))));
        self.running.update_value(|running| {
            if let Some(running) = running {
                running.finds &= !running.trial.works(device);
                running.trial.has_failed(device);
                dropped = running.take(device);
            }
        });
        drop(dropped);
        if client::recall::<Choice>(CHOICE).is_some_and(|choice| choice.device == device) {
            client::forget(CHOICE);
        }
        self.go_on();
    }

    /// Candidates for a prompt over a picture, best first; none where the server is to be asked.
    pub(crate) async fn segment(self, url: &str, prompt: MaskPrompt) -> Option<Vec<RegionMask>> {
        match self
            .ask(url, |id| WorkerRequest::Segment { id, prompt })
            .await?
        {
            WorkerReply::Segmented { masks, .. } if !masks.is_empty() => Some(masks),
            _ => None,
        }
    }

    /// The worker that can draw masks on a canvas of the page, by what no other worker is called.
    /// None where masks are made by a device that cannot, or not here.
    pub(crate) fn artist(self) -> Option<u32> {
        self.running.with_value(|running| {
            let running = running.as_ref()?;
            let best = running.trial.best()?;
            let mut workers = running.workers.iter();
            let artist = workers.find(|worker| worker.device == best && worker.draws)?;
            Some(artist.serial)
        })
    }

    /// Hands a worker the canvas that it draws on from then on. The canvas cannot come back, so
    /// each worker needs another one. False where there is none to be had, or no such worker any
    /// more; then it is not asked to draw again.
    pub(crate) fn hand_over(self, artist: u32, canvas: Option<&OffscreenCanvas>) -> bool {
        let handed = self.running.try_update_value(|running| {
            let mut workers = running.as_mut()?.workers.iter_mut();
            let worker = workers.find(|worker| worker.serial == artist)?;
            worker.draws = canvas.is_some_and(|canvas| worker.link.hand_over(canvas));
            Some(worker.draws)
        });
        handed.flatten() == Some(true)
    }

    /// Has the best mask of a prompt drawn where the picture lies on the canvas; whether it is.
    pub(crate) async fn draw(self, url: &str, prompt: MaskPrompt, view: PictureView) -> bool {
        let reply = self.ask(url, |id| WorkerRequest::Preview { id, prompt, view });
        matches!(
            reply.await,
            Some(WorkerReply::Previewed { is_drawn: true, .. })
        )
    }

    /// Has nothing left on the canvas.
    pub(crate) fn wipe(self, artist: u32) {
        self.running.update_value(|running| {
            let Some(running) = running else { return };
            let id = running.new_id();
            let mut workers = running.workers.iter_mut();
            if let Some(worker) = workers.find(|worker| worker.serial == artist) {
                worker.send(&WorkerRequest::ClearPreview { id });
            }
        });
    }

    /// A region's vector with the hash of the weights behind it; none where the server has to
    /// compute it.
    pub(crate) async fn vector(self, url: &str, mask: &MaskRle) -> Option<(Vec<f32>, String)> {
        let (kept, sha256) = self.running.with_value(|running| {
            let running = running.as_ref()?;
            let kept = running
                .vectors
                .iter()
                .find(|(picture, region, _)| picture == url && region == mask);
            let can = running.light.vector_len > 0;
            can.then(|| {
                let values = kept.map(|(_, _, values)| values.clone());
                (values, running.light.sha256.clone())
            })
        })?;
        if let Some(values) = kept {
            return Some((values, sha256));
        }
        let of = mask.clone();
        let reply = self.ask(url, |id| WorkerRequest::Vector { id, mask: of });
        let WorkerReply::Vector { values, .. } = reply.await? else {
            return None;
        };
        self.running.update_value(|running| {
            if let Some(running) = running {
                running.vectors.truncate(VECTORS - 1);
                let entry = (url.to_owned(), mask.clone(), values.clone());
                running.vectors.insert(0, entry);
            }
        });
        Some((values, sha256))
    }

    async fn ask(
        self,
        url: &str,
        request: impl FnOnce(u32) -> WorkerRequest,
    ) -> Option<WorkerReply> {
        let (sender, answer) = oneshot::channel();
        let asked = self.running.try_update_value(|running| {
            let running = running.as_mut()?;
            let device = running.trial.best()?;
            running.open(url);
            let id = running.new_id();
            running.worker(device)?.send(&request(id));
            running.waiting.insert(id, (device, sender));
            Some(())
        });
        asked.flatten()?;
        let patience = Box::pin(client::pause(PATIENCE));
        match select(answer, patience).await {
            Either::Left((reply, _)) => reply.ok(),
            // Whether it is busy or hangs is found out by `watch`; until then the server is asked.
            Either::Right(_) => None,
        }
    }
}

impl Running {
    fn new_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Tells the best worker to open a picture, once.
    fn open(&mut self, url: &str) {
        let Some(device) = self.trial.best() else {
            return;
        };
        let is_open = self
            .opened
            .as_ref()
            .is_some_and(|(opened_on, opened, _)| *opened_on == device && opened == url);
        if is_open {
            return;
        }
        let id = self.new_id();
        if let Some(worker) = self.worker(device) {
            let url = url.to_owned();
            worker.send(&WorkerRequest::Open {
                id,
                url: url.clone(),
            });
            self.opened = Some((device, url, id));
        }
    }

    fn worker(&mut self, device: LightDevice) -> Option<&mut Started> {
        self.workers
            .iter_mut()
            .find(|worker| worker.device == device)
    }

    /// Takes a worker out. Those who wait for it hear that nothing will come.
    fn take(&mut self, device: LightDevice) -> Option<WorkerLink> {
        self.waiting.retain(|_, (asked, _)| *asked != device);
        if self
            .opened
            .as_ref()
            .is_some_and(|(opened_on, ..)| *opened_on == device)
        {
            self.opened = None;
        }
        let index = self
            .workers
            .iter()
            .position(|worker| worker.device == device)?;
        Some(self.workers.remove(index).link)
    }
}

impl Started {
    fn send(&mut self, request: &WorkerRequest) {
        self.link.send(request);
        self.owed += 1;
    }
}

fn name_of(device: LightDevice) -> &'static str {
    match device {
        LightDevice::Gpu => "GPU",
        LightDevice::Cpu => "CPU",
    }
}

fn has_gpu() -> bool {
    let gpu = js_sys::Reflect::get(&window().navigator(), &JsValue::from_str("gpu"));
    gpu.is_ok_and(|gpu| gpu.is_object())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_where_masks_are_made() {
        let words = |place: Place| place.words();
        assert_eq!(words(Place::Server), "Masks: server");
        assert!(words(Place::Loading(1, 4)).ends_with("25%"));
        assert!(words(Place::Loading(4, 4)).ends_with("trying this device"));
        for (device, name) in [(LightDevice::Gpu, "GPU"), (LightDevice::Cpu, "CPU")] {
            assert!(words(Place::Here(device)).ends_with(name));
        }
    }
}
