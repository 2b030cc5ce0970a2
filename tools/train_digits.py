"""Train the built-in digits network and write what `accel_sim/builtin` ships.

Needs torch and scikit-learn, which nothing else in the project does. In an environment
of its own, from the project's root:

    pip install torch==2.13.0 scikit-learn==1.9.1 onnx onnxruntime
    python tools/train_digits.py

Takes about a minute on one core. Everything random comes from one seed and one thread,
so a second run on the same machine with the same versions writes the same bytes; other
processors add floating-point numbers in another order and give slightly other weights.
The hyperparameters were chosen on a part of the training images; the test images are
looked at once, for the figure printed at the end.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional

SEED = 2
PIXEL_SCALE = 1 / 16  # pixels are 0..16
N_TEST = 500
N_CALIBRATION = 200
N_EPOCHS = 120
BATCH = 32
PEAK_LEARNING_RATE = 4e-3
BUILTIN = Path(__file__).parents[1] / "accel_sim" / "builtin"

Images = NDArray[np.uint8]
Labels = NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Images uint8[N, 8, 8, 1] with their labels int32[N]."""

    images: Images
    labels: Labels

    def save(self, path: Path) -> None:
        np.savez_compressed(path, images=self.images, labels=self.labels)

    @property
    def inputs(self) -> Tensor:
        """float32[N, 1, 8, 8], as the network sees them."""
        return torch.from_numpy(self.images).permute(0, 3, 1, 2) * PIXEL_SCALE

    @property
    def targets(self) -> Tensor:
        return torch.from_numpy(self.labels).long()


def split_off(split: Split, count: int) -> tuple[Split, Split]:
    """Draw `count` images at random, all classes in proportion: the rest, the drawn."""
    rest_images, images, rest_labels, labels = train_test_split(
        split.images, split.labels, test_size=count, stratify=split.labels, random_state=SEED
    )
    return (
        Split(images=rest_images, labels=rest_labels),
        Split(images=images, labels=labels),
    )


class DigitsNetwork(nn.Module):
    """One of each thing a CNN is made of, small: residual, fire and depthwise blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.residual_conv1 = nn.Conv2d(32, 32, 3, padding=1)
        self.residual_conv2 = nn.Conv2d(32, 32, 3, padding=1)
        self.squeeze = nn.Conv2d(32, 16, 1)
        self.expand1x1 = nn.Conv2d(16, 24, 1)
        self.expand3x3 = nn.Conv2d(16, 24, 3, padding=1)
        self.depthwise = nn.Conv2d(48, 48, 3, padding=1, groups=48)
        self.pointwise = nn.Conv2d(48, 64, 1)
        self.classifier = nn.Linear(64, 10)

    def forward(self, image: Tensor) -> Tensor:
        stem = self.conv2(self.conv1(image).relu()).relu()
        residual = self.residual_conv2(self.residual_conv1(stem).relu())
        pooled = functional.max_pool2d((stem + residual).relu(), 2)
        squeezed = self.squeeze(pooled).relu()
        expanded = torch.cat(
            [self.expand1x1(squeezed).relu(), self.expand3x3(squeezed).relu()], dim=1
        )
        features = self.pointwise(self.depthwise(expanded).relu()).relu()
        return self.classifier(features.mean(dim=(2, 3)))


def distort(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn, scale and shift each image a little: other hands, the same digits."""

    def uniform(bound: float) -> Tensor:
        return (torch.rand(len(images), generator=generator) * 2 - 1) * bound

    angle, scale = uniform(math.radians(12)), 1 + uniform(0.12)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = [
        torch.stack([cosine, -sine, uniform(0.15)], dim=1),
        torch.stack([sine, cosine, uniform(0.15)], dim=1),
    ]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def train(split: Split) -> DigitsNetwork:
    """Train from `SEED` by Adam with one rise and fall of the learning rate."""
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    network = DigitsNetwork()
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        PEAK_LEARNING_RATE,
        epochs=N_EPOCHS,
        steps_per_epoch=math.ceil(len(split.labels) / BATCH),
    )
    inputs, targets = split.inputs, split.targets
    for _ in range(N_EPOCHS):
        for batch in torch.randperm(len(targets), generator=generator).split(BATCH):
            logits = network(distort(inputs[batch], generator))
            loss = functional.cross_entropy(logits, targets[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def build_onnx(network: DigitsNetwork) -> onnx.ModelProto:
    """Write the network down node by node, so that every name is one to read in a report.

    A node's feature map is called ``<node>.output``, its constants ``<node>.weight`` and
    ``<node>.bias``.
    """
    nodes: list[onnx.NodeProto] = []

    def add(op: str, name: str, inputs: list[str], **attributes: int | list[int]) -> str:
        ofm = f"{name}.output"
        nodes.append(helper.make_node(op, inputs, [ofm], name=name, **attributes))
        return ofm

    def conv(name: str, ifm: str) -> str:
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.Conv2d)
        return add(
            "Conv",
            name,
            [ifm, f"{name}.weight", f"{name}.bias"],
            kernel_shape=list(layer.kernel_size),
            pads=[int(pad) for pad in layer.padding] * 2,
            group=layer.groups,
        )

    def conv_relu(name: str, ifm: str) -> str:
        return add("Relu", f"{name}_relu", [conv(name, ifm)])

    stem = conv_relu("conv2", conv_relu("conv1", "image"))
    residual = conv("residual_conv2", conv_relu("residual_conv1", stem))
    joined = add("Relu", "residual_add_relu", [add("Add", "residual_add", [stem, residual])])
    pooled = add("MaxPool", "max_pool", [joined], kernel_shape=[2, 2], strides=[2, 2])
    squeezed = conv_relu("squeeze", pooled)
    branches = [conv_relu("expand1x1", squeezed), conv_relu("expand3x3", squeezed)]
    expanded = add("Concat", "concat", branches, axis=1)
    features = conv_relu("pointwise", conv_relu("depthwise", expanded))
    mean = add("GlobalAveragePool", "global_pool", [features])
    flat = add("Flatten", "flatten", [mean], axis=1)
    logits = [flat, "classifier.weight", "classifier.bias"]
    nodes.append(helper.make_node("Gemm", logits, ["logits"], name="classifier", transB=1))

    graph = helper.make_graph(
        nodes,
        "digits",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [
            numpy_helper.from_array(tensor.detach().numpy(), name)
            for name, tensor in network.named_parameters()
        ],
    )
    model = helper.make_model(
        graph,
        ir_version=8,
        opset_imports=[helper.make_opsetid("", 17)],
        producer_name="accel-sim tools/train_digits.py",
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    everything = Split(
        images=digits.images[..., np.newaxis].astype(np.uint8),
        labels=digits.target.astype(np.int32),
    )
    training, test = split_off(everything, N_TEST)
    _, calibration = split_off(training, N_CALIBRATION)

    network = train(training)
    model = build_onnx(network)
    session = ort.InferenceSession(model.SerializeToString())
    (logits,) = session.run(None, {"image": test.inputs.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(logits, network(test.inputs).numpy(), rtol=1e-4, atol=1e-4)

    onnx.save(model, BUILTIN / "digits.onnx")
    calibration.save(BUILTIN / "digits_calibration.npz")
    test.save(BUILTIN / "digits_test.npz")
    correct = int((logits.argmax(axis=1) == test.labels).sum())
    print(f"{correct} of {N_TEST} held-out images right, {model.ByteSize():,} bytes")


if __name__ == "__main__":
    main()
