"""Export small networks by both exporters of PyTorch, for tests/network/exported/.

Run with an environment of its own: PyTorch is no dependency of this project.
The README beside the files says with which versions they were made.
"""

import argparse
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSETS = {"torchscript": 17, "dynamo": 20}


def conv_norm(
    inputs: int, outputs: int, size: int = 3, *, stride: int = 1, groups: int = 1
) -> list:
    conv = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class SqueezeExcite(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, 2, 1)
        self.expand = nn.Conv2d(2, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean((2, 3), keepdim=True)
        return x * nn.functional.hardsigmoid(self.expand(torch.relu(self.reduce(mean))))


class InvertedResidual(nn.Module):
    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *conv_norm(channels, hidden, 1),
            nn.ReLU6(),
            *conv_norm(hidden, hidden, groups=hidden),
            nn.ReLU6(),
            *conv_norm(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class UNet(nn.Module):
    """Down by a pool, up by repetition and by a transposed convolution, joined each time."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.third = nn.Conv2d(6, 6, 3, padding=1)
        self.up = nn.ConvTranspose2d(10, 4, 3, 2, 1, output_padding=1)
        self.last = nn.Conv2d(7, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = torch.relu(self.first(x))
        half = nn.functional.max_pool2d(fine, 2)
        middle = torch.relu(self.second(half))
        low = torch.relu(self.third(nn.functional.max_pool2d(middle, 2)))
        up = nn.functional.interpolate(low, scale_factor=2, mode="nearest")
        joined = self.up(torch.cat([up, half], 1))
        return self.last(torch.cat([joined, x], 1))


class ChannelShuffle(nn.Module):
    """Halves split, one convolved, both joined and interleaved, as in ShuffleNet V2."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*conv_norm(4, 4, groups=4), *conv_norm(4, 4, 1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        kept, changed = x.chunk(2, dim=1)
        joined = torch.cat([kept, self.body(changed)], 1)
        batch, channels, height, width = joined.shape
        apart = joined.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        return apart.reshape(batch, channels, height, width)


class TwoHeads(nn.Module):
    """Two outputs, one behind a softmax; the mean over space drops its axes."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 6, 3, stride=2)
        self.classes = nn.Linear(6, 4)
        self.boxes = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = nn.functional.silu(self.body(x))
        logits = self.classes(features.mean((2, 3)))
        return torch.softmax(logits, 1), torch.sigmoid(self.boxes(features))


@dataclass(frozen=True, slots=True, kw_only=True)
class Net:
    make: Callable[[], nn.Module]
    shape: Sequence[int]


NETS = {
    "conv_bn_relu": Net(
        make=lambda: nn.Sequential(
            *conv_norm(3, 4, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, 5),
        ),
        shape=(3, 15, 15),
    ),
    "hardswish_squeeze_excite": Net(
        make=lambda: nn.Sequential(
            *conv_norm(4, 4, groups=4), nn.Hardswish(), SqueezeExcite(4), *conv_norm(4, 3, 1)
        ),
        shape=(4, 8, 8),
    ),
    "inverted_residual": Net(
        make=lambda: nn.Sequential(InvertedResidual(4, 8), nn.AvgPool2d(3, 2, 1), nn.PReLU(4)),
        shape=(4, 9, 9),
    ),
    "unet": Net(make=UNet, shape=(3, 8, 8)),
    "channel_shuffle": Net(make=ChannelShuffle, shape=(8, 6, 6)),
    "two_heads": Net(make=TwoHeads, shape=(3, 9, 9)),
    "pixel_shuffle": Net(
        make=lambda: nn.Sequential(
            nn.ZeroPad2d((1, 2, 0, 1)), nn.Conv2d(2, 8, 3), nn.LeakyReLU(0.2), nn.PixelShuffle(2)
        ),
        shape=(2, 6, 6),
    ),
    "gelu_rows": Net(
        make=lambda: nn.Sequential(
            nn.Conv1d(3, 4, 5, stride=2, padding=2),
            nn.BatchNorm1d(4),
            nn.GELU(),
            nn.MaxPool1d(2),
            nn.Conv1d(4, 4, 3, padding=1, groups=2),
            nn.ELU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(4, 3),
        ),
        shape=(3, 16),
    ),
    "norms_and_functions": Net(
        make=lambda: nn.Sequential(
            nn.BatchNorm2d(3),
            nn.Conv2d(3, 4, 1),
            nn.Mish(),
            nn.Upsample(scale_factor=2),
            nn.Hardtanh(-0.5, 2.0),
            nn.Conv2d(4, 4, 2, stride=2, bias=False),
            nn.SELU(),
            nn.Softmax(dim=1),
        ),
        shape=(3, 5, 5),
    ),
}


def export(net: Net, path: Path, exporter: str) -> None:
    """Write a network with weights and statistics of its own, and names for its ends."""
    torch.manual_seed(1)
    module = net.make()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.5)
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 2)
            nn.init.normal_(part.bias)
    image = torch.randn(1, *net.shape)
    options = {"input_names": ["image"], "opset_version": OPSETS[exporter]}
    if exporter == "dynamo":
        shapes = ({0: torch.export.Dim("batch")},)
        # A batch of one would be taken for a size that is always one.
        image = torch.randn(2, *net.shape)
        torch.onnx.export(
            module.eval(), (image,), path, dynamo=True, external_data=False,
            dynamic_shapes=shapes, verbose=False, **options,
        )  # fmt: skip
    else:
        torch.onnx.export(
            module.eval(), (image,), path, dynamo=False, dynamic_axes={"image": {0: "batch"}},
            training=torch.onnx.TrainingMode.PRESERVE, **options,
        )  # fmt: skip
    _forget_places(path)


def _forget_places(path: Path) -> None:
    """Leave out where on this machine the network was defined; it differs and is long."""
    model = onnx.load(path)
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.value_info, *model.graph.input, *model.graph.output):
        value.ClearField("metadata_props")
    model.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for tensor in model.graph.initializer:
        tensor.ClearField("metadata_props")
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    warnings.simplefilter("ignore")
    folder.mkdir(parents=True, exist_ok=True)
    for name, net in NETS.items():
        for exporter in OPSETS:
            export(net, folder / f"{name}_{exporter}.onnx", exporter)


if __name__ == "__main__":
    main()
