//! What takes the place of a device that fails, and of one whose weights do not come.

use fclm_core::fclm::LightConfig;
use fclm_core::wire::LightDevice;
use fclm_tests::browser::Tab;
use fclm_tests::served::Served;
use fclm_tests::view::View;
use fclm_tests::{samples, site, worker};

use super::{CARD, Choice, GPU, encodings, remembered, started, wait_for_masks};

/// Bytes that a GPU which is too small binds at once.
const TOO_FEW: u64 = 1 << 20;

/// A quarter of the weights arrives.
const QUARTER: &str = "
    const load = self.fetch;
    self.fetch = async (...rest) => {
        const answer = await load(...rest);
        if (!String(rest[0]).includes('light.safetensors')) return answer;
        const bytes = new Uint8Array(await answer.arrayBuffer());
        const start = (stream) => stream.enqueue(bytes.slice(0, bytes.length / 4));
        return new Response(new ReadableStream({ start }));
    };";

/// As soon as a picture is opened, nothing that is read from the GPU is a number. As soon as the CPU
/// is asked for a mask, the module has used up all memory that a module can have.
const FAILING: &str = "
    let made, isOnCpu = false, isBroken = false;
    const instantiate = WebAssembly.instantiateStreaming;
    WebAssembly.instantiateStreaming = async (...rest) => {
        const result = await instantiate(...rest);
        made = result.instance.exports;
        return result;
    };
    const asLongAsItGoes = (act) => { try { for (;;) act(); } catch {} };
    const useUp = () => {
        for (let pages = 65536; pages >= 1; pages /= 2)
            asLongAsItGoes(() => made.memory.grow(pages));
        for (let bytes = 2 ** 30; bytes >= 8; bytes /= 2)
            asLongAsItGoes(() => made.__wbindgen_malloc(bytes, 1));
    };
    const getMappedRange = GPUBuffer.prototype.getMappedRange;
    GPUBuffer.prototype.getMappedRange = function (...rest) {
        const range = getMappedRange.apply(this, rest);
        if (isBroken && this.usage & GPUBufferUsage.MAP_READ) new Float32Array(range).fill(NaN);
        return range;
    };
    addEventListener('message', ({ data }) => {
        const text = String(data);
        isOnCpu ||= text.includes('\"device\":\"cpu\"');
        isBroken ||= text.includes('\"request\":\"open\"');
        if (isOnCpu && text.includes('\"request\":\"segment\"')) useUp();
    });";

/// The browser says of the first buffer on the GPU that there was no memory for it.
const NO_GPU_MEMORY: &str = "
    let isTold = false;
    const createBuffer = GPUDevice.prototype.createBuffer;
    GPUDevice.prototype.createBuffer = function (...rest) {
        if (!isTold) {
            isTold = true;
            const error = new GPUOutOfMemoryError('no memory is left');
            setTimeout(() => this.dispatchEvent(
                new GPUUncapturedErrorEvent('uncapturederror', { error, cancelable: true })));
        }
        return createBuffer.apply(this, rest);
    };";

#[tokio::test(flavor = "multi_thread")]
async fn while_the_weights_come_the_page_tells_how_far_they_are_and_the_server_makes_masks() {
    let page = site::with_worker_after(QUARTER);
    let served = Served::with_site(page.path()).await;
    let tab = Tab::open(&served.url("/")).await;
    tab.click(CARD).await;
    let is_told = format!(
        "{}?.textContent.includes('server, loading 25%')",
        worker::PLACE
    );
    tab.wait_until("the page does not tell how far it is", &is_told)
        .await;
    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = samples::scenes()[0].middle();
    tab.drag(&[view.window(x, y)]).await;
    wait_for_masks(&tab, 1).await;
    assert_eq!(tab.fetched("/segment").await, 1);
    assert!(tab.evaluate::<bool>(&is_told).await);
    tab.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_without_numbers_gives_way_to_the_cpu_and_that_without_memory_to_the_server() {
    let _alone = GPU.lock().await;
    let page = site::with_worker_after(FAILING);
    let served = Served::with_site(page.path()).await;
    let light = worker::light_of(&served).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    // So that the CPU is not tried before the GPU has a picture to encode.
    worker::prefer_gpu(&tab, &light).await;
    worker::listen(&tab).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "cpu").await;
    assert_eq!(
        worker::why(&tab).await,
        "GPU: the device computed something that is no number"
    );
    let both = [(0, LightDevice::Gpu), (1, LightDevice::Cpu)];
    assert_eq!(started(&tab).await, both);
    // Both were ready: the GPU before it had a picture to encode.
    assert_eq!(encodings(&tab, "ready").await.len(), 2);

    tab.click("[data-testid=tool-click]").await;
    let view = View::of(&tab).await;
    let (x, y) = samples::scenes()[0].middle();
    tab.drag(&[view.window(x, y)]).await;
    wait_for_masks(&tab, 1).await;
    assert_eq!(tab.fetched("/segment").await, 1, "the server was not asked");
    worker::wait_for_place(&tab, "server").await;
    let why = worker::why(&tab).await;
    let is_told = why.starts_with("CPU: ") && !why.contains("does not answer");
    assert!(is_told, "{why}");
    // Neither is tried again.
    assert_eq!(started(&tab).await, both);
    assert_eq!(remembered(&tab).await, None);
    tab.close().await;
}

/// What a page says of a GPU that cannot be used, in whose place it has taken the CPU.
async fn what_is_said_of_the_gpu(served: &Served) -> String {
    let light = worker::light_of(served).await;
    let tab = Tab::open_with_gpu(&served.url("/")).await;
    worker::listen(&tab).await;
    tab.click(CARD).await;
    worker::wait_for_place(&tab, "cpu").await;
    let both = [(0, LightDevice::Gpu), (1, LightDevice::Cpu)];
    assert_eq!(started(&tab).await, both);
    let sha256 = light.sha256;
    let device = LightDevice::Cpu;
    assert_eq!(remembered(&tab).await, Some(Choice { sha256, device }));
    let why = worker::why(&tab).await;
    tab.close().await;
    why
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_without_memory_for_the_model_gives_way_to_the_cpu() {
    let page = site::with_worker_after(NO_GPU_MEMORY);
    let served = Served::with_site(page.path()).await;
    let why = what_is_said_of_the_gpu(&served).await;
    let is_told = why.starts_with("GPU: ") && !why.contains("does not answer");
    assert!(is_told, "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gpu_that_is_too_small_for_the_model_gives_way_to_the_cpu() {
    let page = site::with_worker_after(&format!(
        "Object.defineProperty(GPUSupportedLimits.prototype, 'maxStorageBufferBindingSize',
             {{ get: () => {TOO_FEW} }});"
    ));
    let served = Served::with_site(page.path()).await;
    let light = worker::light_of(&served).await;
    let config = LightConfig::from_value(light.config).expect("it is a configuration");
    let needed = config.largest_buffer();
    assert_eq!(
        what_is_said_of_the_gpu(&served).await,
        format!("GPU: the GPU binds up to {TOO_FEW} bytes at once, and the model needs {needed}")
    );
}
