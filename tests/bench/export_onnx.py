#!/usr/bin/env python3
"""Writes SAM of a model's sizes as two ONNX files with random weights, for onnxruntime-web.

    python3 tests/bench/export_onnx.py --model public/models/nano --out onnx

encoder.onnx: pixels [1, 3, size, size], normalised -> embedding [1, channels, grid, grid].
decoder.onnx: embedding, points [1, n, 2] as x, y in pixels of the encoder's input, labels [1, n]
(1 on, 0 off the object) -> masks [1, 3, 4 * grid, 4 * grid] as logits, scores [1, 3].
expected.json: what PyTorch computes of known inputs, so that whoever runs the files can tell that
they compute the same.

Modules and parameters are named as in SAM's own checkpoints (segment_anything/modeling/*.py), so
that --weights can take those of a model's light.safetensors: that shows that the shapes are the
same, and lets results be compared. Needs PyTorch alone (1.13 or later, where the TorchScript
exporter is there), on the CPU.
"""

import argparse
import inspect
import json
import math
import os
import struct

import torch
from torch import nn
from torch.nn import functional as F

OPSET = 17
CROSS_ATTENTION_DOWNSAMPLING = 2
NORM_EPSILON = 1e-6


class ChannelNorm(nn.LayerNorm):
    """SAM's LayerNorm2d: over the channels of a map. Applied channel-last, where runtimes have one
    kernel for it."""

    def __init__(self, channels):
        super().__init__(channels, eps=NORM_EPSILON)

    def forward(self, x):
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Mlp(nn.Module):
    def __init__(self, width, hidden, activation):
        super().__init__()
        self.lin1 = nn.Linear(width, hidden)
        self.lin2 = nn.Linear(hidden, width)
        self.activation = activation

    def forward(self, x):
        return self.lin2(self.activation(self.lin1(x)))


class EncoderAttention(nn.Module):
    """Attention over a square of cells, with decomposed relative positions."""

    def __init__(self, width, heads, side):
        super().__init__()
        self.heads, self.side = heads, side
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        table = (2 * side - 1, width // heads)
        self.rel_pos_h = nn.Parameter(torch.randn(table) * 0.02)
        self.rel_pos_w = nn.Parameter(torch.randn(table) * 0.02)
        steps = torch.arange(side)
        self.register_buffer("offsets", steps[:, None] - steps + side - 1, persistent=False)

    def forward(self, x):
        """x: [squares, side, side, width]"""
        squares, side, _, width = x.shape
        head = width // self.heads
        qkv = self.qkv(x).reshape(squares, side * side, 3, self.heads, head)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * head**-0.5) @ k.transpose(-2, -1)
        q_map = q.reshape(squares, self.heads, side, side, head)
        by_row = q_map @ self.rel_pos_h[self.offsets].transpose(1, 2)
        columns = self.rel_pos_w[self.offsets].transpose(1, 2)
        by_column = (q_map.transpose(2, 3) @ columns).transpose(2, 3)
        scores = scores.reshape(squares, self.heads, side, side, side, side)
        scores = scores + by_row[..., :, None] + by_column[..., None, :]
        weights = scores.reshape(squares, self.heads, side * side, side * side).softmax(-1)
        out = (weights @ v).transpose(1, 2).reshape(squares, side, side, width)
        return self.proj(out)


class Block(nn.Module):
    """A transformer block; without a window it attends to the whole map."""

    def __init__(self, config, window, grid):
        super().__init__()
        width = config["embed_dim"]
        self.window = window
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.attn = EncoderAttention(width, config["num_heads"], window or grid)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPSILON)
        self.mlp = Mlp(width, width * config["mlp_ratio"], F.gelu)

    def forward(self, x):
        attended = self.norm1(x)
        if self.window:
            batch, height, width, channels = x.shape
            side = self.window
            attended = attended.reshape(
                batch, height // side, side, width // side, side, channels
            ).transpose(2, 3)
            squares = attended.reshape(-1, side, side, channels)
            attended = self.attn(squares).reshape(
                batch, height // side, width // side, side, side, channels
            )
            attended = attended.transpose(2, 3).reshape(batch, height, width, channels)
        else:
            attended = self.attn(attended)
        x = x + attended
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    def __init__(self, width, patch):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, pixels):
        return self.proj(pixels).permute(0, 2, 3, 1)


