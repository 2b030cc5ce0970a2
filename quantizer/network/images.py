"""Images and labels: from files to the real numbers that enter a network."""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from quantizer.errors import InputError
from quantizer.input_file import exists, open_input
from quantizer.network.layers import Shape

PICTURE_ENDINGS = (".jpeg", ".jpg", ".png")


class Layout(StrEnum):
    """Order of the axes of an image file, after the batch."""

    NHWC = "nhwc"
    """Channels last, as picture libraries store them."""
    NCHW = "nchw"
    """Channels first, as networks take them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocessing:
    """How stored pixels become the numbers a network was trained on.

    ``real = (stored - mean) * scale`` in float64.

    Attributes
    ----------
    mean, scale
        One value for all channels, or one per channel.
    layout
        Of the file; None is NHWC for uint8 and NCHW for float32.
    """

    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    layout: Layout | None = None

    def __post_init__(self) -> None:
        for field in ("mean", "scale"):
            values = getattr(self, field)
            if not values or not np.isfinite(values).all():
                raise ValueError(f"{field} must be one or more finite numbers, got {values}")
        if 0.0 in self.scale:
            raise ValueError("scale must not be zero")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSet:
    """Images as a network takes them, and what is on them.

    Attributes
    ----------
    images
        uint8 or float32 [N, C, H, W] or [N, features], as stored, not preprocessed.
    labels
        int64[N], not negative; None where the file has none.
    preprocessing
        With the layout that was used.
    source
        File or folder, as the user named it.
    """

    images: NDArray[np.uint8] | NDArray[np.float32]
    labels: NDArray[np.int64] | None
    preprocessing: Preprocessing
    source: str

    def __post_init__(self) -> None:
        if self.labels is not None:
            if self.labels.shape != self.images.shape[:1]:
                raise ValueError("one label per image is needed")
            self.labels.setflags(write=False)
        self.images.setflags(write=False)

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def real(self, index: int) -> NDArray[np.float64]:
        """Preprocessed image, float64[C, H, W] or float64[features]."""
        image = self.images[index].astype(np.float64)
        per_channel = (-1,) + (1,) * (image.ndim - 1)
        mean = np.reshape(self.preprocessing.mean, per_channel)
        scale = np.reshape(self.preprocessing.scale, per_channel)
        real: NDArray[np.float64] = (image - mean) * scale
        return real

    def check_labels(self, classes: int) -> None:
        """Refuse labels that no output of the network stands for.

        Raises
        ------
        InputError
            If a label is `classes` or more.
        """
        if self.labels is not None and int(self.labels.max()) >= classes:
            at = int(np.argmax(self.labels >= classes))
            raise InputError(
                self.source,
                f"label {self.labels[at]} of image {at} is out of range; "
                f"the network has {classes} outputs, 0 to {classes - 1}",
            )


def load_images(
    path: str | Path, *, shape: Shape, preprocessing: Preprocessing, limit: int | None = None
) -> ImageSet:
    """Read an .npz file or a folder of PNG and JPEG pictures.

    Parameters
    ----------
    path
        An .npz with ``images``, uint8 or float32 [N, H, W, C], [N, C, H, W] or
        [N, features], and optionally integer ``labels`` [N]; or a folder, whose pictures
        are taken in the order of their names and have no labels.
    shape
        What the network takes, without the batch: (C, H, W) or (features,).
    limit
        Take only so many, from the first.

    Raises
    ------
    InputError
        If the file cannot be read or does not fit the network.
    """
    for name, values in (("--mean", preprocessing.mean), ("--scale", preprocessing.scale)):
        if len(values) not in (1, shape[0]):
            raise InputError(
                name, f"got {len(values)} values; give one, or {shape[0]}, one per channel"
            )
    if len(shape) != 3 and preprocessing.layout is not None:
        raise InputError(
            "--layout", f"the network takes {shape[0]} features, which have no layout; leave it out"
        )
    source = Path(path)
    if exists(source) and source.is_dir():
        images = _load_folder(source, shape, preprocessing, limit)
    else:
        images = _load_npz(source, shape, preprocessing, limit)
    _check_range(images)
    return images


def _check_range(images: ImageSet) -> None:
    """Refuse a preprocessing that leaves the range of float32, which networks take."""
    preprocessing = images.preprocessing
    largest = float(np.abs(images.images).max()) + float(np.abs(preprocessing.mean).max())
    scaled = largest * float(np.abs(preprocessing.scale).max())
    if scaled > float(np.finfo(np.float32).max):
        raise InputError(
            "--mean, --scale",
            f"make pixels of {images.source} as large as {scaled:g}; expected numbers that "
            "float32 holds",
        )


def _load_npz(
    path: Path, shape: Shape, preprocessing: Preprocessing, limit: int | None
) -> ImageSet:
    where = str(path)
    arrays = _read_arrays(path, ("images", "labels"))
    if "images" not in arrays:
        raise InputError(where, "has no array named 'images'; save one with numpy.savez")
    images = arrays["images"]
    if images.dtype not in (np.uint8, np.float32):
        raise InputError(where, f"images are {images.dtype}; give uint8 or float32")
    images, layout = _as_network_takes_them(images, shape, preprocessing.layout, where)
    if len(images) == 0:
        raise InputError(where, "holds no images; give at least one")
    labels = _check_labels(arrays["labels"], len(images), where) if "labels" in arrays else None
    images = images[:limit]
    if not np.isfinite(images).all():
        at = int(np.argmin(np.isfinite(images).reshape(len(images), -1).all(axis=1)))
        raise InputError(where, f"image {at} holds NaN or infinity; give finite numbers")
    return ImageSet(
        images=images,
        labels=None if labels is None else labels[:limit],
        preprocessing=Preprocessing(
            mean=preprocessing.mean, scale=preprocessing.scale, layout=layout
        ),
        source=where,
    )


def _read_arrays(path: Path, names: tuple[str, ...]) -> Mapping[str, NDArray[Any]]:
    """Those of the named arrays that an .npz file has."""
    where = str(path)
    damaged = InputError(where, "is a damaged .npz file; write it again")
    with open_input(path, "an .npz file or a picture folder") as file:
        if not zipfile.is_zipfile(file):
            raise InputError(where, "is not an .npz file; write one with numpy.savez")
        try:
            with np.load(file, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in names if name in archive}
        except Exception as error:  # of zip, its decompressors and NumPy's own parser
            # NumPy's only way to say that an array holds Python objects.
            if "allow_pickle" in str(error):
                raise InputError(
                    where, "holds pickled objects, which are not read; save plain number arrays"
                ) from None
            raise damaged from None
    # NumPy returns the bytes of a member that is not an array.
    if not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise damaged
    return arrays


def _as_network_takes_them(
    images: NDArray[Any], shape: Shape, layout: Layout | None, where: str
) -> tuple[NDArray[Any], Layout | None]:
    """Images with channels first, and the layout they had."""
    if len(shape) == 3 and layout is None:
        layout = Layout.NHWC if images.dtype == np.uint8 else Layout.NCHW
    channels_last = (*shape[1:], shape[0])
    expected = channels_last if layout is Layout.NHWC else shape
    if images.shape[1:] == expected:
        return (np.moveaxis(images, -1, 1) if layout is Layout.NHWC else images), layout

    problem = f"images are {images.dtype}{list(images.shape)}"
    other, other_shape = (
        (Layout.NCHW, shape) if layout is Layout.NHWC else (Layout.NHWC, channels_last)
    )
    if len(shape) == 3 and images.shape[1:] == other_shape:
        assert layout is not None
        raise InputError(
            where, f"{problem}, read as {layout.upper()}; channels look swapped: --layout {other}"
        )
    order = f" ({layout.upper()})" if layout is not None else ""
    axes = ", ".join(["N", *map(str, expected)])
    raise InputError(where, f"{problem}; the network takes [{axes}]{order}")


def _check_labels(labels: NDArray[Any], count: int, where: str) -> NDArray[np.int64]:
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(where, f"labels are {labels.dtype}; give integers")
    if labels.shape != (count,):
        raise InputError(
            where, f"labels have shape {list(labels.shape)}; give one per image, [{count}]"
        )
    if int(labels.min()) < 0:
        at = int(np.argmax(labels < 0))
        raise InputError(where, f"label {labels[at]} of image {at} is negative; count from 0")
    if int(labels.max()) > np.iinfo(np.int64).max:
        raise InputError(where, f"label {labels.max()} is too large; give class numbers")
    return labels.astype(np.int64)


def _load_folder(
    folder: Path, shape: Shape, preprocessing: Preprocessing, limit: int | None
) -> ImageSet:
    where = str(folder)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise InputError(
            where, f"pictures have 1 or 3 channels, the network takes {list(shape)}; give an .npz"
        )
    if preprocessing.layout is not None:
        raise InputError("--layout", "pictures in a folder have their own layout; leave it out")
    try:
        paths = sorted(
            entry for entry in folder.iterdir() if entry.suffix.lower() in PICTURE_ENDINGS
        )
    except OSError as error:
        raise InputError(
            where, f"cannot be read ({error.strerror}); give a readable folder"
        ) from None
    if not paths:
        raise InputError(where, "holds no .png, .jpg or .jpeg picture; give at least one")
    pictures = np.stack([_read_picture(path, shape) for path in paths[:limit]])
    return ImageSet(
        images=np.moveaxis(pictures, -1, 1),
        labels=None,
        preprocessing=Preprocessing(
            mean=preprocessing.mean, scale=preprocessing.scale, layout=Layout.NHWC
        ),
        source=where,
    )


def _read_picture(path: Path, shape: Shape) -> NDArray[np.uint8]:
    """Pixels of one picture, uint8[H, W, C]; only conversions that lose nothing are made."""
    from PIL import Image

    channels, height, width = shape
    mode, lossless = ("RGB", ("RGB", "L", "1", "P")) if channels == 3 else ("L", ("L", "1"))
    try:
        with Image.open(path) as picture:
            if picture.size != (width, height):
                raise InputError(
                    str(path),
                    f"is {picture.width} x {picture.height} pixels (width x height); "
                    f"the network takes {width} x {height}",
                )
            if picture.mode not in lossless or "transparency" in picture.info:
                raise InputError(
                    str(path), f"has the colour mode {picture.mode!r}; convert it to 8-bit {mode}"
                )
            pixels = np.asarray(picture.convert(mode))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        # Pillow raises SyntaxError for a damaged PNG and OSError for most other damage.
        raise InputError(str(path), "is not a readable picture; replace or remove it") from None
    return pixels.reshape(height, width, channels)
