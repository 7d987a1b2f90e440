"""Images: `Images`, small greyscale pictures to be classified."""

import gzip
import math
import os
import zlib
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from harness.settings import nearest
from harness.tasks.openml import download
from harness.tasks.pooled import File, Pooled, digest, find, read, unusable

Bytes = npt.NDArray[np.uint8]


class Images(Pooled):
    """Classify small greyscale images, grey values scaled to [0, 1].

    Sources:
        `digits`: 1,797 handwritten digits of 8 × 8, with scikit-learn (UCI, Alpaydin and Kaynak 1998).
        `openml:NAME`, `openml:ID`: a set of square images from openml.org, e.g. `openml:mnist_784` (LeCun et al. 1998)
            or `openml:Fashion-MNIST` (Xiao et al. 2017, arXiv:1708.07747); downloaded once, then kept and checked.
        `idx:FOLDER`: a folder with MNIST's files, plain or gzipped: `train-images-idx3-ubyte`,
            `train-labels-idx1-ubyte` and, if there, the same for `t10k`.

    A source's own test set joins the pool: every seed draws its splits from all examples, so that the spread over seeds
    includes that of the test set.

    Args:
        source: where the images come from.
        layout: of an example, `flat` (pixels,) for perceptrons; for recurrent networks `rows` (rows, columns), a sequence
            of rows, or `pixels` (pixels, 1), one by one in reading order (Le et al. 2015, arXiv:1504.00941).
        train_size, validation_size, test_size: examples; see `Pooled`.
    """

    source: str = "digits"
    layout: Literal["flat", "rows", "pixels"] = "flat"

    def pool(self) -> tuple[Tensor, Tensor]:
        """Grey values x (n, …), float32 in [0, 1], in the layout asked for, and classes y (n,), int64."""
        pictures = self._pictures()
        return pictures.layouts[self.layout], pictures.y

    def fingerprint(self) -> str:
        """SHA-256 of the grey values and the classes."""
        return self._pictures().sha256

    def _pictures(self) -> "_Pictures":
        kind, _, name = self.source.partition(":")
        return _load(self.source, _idx_files(name) if kind == "idx" else ())


class _Pictures:
    """Images (n, rows, columns) of grey values from 0 to `white`, and their classes (n,), as tensors."""

    def __init__(self, images: npt.NDArray[Any], classes: npt.NDArray[Any], *, white: int) -> None:
        rows = torch.from_numpy(images.astype(np.float32)).div_(white)
        flat = rows.flatten(1)
        self.layouts = {"flat": flat, "rows": rows, "pixels": flat.unsqueeze(2)}  # views of one memory
        self.y = torch.from_numpy(classes.astype(np.int64))
        self.sha256 = digest(rows, self.y)


@lru_cache(maxsize=2)
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
    return _Pictures(table[:, :-1].reshape(-1, 8, 8), table[:, -1], white=16)


def _openml(name: str) -> _Pictures:
    plain = {"dtype": None}  # numbers are just numbers, the classes too
    found = download(name, instead="'digits' or 'idx:FOLDER'", as_frame=False, parser="pandas", read_csv_kwargs=plain)
    try:
        pixels, classes = np.asarray(found.data, dtype=np.float32), np.unique(found.target, return_inverse=True)[1]
    except (TypeError, ValueError) as error:
        raise unusable("source", f"{name!r} must hold images: {error}") from None
    side = math.isqrt(pixels.shape[1])
    if side * side != pixels.shape[1] or not (pixels.min() >= 0 and pixels.max() <= 255):  # "not": NaN fails too
        raise unusable("source", f"{name!r} must hold square images with grey values from 0 to 255", str(pixels.shape))
    return _Pictures(pixels.reshape(-1, side, side), classes, white=255)


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
        raise unusable("source", "idx:FOLDER needs a folder that exists", repr(folder))
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
        if (wrong := classes > 9).any():
            message = f"the labels in {part.labels.path} must be 0 to 9; {wrong.sum()} of {len(classes)} are not"
            raise unusable("source", message, f"largest {classes.max()}")
    return _Pictures(np.concatenate(images), np.concatenate(labels), white=255)


def _read_idx(file: File, *, axes: int) -> Bytes:
    """The array in an IDX file of bytes: 0, 0, 8, the number of axes; the size of each; the bytes.

    Source: "The MNIST database of handwritten digits", yann.lecun.com/exdb/mnist, file formats.
    """
    raw = read(file, "source")
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise unusable("source", f"{file.path} is not a whole gzip file: {error}") from None
    start = 4 + 4 * axes
    if raw[:4] != bytes([0, 0, 8, axes]) or len(raw) < start:
        message = f"{file.path} is not an IDX file of bytes with {axes} {'axis' if axes == 1 else 'axes'}"
        raise unusable("source", message, f"it starts with {raw[:4].hex(' ')}")
    shape = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, start, 4)]
    if math.prod(shape) != len(raw) - start or not math.prod(shape):
        message = f"{file.path} is damaged: its header announces {' × '.join(map(str, shape))} bytes"
        raise unusable("source", message, f"{len(raw) - start} bytes")
    return np.frombuffer(raw, dtype=np.uint8, offset=start).reshape(shape)
