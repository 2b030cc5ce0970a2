"""Do image files become exactly the numbers they hold, or one sentence that says why not?"""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from quantizer.errors import InputError
from quantizer.network.images import Layout, Preprocessing, load_images

SHAPE = (3, 4, 5)
RNG = np.random.default_rng(1)
NHWC = RNG.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8)
NCHW = RNG.normal(size=(2, 3, 4, 5)).astype(np.float32)


def save(folder: Path, **arrays: object) -> Path:
    path = folder / "images.npz"
    np.savez(path, **arrays)
    return path


def test_uint8_is_channels_last_and_float32_channels_first(tmp_path):
    stored = load_images(save(tmp_path, images=NHWC), shape=SHAPE, preprocessing=Preprocessing())
    assert (stored.real(1) == NHWC[1].transpose(2, 0, 1)).all()
    assert stored.preprocessing.layout is Layout.NHWC
    stored = load_images(save(tmp_path, images=NCHW), shape=SHAPE, preprocessing=Preprocessing())
    assert (stored.real(1) == NCHW[1]).all()
    assert stored.preprocessing.layout is Layout.NCHW


def test_layout_overrides_the_order_of_the_file(tmp_path):
    path = save(tmp_path, images=NHWC.transpose(0, 3, 1, 2))
    stored = load_images(path, shape=SHAPE, preprocessing=Preprocessing(layout=Layout.NCHW))
    assert (stored.real(0) == NHWC[0].transpose(2, 0, 1)).all()


def test_preprocessing_subtracts_then_scales_in_float64(tmp_path):
    preprocessing = Preprocessing(mean=(0.1, 0.2, 0.3), scale=(1 / 3,))
    stored = load_images(save(tmp_path, images=NHWC), shape=SHAPE, preprocessing=preprocessing)
    real = stored.real(0)
    assert real.dtype == np.float64
    for channel, mean in enumerate((0.1, 0.2, 0.3)):
        assert real[channel, 2, 3] == (float(NHWC[0, 2, 3, channel]) - mean) * (1 / 3)


def test_feature_vectors_have_no_layout(tmp_path):
    path = save(tmp_path, images=NCHW.reshape(2, 60))
    stored = load_images(path, shape=(60,), preprocessing=Preprocessing(mean=(1.0,)))
    assert (stored.real(1) == NCHW[1].ravel().astype(np.float64) - 1.0).all()
    assert stored.preprocessing.layout is None


def test_labels_come_along_and_the_limit_cuts_both(tmp_path):
    path = save(tmp_path, images=NHWC, labels=np.array([7, 3], np.int32))
    stored = load_images(path, shape=SHAPE, preprocessing=Preprocessing(), limit=1)
    assert len(stored) == 1
    assert stored.labels is not None
    assert stored.labels.tolist() == [7]
    assert len(load_images(path, shape=SHAPE, preprocessing=Preprocessing(), limit=9)) == 2


def test_a_label_beyond_the_outputs_is_refused(tmp_path):
    path = save(tmp_path, images=NHWC, labels=np.array([3, 10]))
    stored = load_images(path, shape=SHAPE, preprocessing=Preprocessing())
    stored.check_labels(11)
    with pytest.raises(InputError) as error:
        stored.check_labels(10)
    assert str(error.value) == (
        f"{path}: label 10 of image 1 is out of range; the network has 10 outputs, 0 to 9"
    )


def test_pictures_are_read_in_the_order_of_their_names(tmp_path):
    Image.fromarray(NHWC[1]).save(tmp_path / "b.PNG")
    Image.fromarray(NHWC[0]).save(tmp_path / "a.png")
    (tmp_path / "readme.txt").write_text("not a picture")
    stored = load_images(tmp_path, shape=SHAPE, preprocessing=Preprocessing())
    assert (stored.images == NHWC.transpose(0, 3, 1, 2)).all()
    assert stored.labels is None


