#!/usr/bin/env python3
"""Times PyTorch's `transformers` at the work that `fclm bench --shapes` times.

    fclm bench --shapes 3b --device cuda:0 --json > ours.json
    python3 tests/bench/transformers_peer.py --shapes 3b > theirs.json
    python3 tests/bench/transformers_peer.py --compare ours.json theirs.json

Without theirs.json, --compare measures first, at the sizes and in the type of ours.json. Sizes, prompt,
type and names of the rows are those of server/src/bench/shapes.rs; weights are random and made on the
device, so that nothing is downloaded. Models run eagerly, with attn_implementation="sdpa". Written for
transformers 5.17.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

PARTS = ["encode", "prefill", "decode"]
VISION_START, IMAGE = 151652, 151655
MERGE = 2
PATCH = 14
PATCH_VALUES = 3 * 2 * PATCH * PATCH

# The workload: see `Workload` in server/src/bench/shapes.rs.
PICTURES = [448, 1036]
SAM_SIDE = 1024
PICTURE_TOKENS = 16
TEXT = 64
REGIONS = [1, 8]
BATCHES = [1, 8, 32]
FIRST_TEXT = 2

TEXT_CONFIGS = {
    "3b": {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
    },
    "7b": {
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
    },
}
VISION_CONFIG = {
    "depth": 32,
    "hidden_size": 1280,
    "intermediate_size": 3420,
    "num_heads": 16,
    "in_channels": 3,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": 2,
    "window_size": 112,
    "fullatt_block_indexes": [7, 15, 23, 31],
}
SAM_CONFIG = {
    "hidden_size": 1280,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": SAM_SIDE,
    "patch_size": 16,
    "window_size": 14,
    "global_attn_indexes": [7, 15, 23, 31],
    "output_channels": 256,
    "initializer_range": 0.02,
}


def texts(regions):
    """Ids of text in front of the picture, in front of each region, and behind everything."""
    before = TEXT // 4
    each = TEXT // 2 // max(regions, 1)
    return before, each, TEXT - before - each * regions


def prompt_tokens(regions):
    return PICTURE_TOKENS**2 + TEXT + 2 * regions


def prompt_positions(regions):
    """Positions along time, height and width, and the position of the next token."""
    before, _, _ = texts(regions)
    positions = [(at, at, at) for at in range(before)]
    for row in range(PICTURE_TOKENS):
        for column in range(PICTURE_TOKENS):
            positions.append((before, before + row, before + column))
    following = before + PICTURE_TOKENS
    for at in range(prompt_tokens(regions) - len(positions)):
        positions.append((following + at,) * 3)
    return [list(axis) for axis in zip(*positions)], positions[-1][0] + 1


class Bench:
    def __init__(self, options):
        import torch

        self.torch = torch
        self.options = options
        self.device = torch.device(options.device)
        self.dtype = {"bf16": torch.bfloat16, "f32": torch.float32}[options.dtype]
        self.on_gpu = self.device.type == "cuda"
        self.rows = []
        self.failed = []
        if options.tf32:
            torch.set_float32_matmul_precision("high")

    def sync(self):
        if self.on_gpu:
            self.torch.cuda.synchronize(self.device)

    def make_models(self):
        from transformers import (
            Qwen2_5_VLConfig,
            Qwen2_5_VLForConditionalGeneration,
            SamVisionConfig,
            SamVisionModel,
        )

        text = dict(
            TEXT_CONFIGS[self.options.shapes],
            rms_norm_eps=1e-6,
            max_position_embeddings=128000,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 1000000.0,
                "mrope_section": [16, 24, 24],
            },
        )
        config = Qwen2_5_VLConfig(
            text_config=text,
            vision_config=dict(VISION_CONFIG, out_hidden_size=text["hidden_size"]),
            tie_word_embeddings=self.options.shapes == "3b",
        )
        how = {"attn_implementation": "sdpa", "dtype": self.dtype}
        started = time.perf_counter()
        with self.device:
            self.qwen = Qwen2_5_VLForConditionalGeneration._from_config(config, **how).eval()
            if "encode" in self.options.only:
                sam = SamVisionConfig(**SAM_CONFIG)
                self.sam = SamVisionModel._from_config(sam, **how).eval()
        self.sync()
        self.weights_s = time.perf_counter() - started
        self.weights_mib = self.taken_mib()

    def taken_mib(self):
        if not self.on_gpu:
            return None
        return self.torch.cuda.max_memory_reserved(self.device) / 2**20

    def random(self, *shape, dtype=None):
        return self.torch.randn(shape, device=self.device, dtype=dtype or self.dtype)

    def samples(self, warm_ups, work):
        """Milliseconds of each run, to the end of what the device was told to do."""
        self.sync()
        if self.on_gpu:
            self.torch.cuda.empty_cache()
            self.torch.cuda.reset_peak_memory_stats(self.device)
        times = []
        for run in range(warm_ups + self.options.runs):
            started = time.perf_counter()
            result = work()
            self.sync()
            taken = time.perf_counter() - started
            del result
            if run >= warm_ups:
                times.append(taken * 1e3)
        return times

    def row(self, name, times, **more):
        times = sorted(times)
        row = {
            "name": name,
            "runs": len(times),
            "min_ms": times[0],
            "median_ms": times[len(times) // 2],
            "max_ms": times[-1],
            **more,
            "memory_mib": self.taken_mib(),
        }
        self.rows.append(row)
        print(f"{name}: {row['median_ms']:.2f} ms", file=sys.stderr, flush=True)

    def attempt(self, name, work):
        """Runs one row; the others are worth having where it cannot be run."""
        try:
            work(name)
        except Exception as error:
            self.failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    def encode_picture(self, name, side):
        cells = side // PATCH
        pixels = self.random(cells * cells, PATCH_VALUES, dtype=self.torch.float32)
        grid = self.torch.tensor([[1, cells, cells]], device=self.device)
        visual = self.qwen.model.visual

        def work():
            return visual(pixels, grid_thw=grid)

        self.row(name, self.samples(self.options.warm_ups, work))

    def encode_sam(self, name):
        pixels = self.random(1, 3, SAM_SIDE, SAM_SIDE, dtype=self.torch.float32)

        def work():
            return self.sam(pixel_values=pixels.to(self.dtype))

        self.row(name, self.samples(self.options.warm_ups, work))

    def prefill(self, name, regions):
        width = self.qwen.config.text_config.hidden_size
        before, each, behind = texts(regions)
        picture = self.random(1, PICTURE_TOKENS**2, width)
        encoded = [self.random(1, 2, width) for _ in range(regions)]
        positions = self.positions(regions, 1)

        def embed(count):
            ids = self.torch.tensor([list(range(FIRST_TEXT, FIRST_TEXT + count))])
            return self.qwen.get_input_embeddings()(ids.to(self.device))

        def work():
            parts = [embed(before), picture]
            for region in encoded:
                parts += [embed(each), region]
            parts.append(embed(behind))
            output = self.qwen(
                inputs_embeds=self.torch.cat(parts, dim=1),
                position_ids=positions,
                use_cache=True,
                logits_to_keep=1,
            )
            return output.past_key_values, output.logits[:, -1].argmax(-1).tolist()

        self.row(name, self.samples(self.options.warm_ups, work))

    def decode(self, name, batch):
        regions = REGIONS[0]
        width = self.qwen.config.text_config.hidden_size
        steps = self.options.tokens
        _, following = prompt_positions(regions)
        cache = self.qwen(
            inputs_embeds=self.random(batch, prompt_tokens(regions), width),
            position_ids=self.positions(regions, batch),
            use_cache=True,
            logits_to_keep=1,
        ).past_key_values
        tokens = 0

        def work():
            nonlocal tokens
            tokens = 0
            newest = self.torch.full((batch, 1), FIRST_TEXT, device=self.device)
            for step in range(steps):
                shape = (3, batch, 1)
                position = self.torch.full(shape, following + step, device=self.device)
                output = self.qwen(
                    input_ids=newest,
                    position_ids=position,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                newest = output.logits[:, -1:].argmax(-1)
                # Read back in each step, because an answer may end with it.
                tokens += len(newest.tolist())
            cache.crop(-steps)

        times = [run / steps for run in self.samples(min(self.options.warm_ups, 1), work)]
        median_ms = sorted(times)[len(times) // 2]
        speed = tokens / (median_ms * steps / 1e3)
        self.row(name, times, tokens=tokens, tokens_per_s=speed)

    def positions(self, regions, batch):
        axes, _ = prompt_positions(regions)
        axes = self.torch.tensor(axes, device=self.device)
        return axes[:, None, :].expand(3, batch, axes.shape[1]).contiguous()

    def run(self):
        import transformers

        self.make_models()
        with self.torch.inference_mode():
            if "encode" in self.options.only:
                for side in PICTURES:
                    cells = side // PATCH
                    name = f"encode: vision tower, {side} x {side} (grid {cells} x {cells})"
                    self.attempt(name, lambda name, side=side: self.encode_picture(name, side))
                self.attempt(f"encode: SAM, {SAM_SIDE} x {SAM_SIDE}", self.encode_sam)
            if "prefill" in self.options.only:
                for regions in REGIONS:
                    name = (
                        f"prefill: {PICTURE_TOKENS**2} image + {TEXT} text"
                        f" + {2 * regions} region tokens"
                    )
                    self.attempt(name, lambda name, n=regions: self.prefill(name, n))
            if "decode" in self.options.only:
                for batch in BATCHES:
                    name = f"decode: batch {batch}"
                    self.attempt(name, lambda name, n=batch: self.decode(name, n))
        device = self.torch.cuda.get_device_name(self.device) if self.on_gpu else "CPU"
        return {
            "shapes": self.options.shapes,
            "dtype": self.options.dtype,
            "device": device,
            "torch": self.torch.__version__,
            "transformers": transformers.__version__,
            "tf32": self.options.tf32,
            "weights_s": self.weights_s,
            "weights_mib": self.weights_mib,
            "rows": self.rows,
            "failed": self.failed,
        }


def table(ours, theirs):
    """Both in Markdown; a ratio above 1 means that FCLM is ahead."""
    for key in ["shapes", "dtype"]:
        if ours[key] != theirs[key]:
            sys.exit(f"{key} is {ours[key]} in one and {theirs[key]} in the other")
    lines = [
        f"Qwen2.5-VL-{ours['shapes'].upper()} and SAM ViT-H in {ours['dtype']}, random weights;"
        f" FCLM on {ours['device']} (built with {', '.join(ours.get('features', [])) or 'no GPU'}),"
        f" transformers {theirs['transformers']} with torch {theirs['torch']}"
        f" on {theirs['device']}.",
        "",
        "| Work | FCLM | transformers | ratio | FCLM MiB | transformers MiB |",
        "|---|---|---|---|---|---|",
    ]
    known = {row["name"]: row for row in theirs["rows"]}
    for row in ours["rows"]:
        other = known.get(row["name"])
        memory = [whole(row.get("memory_mib")), whole(other and other.get("memory_mib"))]
        if "tokens_per_s" in row:
            key, unit = "tokens_per_s", "tokens/s"
        else:
            key, unit = "median_ms", "ms"
        mine = row[key]
        cells = [row["name"], f"{mine:.1f} {unit}"]
        if other is None:
            cells += ["-", "-"]
        else:
            ratio = mine / other[key] if unit == "tokens/s" else other[key] / mine
            cells += [f"{other[key]:.1f} {unit}", f"{ratio:.2f}"]
        lines.append("| " + " | ".join(cells + memory) + " |")
    return "\n".join(lines)


def whole(number):
    return "-" if number is None else f"{number:.0f}"


def read(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", choices=sorted(TEXT_CONFIGS), default="3b")
    parser.add_argument("--dtype", choices=["bf16", "f32"], default="bf16")
    parser.add_argument("--only", default=",".join(PARTS), help="encode,prefill,decode")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warm-ups", type=int, default=2)
    parser.add_argument("--tokens", type=int, default=64, help="decoded in each run")
    parser.add_argument("--tf32", action="store_true", help="let products of f32 use TF32")
    parser.add_argument(
        "--compare", nargs="+", metavar="JSON", help="of fclm bench, and of this script"
    )
    options = parser.parse_args()
    options.only = options.only.split(",")
    for part in options.only:
        if part not in PARTS:
            parser.error(f"there is no {part!r} in {', '.join(PARTS)}")
    if min(options.runs, options.tokens) < 1 or options.warm_ups < 0:
        parser.error("--runs and --tokens are whole numbers from 1 on, --warm-ups from 0 on")

    ours = None
    if options.compare:
        if len(options.compare) > 2:
            parser.error("--compare takes one or two files")
        ours = read(options.compare[0])
        options.shapes, options.dtype = ours["shapes"], ours["dtype"]
    if options.compare and len(options.compare) == 2:
        theirs = read(options.compare[1])
    else:
        theirs = Bench(options).run()
    print(table(ours, theirs) if ours else json.dumps(theirs, indent=2))
    if failed := theirs.get("failed"):
        sys.exit("failed: " + "; ".join(failed))


if __name__ == "__main__":
    main()
