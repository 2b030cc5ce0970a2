"""Do the integers of --save-tensors equal those of published C code, through the command line?

CMSIS-NN's legacy CIFAR-10 example (Arm, Apache-2.0): Q7 formats and the outputs of every
layer, run from the original C on 20 images.
"""

import json

import numpy as np

from tests.oracles_self_tests.test_published import Q7_NETWORK, Q7_TENSORS, q7_formats


def test_saved_tensors_equal_the_published_c_code_bit_for_bit(reference_data, run, tmp_path):
    (tmp_path / "formats.json").write_text(json.dumps(q7_formats(reference_data)))
    outcome = run(
        "simulate", "edge_16x16",
        "--network", reference_data / Q7_NETWORK,
        "--images", reference_data / "images/cifar10_test_jpeg_a.npz",
        "--limit-images", 20,
        "--mean", "125,123,114",
        "--scale", "1/256",
        "--formats", "formats.json",
        "--save-tensors", "tensors.npz",
    )  # fmt: skip
    assert (outcome.status, outcome.err) == (0, "")
    golden_file = reference_data / "references/cmsis_q7_cifar10_golden_a.npz"
    with np.load(golden_file) as golden, np.load(tmp_path / "tensors.npz") as saved:
        assert set(golden) == set(Q7_TENSORS)
        for layer, tensor in Q7_TENSORS.items():
            assert saved[tensor].dtype == golden[layer].dtype
            np.testing.assert_array_equal(saved[tensor], golden[layer], err_msg=layer)
