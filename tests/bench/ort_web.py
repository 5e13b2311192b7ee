#!/usr/bin/env python3
"""Times masks in a real Chromium: the page's own worker, and onnxruntime-web on SAM of the same shapes.

    python3 tests/bench/export_onnx.py --model public/models/nano --out onnx
    npm pack onnxruntime-web && tar xzf onnxruntime-web-*.tgz
    fclm serve --addr 127.0.0.1:3055
    python3 tests/bench/ort_web.py --ort package/dist --onnx onnx --fclm http://127.0.0.1:3055 > web.json
    python3 tests/bench/ort_web.py --table web.json

Each of the four runs has a Chromium and a profile of its own, so that nothing is in any cache. A
server in this script hands out the page in ort_web/, the runtime's files and the ONNX files, and
passes everything else on to the server under --fclm, which makes our worker one of its own origin.
WebGPU is computed by Chromium's software adapter unless --adapter names another.

- encode: from a picture of the encoder's size to the embedding read back, normalising included.
- decode: from the message with one click to the answer, with three masks and their scores; ours has
  them scaled to the picture and run-length encoded as well.
- vector: from the message with a region to the answer with its vector, for which a crop is encoded
  (ours alone).
- message: from a message that asks for nothing to its answer; it is part of the two above.
- first_mask: from the start of the worker to the first mask: script, wasm and weights over
  loopback, the picture's encoding, one click. Ours encodes a test picture twice before it says that
  it is ready.
- bytes: all that was fetched for that, and `sent` what of it went over the wire, compressed.

Needs Python alone. With the package brotli the runtime's files are sent as such, else gzipped.
"""

import argparse
import gzip
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

try:
    import brotli
except ImportError:
    brotli = None

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "ort_web")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
SAMPLES = os.path.join(ROOT, "public", "samples")
RUNS = ["ort-wasm", "ort-webgpu", "fclm-cpu", "fclm-gpu"]
ENTRIES = {"ort-wasm": "ort.wasm.min.mjs", "ort-webgpu": "ort.webgpu.min.mjs"}
NAMES = {
    "ort-wasm": "onnxruntime-web, `wasm`",
    "ort-webgpu": "onnxruntime-web, `webgpu`",
    "fclm-cpu": "FCLM, CPU",
    "fclm-gpu": "FCLM, WebGPU",
}
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".png": "image/png",
}
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--enable-unsafe-webgpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
    "--window-size=800,600",
]
CHROMIUMS = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
PATIENCE_S = 1800


class Site:
    """What the pages may fetch, what they did fetch, and what they report."""

    def __init__(self, options):
        self.options = options
        self.packed = {}
        self.lock = threading.Lock()
        self.begin()

    def begin(self):
        with self.lock:
            self.fetched = {}
            self.picture = None
            self.result = None
            self.has_result = threading.Event()

    def note(self, path, size, sent):
        with self.lock:
            self.fetched.setdefault(path, {"path": path, "bytes": size, "sent": sent, "times": 0})
            self.fetched[path]["times"] += 1

    def own_file(self, path):
        """The file behind an address, if it is this script's to hand out."""
        for prefix, folder in [
            ("/bench/", HERE),
            ("/ort/", self.options.ort),
            ("/onnx/", self.options.onnx),
        ]:
            name = path[len(prefix) :]
            if path.startswith(prefix) and folder and re.fullmatch(r"[\w.-]+", name):
                return os.path.join(folder, name)
        return None

    def pack(self, file):
        """A file as it goes over the wire: compressed once, ahead of any clock."""
        if file not in self.packed:
            with open(file, "rb") as opened:
                data = opened.read()
            if not file.endswith((".mjs", ".wasm", ".onnx")):
                packed = data, "identity"
            elif brotli:
                packed = brotli.compress(data, quality=11, lgwin=24), "br"
            else:
                packed = gzip.compress(data, 9), "gzip"
            self.packed[file] = (len(data), *packed)
        return self.packed[file]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site = None

    def log_message(self, *_):
        pass

    def answer(self, body, headers, status=200):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/bench/picture.png":
            self.site.picture = body
        elif self.path == "/bench/progress":
            print(f"  {body.decode()}", file=sys.stderr, flush=True)
        elif self.path == "/bench/result":
            self.site.result = json.loads(body)
            self.site.has_result.set()
        self.answer(b"", {})

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        own = self.site.own_file(path)
        if path == "/bench/scene.png":
            with open(self.site.options.picture, "rb") as file:
                self.answer(file.read(), {"Content-Type": TYPES[".png"]})
        elif path == "/bench/picture.png":
            self.answer(self.site.picture or b"", {"Content-Type": TYPES[".png"]})
        elif own and os.path.isfile(own):
            size, body, encoding = self.site.pack(own)
            if not path.startswith("/bench/") and not path.endswith(".json"):
                self.site.note(path, size, len(body))
            kind = TYPES.get(os.path.splitext(own)[1], "application/octet-stream")
            self.answer(body, {"Content-Type": kind, "Content-Encoding": encoding})
        elif own or not self.site.options.fclm:
            self.answer(b"not found", {"Content-Type": "text/plain"}, 404)
        else:
            self.pass_on()

    def pass_on(self):
        status, headers, body = fetch(
            self.site.options.fclm + self.path,
            {"Accept-Encoding": self.headers.get("Accept-Encoding", "identity")},
        )
        if not self.path.startswith("/api/") and status == 200:
            self.site.note(self.path, None, len(body))
        kept = ["Content-Type", "Content-Encoding", "Content-Security-Policy", "Cache-Control"]
        self.answer(body, {name: headers[name] for name in kept if headers[name]}, status)


