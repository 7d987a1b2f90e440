"""Images: `Images`, small greyscale pictures to be classified."""

import gzip
import math
import os
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from harness.settings import Note, nearest
from harness.tasks.loaded import loader
from harness.tasks.openml import download
from harness.tasks.pooled import File, Pooled, digest, find, looked_in, read, unusable

WHITE = 255

TESTED = 10_000
"""Images in the test sets of MNIST and Fashion-MNIST."""

PUBLISHED = (
    (
        (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),  # LeCun et al. 1998
        (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    ),
    (10 * (6000,), 10 * (1000,)),  # Xiao et al. 2017
)
"""Images of each class in the training and in the test set, as published."""

IDX_TYPES = {
    code: np.dtype(name) for code, name in ((8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8"))
}
"""By the code in a file's header."""


class Images(Pooled):
    """Classify small greyscale images, grey values scaled to [0, 1].

    Sources:
        `digits`: 1,797 handwritten digits of 8 × 8, with scikit-learn (UCI, Alpaydin and Kaynak 1998).
        `openml:NAME`, `openml:ID`: a set of square images from openml.org, e.g. `openml:mnist_784` (LeCun et al. 1998)
            or `openml:Fashion-MNIST` (Xiao et al. 2017, arXiv:1708.07747); downloaded once, then kept and checked.
        `idx:FOLDER`: a folder with MNIST's files, plain or gzipped: `train-images-idx3-ubyte`,
            `train-labels-idx1-ubyte` and, if there, the same for `t10k`; of any type that IDX has. The different labels are
            the classes, in order: letters 1 … 26 (EMNIST) are 26 classes.

    The source's own test set is what all seeds are tested on: `t10k` of an IDX folder, and of openml.org the last 10,000 of
    70,000 images that are made up as MNIST or Fashion-MNIST are (openml.org itself, as scikit-learn reads it, does not say
    which examples are for testing). Other sources have none, nor have the digits: there a fixed part is kept for the test.

    Args:
        source: where the images come from.
        layout: of an example, `flat` (pixels,) for perceptrons; for recurrent networks `rows` (rows, columns), a sequence
            of rows, or `pixels` (pixels, 1), one by one in reading order (Le et al. 2015, arXiv:1504.00941); for convolutions
            `image` (1, rows, columns).
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    source: str = "digits"
    layout: Literal["flat", "rows", "pixels", "image"] = "flat"

    def pool(self) -> tuple[Tensor, Tensor]:
        """Grey values x (n, …), float32 in [0, 1], in the layout asked for, and classes y (n,), int64."""
        pictures = self._pictures()
        return pictures.layouts[self.layout], pictures.y

    def official_test(self) -> int:
        """Images of the source's own test set; they are the last ones."""
        return self._pictures().official_test

    def fingerprint(self) -> str:
        """SHA-256 of the grey values, the classes, and how many images are the source's own test set."""
        return self._pictures().sha256

    def data_notes(self) -> list[Note]:
        """Which labels of an IDX folder became which classes, where these differ; and grey values that hardly vary."""
        return [*self._pictures().notes, *super().data_notes()]

    def _pictures(self) -> "_Pictures":
        kind, _, name = self.source.partition(":")
        return _load(self.source, _idx_files(name) if kind == "idx" else ())


class _Pictures:
    """Images, arrays (n, rows, columns) of grey values from 0 to `white`, and their classes (n,), as tensors.

    The last `official_test` of them are the source's own test set.
    """

    def __init__(
        self, images: list[npt.NDArray[Any]], classes: npt.NDArray[Any], *, white: int, official_test: int = 0,
        notes: tuple[Note, ...] = (),
    ) -> None:  # fmt: skip
        self.official_test, self.notes = official_test, notes
        rows = torch.empty(sum(map(len, images)), *images[0].shape[1:])
        np.concatenate(images, out=rows.numpy(), casting="unsafe")
        rows.div_(white)
        flat = rows.flatten(1)
        self.layouts = {
            "flat": flat,
            "rows": rows,
            "pixels": flat.unsqueeze(2),
            "image": rows.unsqueeze(1),
        }  # views of one memory
        self.y = torch.from_numpy(classes.astype(np.int64))
        self.sha256 = digest(rows, self.y, torch.tensor([official_test]))


@loader(most=2)
def _load(source: str, files: tuple["_Part", ...]) -> _Pictures:
    """The images of a source; `files` are those of an IDX folder, as they are now."""
    kind, _, name = source.partition(":")
    if source == "digits":
        return _digits()
    if kind == "openml" and name:
        return _openml(name)
    if files:
        return _idx(files)
    raise unusable("source", f"unknown{nearest(source, ['digits', 'openml:NAME', 'idx:FOLDER'])}", repr(source))


def _digits() -> _Pictures:
    """As `sklearn.datasets.load_digits` reads them; to import scikit-learn, and SciPy with it, takes a second."""
    package = find_spec("sklearn")
    assert package is not None and package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    return _Pictures([table[:, :-1].reshape(-1, 8, 8)], table[:, -1], white=16)


def _openml(name: str) -> _Pictures:
    plain = {"dtype": None}  # numbers are just numbers, the classes too
    found = download(name, instead="'digits' or 'idx:FOLDER'", as_frame=False, parser="pandas", read_csv_kwargs=plain)
    if missing := int(pd.isna(found.target).sum()):
        raise unusable("source", f"{name!r} must have a class for every image", f"{missing} lack it")
    try:
        pixels, classes = np.asarray(found.data, dtype=np.float32), np.unique(found.target, return_inverse=True)[1]
    except (TypeError, ValueError) as error:
        raise unusable("source", f"{name!r} must hold images: {error}") from None
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1] or not (pixels.min() >= 0 and pixels.max() <= 255):  # "not": NaN fails too
        raise unusable("source", f"{name!r} must hold square images with grey values from 0 to 255", str(pixels.shape))
    return _Pictures([pixels.reshape(-1, side, side)], classes, white=255, official_test=_official_test(classes))


def _official_test(classes: npt.NDArray[Any]) -> int:
    """How many of the last examples are a known test set, by the number of each class in it and before it."""
    sizes = tuple(tuple(np.bincount(part, minlength=10)) for part in np.split(classes, [-TESTED]))
    return TESTED if sizes in PUBLISHED else 0


class _Part(NamedTuple):
    """Images and their labels, the two files of an IDX set."""

    images: File
    labels: File


def _idx_files(folder: str) -> tuple[_Part, ...]:
    """The set `train` of an IDX folder and, if there, the set `t10k`.

    Raises:
        InvalidStudy: a file is missing.
    """
    folder = os.path.expanduser(folder)
    if not os.path.isdir(folder):
        raise unusable("source", f"idx:FOLDER needs a folder that exists{looked_in(folder)}", repr(folder))
    train, test = _idx_part(folder, "train"), _idx_part(folder, "t10k")
    if train is None:
        raise unusable("source", "the folder lacks train-images-idx3-ubyte or train-images-idx3-ubyte.gz", folder)
    return (train,) if test is None else (train, test)


def _idx_part(folder: str, name: str) -> _Part | None:
    """The files of one set; None if neither is there."""
    plain = [os.path.join(folder, f"{name}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")]
    present = [next((p for p in (path, path + ".gz") if os.path.exists(p)), "") for path in plain]
    if not any(present):
        return None
    if missing := [path for path, there in zip(plain, present, strict=True) if not there]:
        raise unusable("source", f"the folder lacks {os.path.basename(missing[0])}, plain or .gz", folder)
    images, labels = (find(path, "source") for path in present)
    return _Part(images, labels)


def _idx(parts: tuple[_Part, ...]) -> _Pictures:
    """The images and labels of all parts, one after another."""
    images = [_read_idx(part.images, axes=3) for part in parts]
    labels = [_read_idx(part.labels, axes=1) for part in parts]
    for part, pixels, classes in zip(parts, images, labels, strict=True):
        if len(pixels) != len(classes):
            message = f"{part.images.path} has {len(pixels)} images, but {part.labels.path} has {len(classes)} labels"
            raise unusable("source", message)
        if pixels.shape[1:] != images[0].shape[1:]:
            message = f"the images of {part.images.path} must be as large as those of {parts[0].images.path}"
            raise unusable("source", message, " × ".join(map(str, pixels.shape[1:])))
        if (classes % 1 != 0).any():  # NaN among them
            raise unusable(
                "source", f"the labels in {part.labels.path} must be whole numbers", f"a {classes.dtype.name}"
            )
    kinds, classes = np.unique(np.concatenate(labels), return_inverse=True)
    least, most = (float(end([end(pixels) for pixels in images])) for end in (np.min, np.max))
    if not (least >= 0 and most <= WHITE):  # "not": NaN fails too
        message = f"{parts[0].images.path} must hold grey values from 0 to {WHITE}, or fractions from 0 to 1"
        raise unusable("source", message, f"{least:g} to {most:g}")
    fractions = any(np.issubdtype(pixels.dtype, np.floating) and 0 < pixels.max() <= 1 for pixels in images)
    if fractions and most > 1:
        seen = (f"{part.images.path} up to {float(pixels.max()):g}" for part, pixels in zip(parts, images, strict=True))
        message = f"all images must hold grey values from 0 to {WHITE}, or all of them fractions from 0 to 1"
        raise unusable("source", message, " and ".join(seen))
    white = 1 if fractions else WHITE
    return _Pictures(
        images,
        classes,
        white=white,
        official_test=sum(map(len, labels[1:])),
        notes=(*_class_notes(kinds.astype(float)), *_grey_notes(parts, images, white)),
    )


def _class_notes(kinds: npt.NDArray[Any]) -> list[Note]:
    if np.array_equal(kinds, np.arange(10)):  # as in MNIST
        return []
    gaps = "" if kinds[-1] - kinds[0] == len(kinds) - 1 else ", not all between them"
    return [Note("source", f"{len(kinds)} classes, the labels {kinds[0]:g} … {kinds[-1]:g}{gaps}, in this order")]


def _grey_notes(parts: tuple[_Part, ...], images: list[npt.NDArray[Any]], white: int) -> list[Note]:
    """That all inputs are small, or those of one file alone."""
    largest = [float(pixels.max()) for pixels in images]
    small = [4 * grey < white for grey in largest]
    if all(small):
        return [Note("source", _of_grey("the largest grey value", max(largest), white))]
    return [
        Note("source", _of_grey(f"the largest grey value of {part.images.path}", grey, white))
        for part, grey, low in zip(parts, largest, small, strict=True)
        if low
    ]


def _of_grey(which: str, largest: float, white: int) -> str:
    return f"{which} is {largest:g} of {white}: inputs are between 0 and {largest / white:.2g}"


def _read_idx(file: File, *, axes: int) -> npt.NDArray[Any]:
    """The array in an IDX file: 0, 0, its type, the number of axes; the size of each; the numbers, big-endian all.

    Source: "The MNIST database of handwritten digits", yann.lecun.com/exdb/mnist, file formats.
    """
    raw = read(file, "source")
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise unusable("source", f"{file.path} is not a whole gzip file: {error}") from None
    start = 4 + 4 * axes
    dtype = IDX_TYPES.get(raw[2]) if len(raw) >= start and raw[:2] == bytes(2) and raw[3] == axes else None
    if dtype is None:
        message = f"{file.path} is not an IDX file of numbers with {axes} {'axis' if axes == 1 else 'axes'}"
        raise unusable("source", message, f"it starts with {raw[:4].hex(' ')}")
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    needed = math.prod(shape) * dtype.itemsize
    if needed != len(raw) - start or not needed:
        message = f"{file.path} is damaged: its header announces {' × '.join(map(str, shape))} numbers, {needed} bytes"
        raise unusable("source", message, f"{len(raw) - start} bytes")
    return np.frombuffer(raw, dtype=dtype, offset=start).reshape(shape)
