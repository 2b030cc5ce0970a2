"""Do both whole-network oracles follow the contract, and agree bit for bit?"""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.oracles import fake_quant, integer_network, layers_bigint
from tests.oracles.fixed_point import ROUNDINGS, Format
from tests.oracles.networks import random_network
from tests.oracles_self_tests.both_networks import BOTH, Run, assert_equal
from tests.oracles_self_tests.float_reference import random_formats, run_float


def s8(frac_bits: int) -> dict[str, Any]:
    """An entry of a formats file: eight signed bits."""
    return {"bits": 8, "frac_bits": frac_bits, "signed": True}


def save(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "network.onnx"
    onnx.save(model, path)
    return path


def build(
    folder: Path,
    nodes: list[onnx.NodeProto],
    constants: dict[str, NDArray[Any]],
    *,
    input_shape: tuple[int, ...],
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
) -> Path:
    """A file with input ``x`` and the given constants as initializers."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *input_shape])
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [x],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(a), name) for name, a in constants.items()],
    )
    opset_id = helper.make_opsetid("", opset)
    return save(helper.make_model(graph, opset_imports=[opset_id], ir_version=8), folder)


def images_for(model: onnx.ModelProto, rng: np.random.Generator) -> NDArray[np.float64]:
    dimensions = model.graph.input[0].type.tensor_type.shape.dim[1:]
    return rng.normal(size=(3, *(dimension.dim_value for dimension in dimensions)))


@pytest.mark.parametrize("seed", range(120))
def test_both_oracles_agree_on_random_networks(seed: int, tmp_path: Path) -> None:
    model = random_network(seed)
    path = save(model, tmp_path)
    rng = np.random.default_rng(seed)
    images = images_for(model, rng)
    formats = random_formats(path, images, rng)
    roundings = ROUNDINGS[seed % 5], ROUNDINGS[seed // 5 % 5]
    expected = fake_quant.run(path, formats, images, *roundings, accumulator_bits=48)
    assert_equal(integer_network.run(path, formats, images, *roundings, 48), expected)


def with_integer_constants(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """The same graph with sparse small integers for weights: every map holds integers."""
    for tensor in model.graph.initializer:
        real = numpy_helper.to_array(tensor)
        kind = tensor.name.rstrip("0123456789")
        if kind == "weights":
            fan_in = real.size / len(real)
            is_kept = rng.uniform(size=real.shape) < 2 / fan_in
            integers = 1.0 * rng.integers(-2, 3, real.shape) * is_kept
        elif kind in ("gamma", "variance"):
            integers = np.ones(real.shape)
        elif kind == "shape":
            continue
        else:
            integers = np.rint(2 * real)
        tensor.CopyFrom(numpy_helper.from_array(integers.astype(np.float32), tensor.name))
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            node.attribute.append(helper.make_attribute("epsilon", 0.0))
        if node.op_type == "Constant":
            bound = np.rint(numpy_helper.to_array(node.attribute[0].t)).astype(np.float32)
            node.attribute[0].t.CopyFrom(numpy_helper.from_array(bound))
        for attribute in node.attribute:
            if node.op_type == "Clip":
                attribute.f = round(attribute.f)
            if attribute.name == "alpha":
                attribute.f = 2.0
    return model


def averages(model: onnx.ModelProto) -> bool:
    return any("Average" in node.op_type for node in model.graph.node)


@BOTH
@pytest.mark.parametrize("seed", [s for s in range(60) if not averages(random_network(s))])
def test_integer_networks_equal_onnxruntime_in_float(seed: int, run: Run, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    model = with_integer_constants(random_network(seed), rng)
    path = save(model, tmp_path)
    images = np.rint(2 * images_for(model, rng))
    maps = run_float(path, images)
    assert max(abs(real).max() for real in maps.values()) < 2**20, "float32 would not be exact"
    formats = {
        name: {**entry, "bits": 24, "frac_bits": 0, "signed": True}
        for name, entry in random_formats(path, images, rng).items()
    }
    tensors = run(path, formats, images, accumulator_bits=40)
    assert len(tensors) > 5
    for name, raw in tensors.items():
        np.testing.assert_array_equal(raw, maps[name], err_msg=name)


def test_random_networks_cover_every_operator_and_attribute() -> None:
    models = [random_network(seed) for seed in range(120)]
    counts = Counter(node.op_type for model in models for node in model.graph.node)
    assert set(counts) == {
        "Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Concat", "MaxPool", "AveragePool",
        "GlobalAveragePool", "Flatten", "Reshape", "Identity", "Dropout", "BatchNormalization",
        "Softmax", "Constant",
    }  # fmt: skip
    assert min(counts.values()) >= 20
    attributes = Counter(
        (node.op_type, attribute.name, str(helper.get_attribute_value(attribute)))
        for model in models
        for node in model.graph.node
        for attribute in node.attribute
    )
    for key in (
        ("Conv", "group", "2"),
        ("Conv", "dilations", "[2, 2]"),
        ("Conv", "auto_pad", "b'SAME_LOWER'"),
        ("Conv", "auto_pad", "b'VALID'"),
        ("Conv", "strides", "[2, 1]"),
        ("Conv", "pads", "[0, 0, 1, 2]"),
        ("MaxPool", "ceil_mode", "1"),
        ("MaxPool", "auto_pad", "b'SAME_UPPER'"),
        ("AveragePool", "count_include_pad", "0"),
        ("AveragePool", "count_include_pad", "1"),
        ("Gemm", "transB", "0"),
        ("Gemm", "alpha", "0.5"),
        ("Concat", "axis", "-3"),
        ("Clip", "max", "6.0"),
    ):
        assert attributes[key] >= 1, key
    parts_of_concats = [
        set(node.input) for model in models for node in model.graph.node if node.op_type == "Concat"
    ]
    assert any("input" in parts for parts in parts_of_concats)
    assert any(part.startswith("concat") for parts in parts_of_concats for part in parts)


def test_the_same_seed_gives_the_same_network() -> None:
    assert random_network(7).SerializeToString() == random_network(7).SerializeToString()


@BOTH
def test_a_network_by_hand(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["conv"]),
            helper.make_node("Relu", ["conv"], ["relu"]),
            helper.make_node("GlobalAveragePool", ["relu"], ["pool"]),
            helper.make_node("Flatten", ["pool"], ["y"]),
        ],
        {
            "w": np.array([0.75, -0.5], np.float32).reshape(2, 1, 1, 1),
            "b": np.array([0.1, 0.5], np.float32),
        },
        input_shape=(1, 1, 2),
    )
    formats = {"x": s8(2), "w": s8(3), "b": s8(4), "relu": s8(3), "pool": s8(4)}
    # Steps 1/4: 0.4 -> 2 (1.6), 3.125 -> 13 (12.5, a tie, up).
    # Weights 6/8 and -4/8; biases 0.1 -> 2/16 (1.6) and 8/16; accumulators in steps 1/32.
    # Channel 0: 2*6 + 2*2 = 16, 13*6 + 4 = 82 -> /4 -> 4, 20.5 -> 21.
    # Channel 1: -8 + 16 = 8, -52 + 16 = -36 -> 2, -9 -> 0 by the Relu.
    # Averages, one more fraction bit: 25*2/2 = 25, 2*2/2 = 2.
    tensors = run(path, formats, np.array([0.4, 3.125]).reshape(1, 1, 1, 2))
    assert tensors["x"].ravel().tolist() == [2, 13]
    assert tensors["relu"].ravel().tolist() == [4, 21, 2, 0]
    assert tensors["pool"].ravel().tolist() == [25, 2]
    assert tensors["y"].tolist() == [[25, 2]]
    assert "conv" not in tensors


@BOTH
def test_an_activation_fuses_only_as_sole_consumer(run: Run, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("Relu", ["product"], ["y"]),
    ]
    constants = {"w": np.array([[1.0, -1.0]], np.float32)}
    coarse_product = {"x": s8(0), "w": s8(0), "product": s8(-2), "y": s8(-2)}
    image = np.array([[9.0]])

    fused = build(tmp_path, nodes, constants, input_shape=(1,))
    formats = {name: coarse_product[name] for name in ("x", "w", "y")}
    tensors = run(fused, formats, image)
    assert "product" not in tensors
    assert tensors["y"].tolist() == [[2, 0]]

    seen = build(tmp_path, nodes, constants, input_shape=(1,), outputs=("y", "product"))
    tensors = run(seen, coarse_product, image)
    assert tensors["product"].tolist() == [[2, -2]]
    assert tensors["y"].tolist() == [[2, 0]]


@BOTH
def test_a_clip_bound_is_rounded_in_the_ofms_format(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Clip", ["product", "low", "high"], ["y"]),
        ],
        {
            "w": np.array([[1.0]], np.float32),
            "low": np.array(-0.625, np.float32),
            "high": np.array(0.625, np.float32),
        },
        input_shape=(1,),
    )
    formats = {"x": s8(2), "w": s8(0), "y": s8(2)}
    images = np.array([[9.0], [-9.0]])
    # The bounds are -2.5 and 2.5 steps.
    assert run(path, formats, images).pop("y").tolist() == [[3], [-2]]
    assert run(path, formats, images, "ties_away").pop("y").tolist() == [[3], [-3]]


@BOTH
def test_a_constant_after_a_product_is_a_bias_if_nothing_is_stored_between(
    run: Run, tmp_path: Path
) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "c"], ["y"]),
        ],
        {"w": np.array([[1.0]], np.float32), "c": np.array([0.25], np.float32)},
        input_shape=(1,),
    )
    image = np.array([[1.25]])
    folded = {"x": s8(2), "w": s8(0), "c": s8(2), "y": s8(0)}
    assert run(path, folded, image)["y"].tolist() == [[2]]
    # Stored in between, 1.25 is rounded to 1 first.
    stored = {**folded, "product": s8(0)}
    assert run(path, stored, image)["y"].tolist() == [[1]]


@BOTH
def test_a_constant_after_a_product_joins_the_bias_it_has(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["product"]),
            helper.make_node("Add", ["c", "product"], ["y"]),
        ],
        {
            "w": np.ones((2, 1, 1, 1), np.float32),
            "b": np.array([0.25, -0.25], np.float32),
            "c": np.array([0.5, 1.0], np.float32).reshape(2, 1, 1),
        },
        input_shape=(1, 1, 1),
    )
    formats = {"x": s8(2), "w": s8(0), "b": s8(2), "y": s8(2)}
    tensors = run(path, formats, np.full((1, 1, 1, 1), 1.25))
    assert tensors["y"].ravel().tolist() == [8, 8]


@BOTH
def test_a_constant_that_varies_over_a_map_is_no_bias(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "c"], ["y"]),
        ],
        {"w": np.ones((2, 1, 1, 1), np.float32), "c": np.array([1.0, 2.0], np.float32)},
        input_shape=(1, 1, 2),
    )
    formats = {"x": s8(0), "w": s8(0), "c": s8(0), "y": s8(0)}
    images = np.zeros((1, 1, 1, 2))
    with pytest.raises(ValueError, match=r"^product: no format is given"):
        run(path, formats, images)
    tensors = run(path, {**formats, "product": s8(0)}, images)
    assert tensors["y"].ravel().tolist() == [1, 2, 1, 2]


@BOTH
def test_batch_normalization_is_folded_or_given_folded(run: Run, tmp_path: Path) -> None:
    statistics = {"gamma": 3.0, "beta": 0.5, "mean": 1.0, "variance": 4.0}
    names = list(statistics)
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["conv"]),
            helper.make_node("BatchNormalization", ["conv", *names], ["y"], epsilon=0.0),
        ],
        {
            "w": np.full((1, 1, 1, 1), 2.0, np.float32),
            **{name: np.array([value], np.float32) for name, value in statistics.items()},
        },
        input_shape=(1, 1, 1),
    )
    formats = {"x": s8(0), "w": s8(1), "beta": s8(1), "y": s8(0)}
    image = np.full((1, 1, 1, 1), 5.0)
    # (2 * 5 - 1) * 3 / 2 + 0.5 = 14
    assert run(path, formats, image)["y"].ravel().tolist() == [14]
    constants = {"w": np.full((1, 1, 1, 1), 4.0), "beta": np.array([1.0])}
    assert run(path, formats, image, constants=constants)["y"].ravel().tolist() == [21]


@BOTH
def test_batch_normalization_has_the_default_epsilon_of_onnx(run: Run, tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w"], ["conv"]),
            helper.make_node(
                "BatchNormalization", ["conv", "gamma", "zero", "zero", "zero"], ["y"]
            ),
        ],
        {
            "w": np.ones((1, 1, 1, 1), np.float32),
            "gamma": np.array([1000.0], np.float32),
            "zero": np.zeros(1, np.float32),
        },
        input_shape=(1, 1, 1),
    )
    wide = {"bits": 24, "frac_bits": 0, "signed": True}
    formats = {"x": wide, "w": wide, "zero": wide, "y": wide}
    # 1000 / sqrt(1e-5) = 316227.77
    assert run(path, formats, np.ones((1, 1, 1, 1)))["y"].item() == 316228


@BOTH
def test_weights_and_added_constants_round_ties_to_even_and_inputs_as_told(
    run: Run, tmp_path: Path
) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Relu", ["product"], ["relu"]),
            helper.make_node("Add", ["c", "relu"], ["y"]),
        ],
        {"w": np.array([[0.5, 1.5]], np.float32), "c": np.array([2.5, 4.5], np.float32)},
        input_shape=(1,),
    )
    formats = {name: s8(0) for name in ("x", "w", "c", "relu", "y")}
    # Weights 0 and 2, constants 2 and 4; the input 8.5 becomes 9 or 8.
    assert run(path, formats, np.array([[8.5]]), "ties_pos")["y"].tolist() == [[2, 22]]
    assert run(path, formats, np.array([[8.5]]), "ties_even")["y"].tolist() == [[2, 20]]


@pytest.mark.parametrize(
    ("bounds", "raw", "saturations"),
    [
        ((None, None), [-128, -128, 0, 127, 127], 2),
        ((0.0, None), [0, 0, 0, 127, 127], 1),
        ((-60.0, 24.0), [-120, -120, 0, 48, 48], 0),
        ((-64.0, 63.5), [-128, -128, 0, 127, 127], 0),
        ((-65.0, 64.0), [-128, -128, 0, 127, 127], 2),
        ((-65.0, -64.5), [-128] * 5, 1),
        ((100.0, None), [127] * 5, 1),
    ],
)
def test_a_clips_bound_inside_the_format_is_no_saturation(
    bounds: tuple[float | None, float | None],
    raw: list[int],
    saturations: int,
    tmp_path: Path,
) -> None:
    clip = helper.make_node("Clip", ["product"], ["y"])
    clip.attribute.extend(
        helper.make_attribute(name, bound)
        for name, bound in zip(("min", "max"), bounds, strict=True)
        if bound is not None
    )
    path = build(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["product"]), clip],
        {"w": np.array([[1.0]], np.float32)},
        input_shape=(1,),
        opset=10,
    )
    formats = {"x": {"bits": 16, "frac_bits": 1, "signed": True}, "w": s8(0), "y": s8(1)}
    images = np.array([[-129.0], [-128.0], [0.0], [127.0], [128.0]]) / 2
    got = integer_network.interpret(path, formats, images)
    assert got.tensors["y"].ravel().tolist() == raw
    assert got.output_saturations == {"y": saturations}
    assert_equal(got.tensors, fake_quant.run(path, formats, images))


@pytest.mark.parametrize("accumulator_bits", [10, 12, 48])
def test_wrapped_accumulators_and_counts_equal_big_integers(
    accumulator_bits: int, tmp_path: Path
) -> None:
    rng = np.random.default_rng(accumulator_bits)
    weights = rng.integers(-128, 128, (4, 2, 3, 3))
    bias = rng.integers(-500, 500, 4)
    images = rng.integers(-128, 128, (10, 2, 6, 5))
    path = build(
        tmp_path,
        [
            helper.make_node("Conv", ["x", "w", "b"], ["conv"], pads=[1, 0, 0, 1]),
            helper.make_node("Relu", ["conv"], ["y"]),
        ],
        {"w": weights.astype(np.float32), "b": bias.astype(np.float32)},
        input_shape=(2, 6, 5),
    )
    formats = {"x": s8(0), "w": s8(0), "b": {**s8(0), "bits": 16}, "y": s8(-3)}
    got = integer_network.interpret(
        path, formats, images.astype(np.float64), accumulator_bits=accumulator_bits
    )
    products = layers_bigint.convolve(
        images, weights, pads=(1, 0, 0, 1), accumulator_bits=accumulator_bits
    )
    stage = layers_bigint.output_stage(
        products.wrapped,
        aligned_bias=[int(value) for value in bias],
        shifts=[3] * 4,
        form=Format(bits=8, frac_bits=-3, signed=True),
        mode="ties_pos",
        bounds=layers_bigint.Bounds(lower=0),
    )
    assert got.tensors["y"].tolist() == stage.raw.tolist()
    assert got.accumulator_overflows == {"y": products.overflows}
    assert got.output_saturations == {"y": stage.output_saturations}
    if accumulator_bits == 48:
        assert products.overflows == 0
        assert stage.output_saturations > 0
    else:
        assert products.overflows > 0
        with pytest.raises(AssertionError, match="a sum leaves the accumulator"):
            fake_quant.run(
                path, formats, images.astype(np.float64), accumulator_bits=accumulator_bits
            )


def test_saturations_of_a_concat_are_those_of_its_requantized_parts(tmp_path: Path) -> None:
    path = build(
        tmp_path,
        [
            helper.make_node("Relu", ["x"], ["relu"]),
            helper.make_node("Concat", ["x", "relu"], ["y"], axis=1),
        ],
        {},
        input_shape=(1, 1, 2),
    )
    images = np.array([-3.0, 5.0]).reshape(1, 1, 1, 2)
    formats = {"x": s8(3), "y": {"bits": 8, "frac_bits": 5, "signed": True}}
    got = integer_network.interpret(path, formats, images)
    assert got.tensors["y"].ravel().tolist() == [-96, 127, 0, 127]
    assert got.output_saturations == {"y": 2}


LEGAL = {"x": s8(2), "w": s8(2), "b": s8(4), "relu": s8(2)}


def dense_and_copy(folder: Path) -> Path:
    """A Gemm with bias 1, a Relu that fuses and an Identity."""
    return build(
        folder,
        [
            helper.make_node("Gemm", ["x", "w", "b"], ["product"]),
            helper.make_node("Relu", ["product"], ["relu"]),
            helper.make_node("Identity", ["relu"], ["y"]),
        ],
        {"w": np.array([[1.0]], np.float32), "b": np.array([1.0], np.float32)},
        input_shape=(1,),
    )


@BOTH
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        # 1.0 with seven fraction bits needs raw 128, one too many.
        ({"w": s8(5), "b": s8(7)}, "b: a bias does not fit its format"),
        ({"b": s8(5)}, "b: more fraction bits than the accumulator's"),
        ({"y": s8(3)}, "y: its format must be that of relu"),
    ],
)
def test_formats_that_the_contract_does_not_allow_are_refused(
    change: dict[str, Any], complaint: str, run: Run, tmp_path: Path
) -> None:
    path = dense_and_copy(tmp_path)
    image = np.array([[1.0]])
    assert run(path, LEGAL, image)["y"].tolist() == [[8]]
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        run(path, {**LEGAL, **change}, image)


@BOTH
def test_a_stored_map_needs_a_format(run: Run, tmp_path: Path) -> None:
    formats = {name: LEGAL[name] for name in ("x", "w", "b")}
    with pytest.raises(ValueError, match=r"^y: no format is given"):
        run(dense_and_copy(tmp_path), formats, np.array([[1.0]]))


def test_what_stays_in_the_accumulator_has_no_format(tmp_path: Path) -> None:
    formats = {**LEGAL, "product": s8(2)}
    with pytest.raises(ValueError, match=r"^product: has a format but stays in the accumulator$"):
        integer_network.run(dense_and_copy(tmp_path), formats, np.array([[1.0]]))


@BOTH
@pytest.mark.parametrize(
    ("node", "complaint"),
    [
        (helper.make_node("Sigmoid", ["x"], ["y"]), "y: operator Sigmoid is not supported"),
        (helper.make_node("Concat", ["x", "x"], ["y"], axis=2), "y: Concat joins channels only"),
        (helper.make_node("Flatten", ["x"], ["y"], axis=2), "y: Flatten must keep the batch"),
        (helper.make_node("Gemm", ["x", "w"], ["y"], transA=1), "y: Gemm with transA"),
    ],
)
def test_what_an_oracle_cannot_interpret_is_refused(
    node: onnx.NodeProto, complaint: str, run: Run, tmp_path: Path
) -> None:
    constants = {"w": np.ones((2, 2), np.float32)}
    path = build(tmp_path, [node], constants, input_shape=(2, 2, 2))
    with pytest.raises(ValueError, match=f"^{complaint}"):
        run(path, {"x": s8(0), "w": s8(0), "y": s8(0)}, np.ones((1, 2, 2, 2)))