def test_grey_pictures_feed_one_channel_and_spread_over_three(tmp_path):
    grey = NHWC[0, :, :, 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    one = load_images(tmp_path, shape=(1, 4, 5), preprocessing=Preprocessing())
    assert (one.images[0, 0] == grey).all()
    three = load_images(tmp_path, shape=SHAPE, preprocessing=Preprocessing())
    assert (three.images[0] == grey).all()


def damaged_archive(folder: Path) -> Path:
    path = save(folder, images=NHWC)
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    return path


def archive_of_text(folder: Path) -> Path:
    path = folder / "text.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("images.npy", "not an array")
    return path


def text_file(folder: Path) -> Path:
    path = folder / "text.npz"
    path.write_text("not a zip")
    return path


def with_hole(images: np.ndarray, value: float) -> np.ndarray:
    images = images.copy()
    images[1, 2, 3, 0] = value
    return images


def with_picture(folder: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(folder / "a.png")
    return folder


def with_broken_picture(folder: Path) -> Path:
    whole = (with_picture(folder, NHWC[0]) / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[:40])
    return folder


def test_a_broken_picture_is_named(tmp_path):
    with pytest.raises(InputError) as error:
        load_images(with_broken_picture(tmp_path), shape=SHAPE, preprocessing=Preprocessing())
    assert str(error.value) == (
        f"{tmp_path / 'a.png'}: is not a readable picture; replace or remove it"
    )


MISTAKES = [
    (
        lambda f: f / "no.npz",
        "cannot be read (No such file or directory); expected an .npz file or a picture folder",
    ),
    (text_file, "is not an .npz file; write one with numpy.savez"),
    (damaged_archive, "is a damaged .npz file; write it again"),
    (archive_of_text, "is a damaged .npz file; write it again"),
    (lambda f: save(f, x=NHWC), "has no array named 'images'; save one with numpy.savez"),
    (
        lambda f: save(f, images=np.array([{}, {}])),
        "holds pickled objects, which are not read; save plain number arrays",
    ),
    (
        lambda f: save(f, images=NHWC.astype(np.float64)),
        "images are float64; give uint8 or float32",
    ),
    (
        lambda f: save(f, images=NHWC[:, 1:]),
        "images are uint8[2, 3, 5, 3]; the network takes [N, 4, 5, 3] (NHWC)",
    ),
    (
        lambda f: save(f, images=NHWC[0]),
        "images are uint8[4, 5, 3]; the network takes [N, 4, 5, 3] (NHWC)",
    ),
    (
        lambda f: save(f, images=NHWC.transpose(0, 3, 1, 2)),
        "images are uint8[2, 3, 4, 5], read as NHWC; channels look swapped: --layout nchw",
    ),
    (
        lambda f: save(f, images=NCHW.transpose(0, 2, 3, 1)),
        "images are float32[2, 4, 5, 3], read as NCHW; channels look swapped: --layout nhwc",
    ),
    (
        lambda f: save(f, images=with_hole(NCHW, np.nan)),
        "image 1 holds NaN or infinity; give finite numbers",
    ),
    (
        lambda f: save(f, images=with_hole(NCHW, -np.inf)),
        "image 1 holds NaN or infinity; give finite numbers",
    ),
    (lambda f: save(f, images=NHWC[:0]), "holds no images; give at least one"),
    (
        lambda f: save(f, images=NHWC, labels=np.array([1])),
        "labels have shape [1]; give one per image, [2]",
    ),
    (
        lambda f: save(f, images=NHWC, labels=np.array([1.0, 2.0])),
        "labels are float64; give integers",
    ),
    (
        lambda f: save(f, images=NHWC, labels=np.array([1, -2])),
        "label -2 of image 1 is negative; count from 0",
    ),
    (
        lambda f: save(f, images=NHWC, labels=np.array([1, 2**63], np.uint64)),
        "label 9223372036854775808 is too large; give class numbers",
    ),
    (lambda f: f, "holds no .png, .jpg or .jpeg picture; give at least one"),
]


@pytest.mark.parametrize(("make", "problem"), MISTAKES)
def test_every_mistake_is_one_sentence(make, problem, tmp_path):
    path = make(tmp_path)
    with pytest.raises(InputError) as error:
        load_images(path, shape=SHAPE, preprocessing=Preprocessing())
    assert str(error.value) == f"{path}: {problem}"


PICTURE_MISTAKES = [
    (
        NHWC[0, :, :4],
        None,
        "is 4 x 4 pixels (width x height); the network takes 5 x 4",
    ),
    (NHWC[0], "RGBA", "has the colour mode 'RGBA'; convert it to 8-bit RGB"),
    (
        NHWC[0, :, :, 0].astype(np.uint16) * 256,
        None,
        "has the colour mode 'I;16'; convert it to 8-bit RGB",
    ),
]


@pytest.mark.parametrize(("pixels", "mode", "problem"), PICTURE_MISTAKES)
def test_a_picture_that_would_have_to_be_changed_is_refused(pixels, mode, problem, tmp_path):
    with_picture(tmp_path, pixels, mode)
    with pytest.raises(InputError) as error:
        load_images(tmp_path, shape=SHAPE, preprocessing=Preprocessing())
    assert str(error.value) == f"{tmp_path / 'a.png'}: {problem}"


def test_pictures_cannot_feed_a_network_of_features(tmp_path):
    with pytest.raises(InputError) as error:
        load_images(tmp_path, shape=(60,), preprocessing=Preprocessing())
    assert str(error.value) == (
        f"{tmp_path}: pictures have 1 or 3 channels, the network takes [60]; give an .npz"
    )


OPTION_MISTAKES = [
    (
        SHAPE,
        Preprocessing(mean=(1.0, 2.0)),
        "--mean: got 2 values; give one, or 3, one per channel",
    ),
    (
        SHAPE,
        Preprocessing(scale=(1.0, 2.0)),
        "--scale: got 2 values; give one, or 3, one per channel",
    ),
    (
        (60,),
        Preprocessing(layout=Layout.NHWC),
        "--layout: the network takes 60 features, which have no layout; leave it out",
    ),
]


@pytest.mark.parametrize(("shape", "preprocessing", "sentence"), OPTION_MISTAKES)
def test_preprocessing_that_does_not_fit_the_network_is_refused(
    shape, preprocessing, sentence, tmp_path
):
    with pytest.raises(InputError) as error:
        load_images(save(tmp_path, images=NHWC), shape=shape, preprocessing=preprocessing)
    assert str(error.value) == sentence


def test_a_layout_for_a_folder_is_refused(tmp_path):
    with_picture(tmp_path, NHWC[0])
    with pytest.raises(InputError) as error:
        load_images(tmp_path, shape=SHAPE, preprocessing=Preprocessing(layout=Layout.NCHW))
    assert str(error.value) == (
        "--layout: pictures in a folder have their own layout; leave it out"
    )


@pytest.mark.parametrize(
    ("mean", "scale", "sentence"),
    [
        ((), (1.0,), "mean must be one or more finite numbers, got ()"),
        ((0.0,), (float("inf"),), "scale must be one or more finite numbers, got (inf,)"),
        ((0.0,), (1.0, 0.0), "scale must not be zero"),
    ],
)
def test_preprocessing_is_finite_and_keeps_the_image(mean, scale, sentence):
    with pytest.raises(ValueError, match=r"must") as error:
        Preprocessing(mean=mean, scale=scale)
    assert str(error.value) == sentence