class ImageEncoder(nn.Module):
    def __init__(self, sam):
        super().__init__()
        config = sam["encoder"]
        grid = sam["image_size"] // sam["patch_size"]
        width, channels = config["embed_dim"], config["out_chans"]
        if config["kind"] != "vit" or not config.get("use_rel_pos", True):
            raise SystemExit("only the plain vision transformer with relative positions is written")
        if grid % config["window_size"]:
            raise SystemExit("windows that need padding are not written")
        self.patch_embed = PatchEmbed(width, sam["patch_size"])
        self.pos_embed = nn.Parameter(torch.randn(1, grid, grid, width) * 0.02)
        self.blocks = nn.ModuleList(
            Block(config, None if at in config["global_attn_indexes"] else config["window_size"], grid)
            for at in range(config["depth"])
        )
        self.neck = nn.Sequential(
            nn.Conv2d(width, channels, 1, bias=False),
            ChannelNorm(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            ChannelNorm(channels),
        )

    def forward(self, pixels):
        x = self.patch_embed(pixels) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))


class PositionEncoding(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer(
            "positional_encoding_gaussian_matrix", torch.randn(2, channels // 2)
        )

    def forward(self, places):
        """places: [.., 2] as x, y in 0 to 1"""
        angles = (2 * places - 1) @ self.positional_encoding_gaussian_matrix * (2 * math.pi)
        return torch.cat([angles.sin(), angles.cos()], -1)


class PromptEncoder(nn.Module):
    """Points alone. The mask prompt's weights are there, since a checkpoint has them."""

    def __init__(self, sam):
        super().__init__()
        channels, wide = sam["prompt"]["embed_dim"], sam["prompt"]["mask_in_chans"]
        self.size = sam["image_size"]
        self.grid = sam["image_size"] // sam["patch_size"]
        self.pe_layer = PositionEncoding(channels)
        self.point_embeddings = nn.ModuleList(nn.Embedding(1, channels) for _ in range(4))
        self.not_a_point_embed = nn.Embedding(1, channels)
        self.mask_downscaling = nn.Sequential(
            nn.Conv2d(1, wide // 4, 2, stride=2),
            ChannelNorm(wide // 4),
            nn.GELU(),
            nn.Conv2d(wide // 4, wide, 2, stride=2),
            ChannelNorm(wide),
            nn.GELU(),
            nn.Conv2d(wide, channels, 1),
        )
        self.no_mask_embed = nn.Embedding(1, channels)

    def cells(self):
        """The position of each cell, [1, cells, channels]."""
        centers = (torch.arange(self.grid) + 0.5) / self.grid
        rows, columns = centers[:, None], centers[None, :]
        shape = (self.grid, self.grid)
        places = torch.stack([columns.expand(shape), rows.expand(shape)], -1)
        return self.pe_layer(places).reshape(1, self.grid**2, -1)

    def forward(self, points, labels):
        """The points, and one that is none, as SAM does where there is no box."""
        labels = labels[..., None]
        on, off = self.point_embeddings[1].weight, self.point_embeddings[0].weight
        tokens = self.pe_layer((points + 0.5) / self.size) + on * labels + off * (1 - labels)
        none = self.not_a_point_embed.weight.expand(points.shape[0], 1, -1)
        return torch.cat([tokens, none], 1)


class DecoderAttention(nn.Module):
    def __init__(self, width, heads, downsampling=1):
        super().__init__()
        inner = width // downsampling
        self.heads = heads
        self.q_proj = nn.Linear(width, inner)
        self.k_proj = nn.Linear(width, inner)
        self.v_proj = nn.Linear(width, inner)
        self.out_proj = nn.Linear(inner, width)

    def split(self, x):
        batch, count, inner = x.shape
        return x.reshape(batch, count, self.heads, inner // self.heads).transpose(1, 2)

    def forward(self, q, k, v):
        q, k, v = self.split(self.q_proj(q)), self.split(self.k_proj(k)), self.split(self.v_proj(v))
        weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        out = (weights @ v).transpose(1, 2)
        return self.out_proj(out.reshape(out.shape[0], out.shape[1], -1))


class TwoWayBlock(nn.Module):
    def __init__(self, config, is_first):
        super().__init__()
        width, heads = config["embedding_dim"], config["num_heads"]
        self.self_attn = DecoderAttention(width, heads)
        self.norm1 = nn.LayerNorm(width)
        self.cross_attn_token_to_image = DecoderAttention(
            width, heads, CROSS_ATTENTION_DOWNSAMPLING
        )
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, config["mlp_dim"], F.relu)
        self.norm3 = nn.LayerNorm(width)
        self.norm4 = nn.LayerNorm(width)
        self.cross_attn_image_to_token = DecoderAttention(
            width, heads, CROSS_ATTENTION_DOWNSAMPLING
        )
        self.is_first = is_first

    def forward(self, queries, keys, token_pe, image_pe):
        if self.is_first:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed = queries + token_pe
            queries = queries + self.self_attn(placed, placed, queries)
        queries = self.norm1(queries)
        placed_keys = keys + image_pe
        attended = self.cross_attn_token_to_image(queries + token_pe, placed_keys, keys)
        queries = self.norm2(queries + attended)
        queries = self.norm3(queries + self.mlp(queries))
        attended = self.cross_attn_image_to_token(placed_keys, queries + token_pe, queries)
        return queries, self.norm4(keys + attended)


class TwoWayTransformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["embedding_dim"]
        self.layers = nn.ModuleList(
            TwoWayBlock(config, at == 0) for at in range(config["transformer_depth"])
        )
        self.final_attn_token_to_image = DecoderAttention(
            width, config["num_heads"], CROSS_ATTENTION_DOWNSAMPLING
        )
        self.norm_final_attn = nn.LayerNorm(width)

    def forward(self, image, image_pe, tokens):
        queries, keys = tokens, image
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, image_pe)
        attended = self.final_attn_token_to_image(queries + tokens, keys + image_pe, keys)
        return self.norm_final_attn(queries + attended), keys


class Head(nn.Module):
    def __init__(self, width, hidden, out, depth):
        super().__init__()
        widths = [width] + [hidden] * (depth - 1) + [out]
        self.layers = nn.ModuleList(map(nn.Linear, widths[:-1], widths[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)


class MaskDecoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        width = config["embedding_dim"]
        masks = config["num_multimask_outputs"] + 1
        self.transformer = TwoWayTransformer(config)
        self.iou_token = nn.Embedding(1, width)
        self.mask_tokens = nn.Embedding(masks, width)
        self.output_upscaling = nn.Sequential(
            nn.ConvTranspose2d(width, width // 4, 2, stride=2),
            ChannelNorm(width // 4),
            nn.GELU(),
            nn.ConvTranspose2d(width // 4, width // 8, 2, stride=2),
            nn.GELU(),
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            Head(width, width, width // 8, 3) for _ in range(masks)
        )
        self.iou_prediction_head = Head(
            width, config["iou_head_hidden_dim"], masks, config["iou_head_depth"]
        )

    def forward(self, embedding, dense, image_pe, sparse):
        batch, channels, height, width = embedding.shape
        own = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([own.expand(batch, -1, -1), sparse], 1)
        image = (embedding + dense).flatten(2).transpose(1, 2)
        tokens, image = self.transformer(image, image_pe, tokens)
        image = image.transpose(1, 2).reshape(batch, channels, height, width)
        upscaled = self.output_upscaling(image)
        weights = torch.stack(
            [head(tokens[:, 1 + at]) for at, head in enumerate(self.output_hypernetworks_mlps)], 1
        )
        masks = (weights @ upscaled.flatten(2)).reshape(batch, -1, 4 * height, 4 * width)
        return masks[:, 1:], self.iou_prediction_head(tokens[:, 0])[:, 1:]


class Sam(nn.Module):
    def __init__(self, sam):
        super().__init__()
        self.image_encoder = ImageEncoder(sam)
        self.prompt_encoder = PromptEncoder(sam)
        self.mask_decoder = MaskDecoder(sam["decoder"])


class Decoder(nn.Module):
    """Prompt encoder and mask decoder in one."""

    def __init__(self, sam):
        super().__init__()
        self.prompt_encoder, self.mask_decoder = sam.prompt_encoder, sam.mask_decoder

    def forward(self, embedding, points, labels):
        dense = self.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
        sparse = self.prompt_encoder(points, labels)
        return self.mask_decoder(embedding, dense, self.prompt_encoder.cells(), sparse)


def read_weights(path):
    """The segmenter's tensors of a safetensors file in f16 or f32."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header, data = json.loads(file.read(length)), bytearray(file.read())
    kinds = {"F16": torch.float16, "F32": torch.float32}
    tensors = {}
    for name, about in header.items():
        if name.startswith("sam."):
            start, end = about["data_offsets"]
            values = torch.frombuffer(data[start:end], dtype=kinds[about["dtype"]])
            tensors[name[len("sam.") :]] = values.float().reshape(about["shape"])
    return tensors


def known_pixels(size):
    """Values that a script in any language makes alike."""
    return ((torch.arange(3 * size * size) % 251) / 125 - 1).reshape(1, 3, size, size)


def export(model, inputs, path, names, dynamic_axes=None):
    # Later versions have another exporter, which needs further packages, unless told not to use it.
    has_choice = "dynamo" in inspect.signature(torch.onnx.export).parameters
    torch.onnx.export(
        model,
        inputs,
        path,
        input_names=names[0],
        output_names=names[1],
        opset_version=OPSET,
        dynamic_axes=dynamic_axes,
        **({"dynamo": False} if has_choice else {}),
    )
    print(f"{path}: {os.path.getsize(path):,} bytes")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="public/models/nano", help="a folder with config.json")
    parser.add_argument("--out", required=True, help="the folder to write")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weights", help="a light.safetensors, in place of random weights")
    options = parser.parse_args()

    with open(os.path.join(options.model, "config.json"), encoding="utf-8") as file:
        config = json.load(file)["sam"]
    torch.manual_seed(options.seed)
    sam = Sam(config).eval()
    if options.weights:
        sam.load_state_dict(read_weights(options.weights))
    size = config["image_size"]
    pixels = known_pixels(size)
    points = torch.tensor([[[size * 0.375, size * 0.25]]])
    labels = torch.ones(1, 1)
    os.makedirs(options.out, exist_ok=True)
    with torch.no_grad():
        embedding = sam.image_encoder(pixels)
        masks, scores = Decoder(sam)(embedding, points, labels)
        export(
            sam.image_encoder,
            (pixels,),
            os.path.join(options.out, "encoder.onnx"),
            (["pixels"], ["embedding"]),
        )
        export(
            Decoder(sam),
            (embedding, points, labels),
            os.path.join(options.out, "decoder.onnx"),
            (["embedding", "points", "labels"], ["masks", "scores"]),
            {"points": {1: "points"}, "labels": {1: "points"}},
        )
    expected = {
        "size": size,
        "weights": os.path.basename(options.weights) if options.weights else "random",
        "torch": torch.__version__,
        "points": points.flatten().tolist(),
        "embedding": embedding.flatten().tolist(),
        "masks": masks.flatten().tolist(),
        "scores": scores.flatten().tolist(),
    }
    with open(os.path.join(options.out, "expected.json"), "w", encoding="utf-8") as file:
        json.dump(expected, file)
    shapes = [tuple(tensor.shape) for tensor in [embedding, masks, scores]]
    print(f"embedding {shapes[0]}, masks {shapes[1]}, scores {shapes[2]}")


if __name__ == "__main__":
    main()
