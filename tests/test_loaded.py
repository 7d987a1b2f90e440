"""What a leader has read from files and holds in large tensors, its processes map; and what a loader keeps."""

import gc
import multiprocessing
import os
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import Study
from harness.execution.processes import start
from harness.execution.shared_memory import LEAST_BYTES, SharedMemory, memory_of
from harness.execution.shipping import pack, pack_loaded, unpack
from harness.models import DropoutNet
from harness.tasks import Images, Tensors, images
from harness.tasks.leaks import repeated_inputs
from harness.tasks.loaded import Loader, keep_all, kept_by
from harness.tasks.task import Data

LINUX = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="memory without a name is Linux's")


@pytest.fixture(autouse=True)
def _no_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test modules that other tests have loaded are not the study's, and to unpack them here would change them."""
    monkeypatch.setattr("harness.execution.shipping.users_modules", dict)


def test_a_loader_keeps_its_last_results_and_what_another_process_has_loaded() -> None:
    calls = []
    loader = Loader(lambda name: calls.append(name) or object(), most=2)
    first = loader("a")
    assert loader("a") is first and calls == ["a"]
    loader("b"), loader("a"), loader("c")
    assert loader("a") is first and calls == ["a", "b", "c"], "the one not used for longest went"
    loader("b")
    assert calls == ["a", "b", "c", "b"]


def test_what_is_here_is_not_replaced_by_what_comes_from_another_process() -> None:
    here = Images().data(0).x
    keep_all({f"{images.__name__}._load": {("digits", ()): None, ("other", ()): "theirs"}})
    assert Images().data(0).x is here
    assert images._load.kept[("other", ())] == "theirs"
    assert kept_by(lambda: Images().data(0)).keys() == {f"{images.__name__}._load"}
    assert kept_by(lambda: Images().data(0))[f"{images.__name__}._load"].keys() == {("digits", ())}, (
        "no more than is asked for"
    )
    images._load.kept.pop(("other", ()))


def idx(folder: Path, n: int) -> None:
    """A folder of random images, MNIST's files."""
    pixels = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in pixels.shape)
    (folder / "train-images-idx3-ubyte").write_bytes(header + pixels.tobytes())
    labels = np.arange(n, dtype=np.uint8) % 10
    (folder / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + n.to_bytes(4, "big") + labels.tobytes())


def _seen(pipe: Connection) -> None:
    """What a process finds that unpacks a study, before and after it writes into its examples."""
    before = [*images._load.kept]
    study = unpack(pipe.recv_bytes(), "another process")
    x = study.task.data(0).x
    total = float(x.double().sum())
    x.zero_()
    maps = Path("/proc/self/maps").read_text()
    pipe.send((before, [*images._load.kept], total, "memfd:harness" in maps))


def sent(study: Study) -> tuple[list[object], list[object], float, bool]:
    ours, theirs = multiprocessing.Pipe()
    process = start(_seen, theirs)
    theirs.close()
    ours.send_bytes(pack(study))
    found = ours.recv()
    process.join()
    return found


@LINUX
def test_images_are_read_by_the_leader_alone_and_nobody_else_can_change_them(tmp_path: Path) -> None:
    idx(tmp_path, 2000)
    study = Study(name="own", task=Images(f"idx:{tmp_path}"), model=DropoutNet(hidden=(4,)), steps=2, seeds=2)
    x = study.task.data(0).x
    total = float(x.double().sum())
    before, after, theirs, mapped = sent(study)
    assert not before and [source for source, _ in after] == [f"idx:{tmp_path}"]
    assert theirs == total and mapped
    assert float(x.double().sum()) == total, "what another process writes is its own"
    assert len(pack(study)) < x.numel(), "the pictures are not in the message"


@LINUX
def test_tensors_of_the_users_own_are_mapped_too_and_small_ones_are_sent() -> None:
    x = torch.randn(3000, 100, generator=torch.Generator().manual_seed(0))
    assert x.numel() * 4 > LEAST_BYTES
    study = Study(name="own", task=Tensors(x, torch.arange(3000) % 3), model=DropoutNet(hidden=(4,)), steps=2, seeds=2)
    _, _, theirs, mapped = sent(study)
    assert theirs == float(x.double().sum()) and mapped
    assert SharedMemory().reduced(torch.zeros(8)) is NotImplemented
    assert SharedMemory().reduced(torch.zeros(10**6, requires_grad=True)) is NotImplemented


@LINUX
def test_the_memory_goes_with_the_study() -> None:
    x = torch.randn(3000, 100)
    study = Study(name="own", task=Tensors(x, torch.arange(3000) % 3), model=DropoutNet(hidden=(4,)), steps=2, seeds=2)
    pack(study)
    files = dict(memory_of(study)._files)
    assert len(files) == 1 and all("memfd:harness" in os.readlink(f"/proc/self/fd/{fd}") for fd in files.values())
    del study
    gc.collect()
    for descriptor in files.values():
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_what_cannot_be_sent_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    study = Study(name="own", task=Images(), model=DropoutNet(hidden=(4,)), steps=2, seeds=2)
    monkeypatch.setitem(images._load.kept, ("digits", ()), images._load.kept["digits", ()])
    monkeypatch.setattr(images._load.kept["digits", ()], "lock", threading.Lock(), raising=False)
    assert pack_loaded(study) == b""
    study = unpack(pack(study), "here")
    assert len(study.task.data(0).x) == 1797


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.int64, torch.uint8])
def test_repeated_inputs_are_those_that_are_the_same_to_the_bit(kind: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(-3 if kind.is_signed else 0, 4, (300, 7), generator=generator).to(kind)
    x[:, 0] = (torch.arange(300) % 250).to(kind)  # the last 50 could repeat the first, and differ in the other columns
    data = Data(
        x, torch.zeros(300, dtype=torch.int64), torch.arange(200), torch.arange(200, 250), torch.arange(250, 300)
    )
    assert repeated_inputs(data) is None
    if kind.is_signed and kind.is_floating_point:
        x[250:] = -x[:50]  # another sign alone
        x[250:, 0] = x[:50, 0]
        assert repeated_inputs(data) is None
    x[250:260] = x[:10]
    assert "10 of 50 test examples have inputs" in repeated_inputs(data).sentence
    x[200:203] = x[:3]  # what leaks into validation does not hide the other
    assert "10 of 50 test examples and 3 of 50 validation examples have inputs" in repeated_inputs(data).sentence