def fetch(url, headers):
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def worker_script(fclm):
    """The worker's script, which the page has in its boot data."""
    _, _, page = fetch(fclm + "/", {"Accept": "text/html"})
    found = re.search(r'"extractor":"([^"]+)"', page.decode())
    if not found:
        sys.exit(f"{fclm} serves no page with a worker")
    return found[1]


def first_object(picture):
    """The middle of the first object of a sample scene, as a part of the picture's sides."""
    with open(os.path.join(SAMPLES, "scenes.jsonl"), encoding="utf-8") as file:
        for scene in map(json.loads, file):
            if os.path.basename(scene["image"]) == os.path.basename(picture):
                x0, y0, x1, y1 = scene["objects"][0]["box"]
                return (x0 + x1) / 2 / scene["width"], (y0 + y1) / 2 / scene["height"]
    return 0.5, 0.5


def chromium(options):
    named = options.chromium or os.environ.get("FCLM_CHROMIUM")
    found = named or next(filter(None, map(shutil.which, CHROMIUMS)), None)
    return found or sys.exit("there is no Chromium; name one with --chromium")


def measure(site, port, run, options):
    site.begin()
    x, y = first_object(options.picture)
    query = {
        "run": run,
        "encodes": options.encodes,
        "decodes": options.decodes,
        "warm_ups": options.warm_ups,
        "size": options.size,
        "x": round(x * options.size, 1),
        "y": round(y * options.size, 1),
    }
    if run in ENTRIES:
        query["entry"] = options.webgpu_entry if run == "ort-webgpu" else ENTRIES[run]
    else:
        query["script"] = worker_script(options.fclm)
    url = f"http://127.0.0.1:{port}/bench/index.html?{urllib.parse.urlencode(query)}"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [chromium(options), *FLAGS, f"--user-data-dir={profile}"]
        if options.adapter:
            command.append(f"--use-webgpu-adapter={options.adapter}")
        with open(os.path.join(profile, "log"), "wb") as log:
            browser = subprocess.Popen([*command, url], stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + PATIENCE_S
            while not site.has_result.wait(0.5):
                ended = browser.poll()
                if ended is None and time.monotonic() < deadline:
                    continue
                with open(os.path.join(profile, "log"), errors="replace") as log:
                    print(log.read()[-2000:], file=sys.stderr)
                why = "took too long" if ended is None else f"ended with status {ended}"
                return {"run": run, "failed": f"the browser {why}"}
        finally:
            browser.terminate()
            browser.wait()
    result = {"run": run, **site.result}
    if "failed" not in result:
        result["bytes"], result["sent"], result["files"] = weigh(site, options)
    return result


def weigh(site, options):
    files = list(site.fetched.values())
    for file in files:
        if file["bytes"] is None:
            _, _, body = fetch(options.fclm + file["path"], {"Accept-Encoding": "identity"})
            file["bytes"] = len(body)
    return sum(file["bytes"] for file in files), sum(file["sent"] for file in files), files


def compare(results):
    """Drops what the models computed; where both had the same weights, how far they are apart."""
    probes = {result["run"]: result.pop("probe", None) for result in results}
    wanted = probes.get("ort-wasm")
    apart = {}
    for run, probe in probes.items():
        if wanted and probe and run != "ort-wasm":
            apart[run] = {
                part: max(abs(a - b) for a, b in zip(probe[part], wanted[part]))
                / max(map(abs, wanted[part]))
                for part in ["masks", "scores"]
            }
    return apart


def table(found):
    """The results in Markdown."""
    lines = [
        f"{found['chromium']}, onnxruntime-web {found['onnxruntime_web']}; medians of"
        f" {found['encodes']} encodings and {found['decodes']} others, in milliseconds.",
        "",
        "| In the browser | encode | decode | region vector | first mask | bytes | sent |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in found["results"]:
        name = NAMES[result["run"]]
        if "failed" in result:
            lines.append(f"| {name} | failed | | | | | |")
            continue
        times = [result.get(part, {}).get("median_ms") for part in ["encode", "decode", "vector"]]
        cells = [name] + ["-" if ms is None else f"{ms:.1f}" for ms in times]
        cells += [f"{result['first_mask_ms']:,.0f}"]
        cells += [f"{result[part]:,}" for part in ["bytes", "sent"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ort", metavar="DIR", help="the folder dist of onnxruntime-web")
    parser.add_argument("--onnx", metavar="DIR", help="what export_onnx.py wrote")
    parser.add_argument("--fclm", metavar="URL", help="a running fclm serve")
    parser.add_argument("--only", help=",".join(RUNS))
    parser.add_argument("--encodes", type=int, default=10, help="and region vectors")
    parser.add_argument("--decodes", type=int, default=20)
    parser.add_argument("--warm-ups", type=int, default=3, help="of each, before them")
    parser.add_argument("--size", type=int, default=256, help="side of the encoder's input")
    parser.add_argument(
        "--picture", default=os.path.join(SAMPLES, "images", "000000.png"), help="a PNG file"
    )
    parser.add_argument("--webgpu-entry", default=ENTRIES["ort-webgpu"], help="module for WebGPU")
    parser.add_argument("--adapter", default="swiftshader", help="'' for the browser's choice")
    parser.add_argument("--chromium", metavar="PATH")
    parser.add_argument("--table", metavar="JSON", help="print such results as a table")
    options = parser.parse_args()
    if options.table:
        print(table(read(options.table)))
        return
    runs = options.only.split(",") if options.only else RUNS
    for run in runs:
        needs = ["ort", "onnx"] if run.startswith("ort-") else ["fclm"]
        missing = [f"--{need}" for need in needs if not getattr(options, need)]
        if run not in RUNS or missing:
            parser.error(f"{run} needs {' and '.join(missing)}" if missing else f"no run is {run!r}")
    options.fclm = options.fclm and options.fclm.rstrip("/")

    site = Site(options)
    if any(run in ENTRIES for run in runs):
        for name in ["encoder.onnx", "decoder.onnx"]:
            site.pack(os.path.join(options.onnx, name))
        entries = {options.webgpu_entry if run == "ort-webgpu" else ENTRIES.get(run) for run in runs}
        for entry in filter(None, entries):
            path = os.path.join(options.ort, entry)
            with open(path, encoding="utf-8") as file:
                modules = set(re.findall(r"ort-wasm-simd-threaded[\w.]*\.mjs", file.read()))
            site.pack(path)
            for module in modules:
                site.pack(os.path.join(options.ort, module))
                site.pack(os.path.join(options.ort, module.replace(".mjs", ".wasm")))
    Handler.site = site
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    results = []
    for run in runs:
        print(run, file=sys.stderr, flush=True)
        results.append(measure(site, server.server_port, run, options))
        if "failed" in results[-1]:
            print(f"  {results[-1]['failed']}", file=sys.stderr, flush=True)
    server.shutdown()

    version = subprocess.run([chromium(options), "--version"], capture_output=True, text=True)
    package = options.ort and os.path.join(options.ort, os.pardir, "package.json")
    weights = read(os.path.join(options.onnx, "expected.json"))["weights"] if options.onnx else None
    apart = compare(results)
    found = {
        "chromium": " ".join(version.stdout.split()[:2]),
        "adapter": options.adapter,
        "onnxruntime_web": read(package)["version"] if package else None,
        "onnx_weights": weights,
        "compression": "brotli" if brotli else "gzip",
        "encodes": options.encodes,
        "decodes": options.decodes,
        "apart_from_ort_wasm": apart if weights != "random" else None,
        "results": results,
    }
    json.dump(found, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
