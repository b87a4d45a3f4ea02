"""Transforms of images: against PyTorch's functions, and what is chosen at random."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import weft
import weft.nn.functional as F
from weft.errors import DTypeError, ShapeError
from weft.utils.data import DataLoader, Dataset, TensorDataset, default_collate, transforms as T

DRAW = np.random.default_rng(0)
PIXELS = DRAW.integers(0, 256, (6, 3, 20, 30), np.uint8)

RANDOM: list[Any] = [
    T.RandomCrop((8, 9)),
    T.RandomCrop(20, padding=2),
    T.RandomCrop((24, 40), pad_if_needed=True, padding_mode="reflect"),
    T.RandomResizedCrop(12),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(0.3),
    T.RandomErasing(0.9, value=[1, 2, 3]),
    T.Compose([T.RandomHorizontalFlip(), T.RandomCrop(10)]),
]
FIXED: list[Any] = [
    T.Resize(10),
    T.Resize((7, 33), "bicubic"),
    T.CenterCrop(8),
    T.CenterCrop((30, 25)),
    T.Pad(2),
    T.Pad((1, 2, 3, 4), padding_mode="edge"),
    T.ToDtype(weft.float32, scale=True),
    T.Compose([T.ToTensor(), T.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])]),
]


def images(dtype: Any = np.uint8) -> Any:
    x = PIXELS if dtype == np.uint8 else (PIXELS / 255).astype(dtype)
    return weft.from_numpy(x)


@pytest.mark.parametrize("transform", [*FIXED, *RANDOM], ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_one_image_a_batch_and_batches_of_batches(transform: Any, dtype: Any) -> None:
    x = images(dtype)
    batch = transform(x)
    assert batch.shape[:2] == (6, 3)
    assert transform(x[0]).shape == batch.shape[1:]
    assert transform(x.view(2, 3, 3, 20, 30)).shape == (2, 3, *batch.shape[1:])
    if "ToDtype" not in repr(transform) and "ToTensor" not in repr(transform):
        assert batch.dtype is x.dtype
    again = pickle.loads(pickle.dumps(transform))
    weft.manual_seed(0)
    expected = transform(x).tolist()
    weft.manual_seed(0)
    assert again(x).tolist() == expected


@pytest.mark.parametrize("transform", RANDOM, ids=repr)
def test_choices_are_made_anew_for_each_image_and_repeat(transform: Any) -> None:
    same = weft.from_numpy(np.broadcast_to(PIXELS[:1], (64, 3, 20, 30)).copy())

    def run(seed: int) -> Any:
        weft.manual_seed(seed)
        return transform(same).numpy()

    first = run(0)
    assert np.array_equal(first, run(0))
    assert not np.array_equal(first, run(1))
    assert len({image.tobytes() for image in first}) > 1


@pytest.mark.parametrize("make", [T.RandomCrop, T.RandomResizedCrop, T.RandomHorizontalFlip])
def test_a_generator_of_one_s_own(make: Any) -> None:
    def run() -> Any:
        size = () if make is T.RandomHorizontalFlip else (8,)
        return make(*size, generator=weft.Generator().manual_seed(4))(images()).tolist()

    before = weft.get_rng_state().tolist()
    assert run() == run()
    assert weft.get_rng_state().tolist() == before


# ---- what they do


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(10, 13), (40, 50), (20, 7), (5, 60)])
@pytest.mark.parametrize("antialias", [True, False])
def test_resize(mode: str, size: Any, antialias: bool, torch: Any) -> None:
    options = {} if mode.startswith("nearest") else {"antialias": antialias, "align_corners": False}
    x = torch.from_numpy(PIXELS).float()
    expected = torch.nn.functional.interpolate(x, size, mode=mode, **options)
    resize = T.Resize(size, mode, antialias=antialias)
    assert np.allclose(resize(images().float()).numpy(), expected.numpy(), atol=1e-3)
    rounded = expected.round().clamp(0, 255).numpy()
    difference = np.abs(resize(images()).numpy().astype(int) - rounded)
    assert difference.max() <= 1
    assert difference.mean() < 0.01  # (halves)


def test_sizes_in_proportion() -> None:
    def size(*arguments: Any, shape: tuple[int, int] = (20, 30), **options: Any) -> Any:
        return tuple(T.Resize(*arguments, **options)(weft.zeros(1, *shape)).shape[1:])

    assert size(10) == (10, 15)
    assert size([10]) == (10, 15)
    assert size(10, shape=(30, 20)) == (15, 10)
    assert size(40, max_size=50) == (33, 50)
    assert size(7, shape=(9, 9)) == (7, 7)


@pytest.mark.parity
def test_a_part_made_the_right_size_is_that_part_resized(torch: Any) -> None:
    crop = T.RandomResizedCrop((9, 11), scale=(0.1, 1))
    boxes = (np.array([0, 3, 11, 0, 5, 2]), np.array([0, 4, 20, 0, 1, 0]))
    sizes = (np.array([20, 5, 9, 1, 15, 9]), np.array([30, 26, 10, 30, 1, 11]))
    crop._boxes = lambda *_: (*boxes, *sizes)
    found = crop(images().float()).numpy()
    for k in range(6):
        (top, left), (height, width) = (b[k] for b in boxes), (s[k] for s in sizes)
        part = torch.from_numpy(PIXELS[k : k + 1, :, top : top + height, left : left + width])
        expected = torch.nn.functional.interpolate(
            part.float(), (9, 11), mode="bilinear", antialias=True, align_corners=False
        )
        assert np.allclose(found[k], expected[0].numpy(), atol=1e-2), k


def test_boxes_have_the_areas_and_shapes_asked_for() -> None:
    crop = T.RandomResizedCrop(9, (0.2, 0.6), (0.5, 2))
    top, left, height, width = crop._boxes(2000, 100, 120)
    assert (top >= 0).all()
    assert (top + height <= 100).all()
    assert (left >= 0).all()
    assert (left + width <= 120).all()
    area, shape = height * width / 12_000, width / height
    assert 0.19 < area.min() < 0.22
    assert 0.57 < area.max() < 0.61
    assert 0.48 < shape.min() < 0.55
    assert 1.8 < shape.max() < 2.05
    assert abs(np.log(shape).mean()) < 0.05
    assert (top + height == 100).any()
    assert (top == 0).any()
    narrow = T.RandomResizedCrop(9, (1, 1), (1, 1))._boxes(3, 10, 50)  # none fits
    assert [v.tolist() for v in narrow] == [[0] * 3, [20] * 3, [10] * 3, [10] * 3]


def test_crops_are_parts() -> None:
    x = images()
    out = T.RandomCrop((8, 9))(x).numpy()
    places = set()
    for image, whole in zip(out, PIXELS, strict=True):
        at = [
            (r, c)
            for r in range(13)
            for c in range(22)
            if np.array_equal(image, whole[:, r : r + 8, c : c + 9])
        ]
        assert len(at) == 1
        places.add(at[0])
    assert len(places) > 1
    many = weft.arange(30.0).expand(500, 1, 1, 30)
    starts = T.RandomCrop((1, 28))(many)[:, 0, 0, 0].tolist()
    assert set(starts) == {0, 1, 2}
    assert min(starts.count(k) for k in (0, 1, 2)) > 120
    padded = T.RandomCrop(20, padding=[4, 0], fill=7)(weft.zeros(50, 1, 20, 20))
    assert (padded == 7).any().item()
    with pytest.raises(ShapeError, match=r"RandomCrop\(21, 9\) cannot cut .*\[\.\.\., 20, 30\]"):
        T.RandomCrop((21, 9))(x)


def test_centre_crops_and_borders() -> None:
    x = images()
    assert np.array_equal(T.CenterCrop((6, 7))(x).numpy(), PIXELS[:, :, 7:13, 12:19])
    larger = T.CenterCrop((25, 10))(x).numpy()
    assert np.array_equal(larger[:, :, 2:22], PIXELS[:, :, :, 10:20])
    assert larger[:, :, :2].max() == larger[:, :, 22:].max() == 0
    for mode in ("edge", "reflect", "symmetric"):
        expected = np.pad(PIXELS, [(0, 0), (0, 0), (2, 4), (1, 3)], mode)  # type: ignore[call-overload]
        assert np.array_equal(T.Pad([1, 2, 3, 4], padding_mode=mode)(x).numpy(), expected)
    expected = np.pad(PIXELS, [(0, 0), (0, 0), (5, 5), (1, 1)], constant_values=9)
    assert np.array_equal(T.Pad((1, 5), fill=9)(x).numpy(), expected)


@pytest.mark.parametrize(("make", "axis"), [(T.RandomHorizontalFlip, 3), (T.RandomVerticalFlip, 2)])
def test_mirrors(make: Any, axis: int) -> None:
    x = images()
    mirrored = np.flip(PIXELS, axis)
    assert np.array_equal(make(1)(x).numpy(), mirrored)
    assert np.array_equal(make(0)(x).numpy(), PIXELS)
    out = make(0.25)(weft.arange(2.0).view(1, 1, 2, 1).expand(4000, 1, 2, 2).clone())
    assert set(make(0.5)(x).numpy().reshape(6, -1).sum(1).tolist()) == set(
        PIXELS.reshape(6, -1).sum(1, dtype=int).tolist()
    )
    if axis == 2:
        assert abs(out[:, 0, 0, 0].mean().item() - 0.25) < 0.03


def test_erasing() -> None:
    x = weft.zeros(500, 2, 30, 40)
    out = T.RandomErasing(0.8, (0.1, 0.3), (0.5, 2), value=(1, 5))(x).numpy()
    assert set(np.unique(out[:, 0])) == {0, 1}
    assert np.array_equal(out[:, 1], out[:, 0] * 5)
    part = out[:, 0].mean((1, 2))
    assert abs((part > 0).mean() - 0.8) < 0.06
    assert 0.09 < part[part > 0].min() < 0.12
    assert 0.27 < part.max() < 0.32
    for image in out[:20, 0]:
        rows, columns = np.nonzero(image)
        if rows.size:
            assert image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()


def test_values() -> None:
    x = images()
    assert np.allclose(T.ToDtype(weft.float32, scale=True)(x).numpy(), PIXELS / 255)
    assert T.ToDtype(weft.float32)(x).max().item() == PIXELS.max()
    back = T.ToDtype(weft.uint8, scale=True)(T.ToDtype(weft.float32, scale=True)(x))
    assert np.array_equal(back.numpy(), PIXELS)
    array = PIXELS[0].transpose(1, 2, 0)
    assert np.allclose(T.ToTensor()(array).numpy(), PIXELS[0] / 255)
    assert T.ToTensor()(array[:, :, 0]).shape == (1, 20, 30)
    assert np.allclose(T.ToTensor()(x).numpy(), PIXELS / 255)
    y = T.Normalize([0.1, 0.2, 0.3], [2, 3, 4])(images(np.float32)).numpy()
    expected = (PIXELS / 255 - np.array([0.1, 0.2, 0.3])[:, None, None]) / np.array([2, 3, 4])[
        :, None, None
    ]
    assert np.allclose(y, expected, atol=1e-6)


def test_pil_images() -> None:
    image = pytest.importorskip("PIL.Image", reason="images need Pillow: pip install 'weft[data]'")
    made = image.fromarray(PIXELS[0].transpose(1, 2, 0))
    assert np.allclose(T.ToTensor()(made).numpy(), PIXELS[0] / 255)
    assert T.ToTensor()(made.convert("L")).shape == (1, 20, 30)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: T.Resize(0), ValueError, "size is an int of at least 1, or two"),
        (lambda: T.Resize((3, 4, 5)), ValueError, "size is an int"),
        (lambda: T.Resize(3, "cubic"), ValueError, "one of 'nearest', .* not 'cubic'"),
        (lambda: T.Resize((3, 4), max_size=9), ValueError, "max_size bounds the larger side"),
        (lambda: T.Pad((1, 2, 3)), ValueError, "padding is one number"),
        (lambda: T.Pad(1, padding_mode="wrap"), ValueError, "not 'wrap'"),
        (lambda: T.RandomHorizontalFlip(1.5), ValueError, "p is a probability.* not 1.5"),
        (lambda: T.RandomResizedCrop(3, (0.5, 0.1)), ValueError, "scale is .least, greatest"),
        (lambda: T.Normalize([0.1], [0]), ValueError, "has a 0 in it"),
        (lambda: T.Normalize([0.1], [1, 2]), ValueError, "1 means and 2 stds"),
        (lambda: T.Normalize([0.1], [1])(images()), DTypeError, "put ToDtype.weft.float32"),
        (lambda: T.Normalize([0, 0], [1, 1])(images(np.float32)), ShapeError, "have 3 .shape"),
        (lambda: T.CenterCrop(3)(weft.ones(4, 4)), ShapeError, r"not a Tensor of shape \[4, 4\]"),
        (lambda: T.CenterCrop(3)(PIXELS), TypeError, "not ndarray: ToTensor"),
        (lambda: T.ToTensor()(np.zeros((1, 2, 3, 4))), ShapeError, r"not shape \[1, 2, 3, 4\]"),
        (lambda: T.MixUp(alpha=0), ValueError, "alpha must be above 0"),
        (lambda: T.MixUp()(images(), weft.arange(6)), ValueError, r"MixUp\(num_classes=...\)"),
        (lambda: T.CutMix(num_classes=3)(images()[0], weft.arange(3)), ShapeError, "takes a batch"),
        (
            lambda: T.CutMix(num_classes=3)(images(), weft.zeros(6)),
            DTypeError,
            "classes, integers, not weft.float32",
        ),
    ],
)
def test_mistakes(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


# ---- mixing


def test_mixup() -> None:
    weft.manual_seed(0)
    x, y = weft.arange(400.0).view(400, 1, 1, 1).expand(400, 2, 3, 4), weft.arange(400) % 5
    mixed, shares = T.MixUp(num_classes=5)(x, y)
    assert (mixed.shape, shares.shape) == ((400, 2, 3, 4), (400, 5))
    assert np.allclose(shares.sum(1).numpy(), 1, atol=1e-6)
    own = shares.numpy()[np.arange(400), y.numpy()]
    expected = np.arange(400) * own + np.roll(np.arange(400), 1) * (1 - own)
    assert np.allclose(mixed[:, 1, 2, 3].numpy(), expected, atol=1e-3)
    assert abs(own.mean() - 0.5) < 0.05
    assert 0.25 < own.std() < 0.33  # uniform: 0.29
    _, sharp = T.MixUp(num_classes=5, alpha=0.1)(x, y)
    assert ((sharp.max(1)[0] > 0.95).sum() > 200).item()
    _, again = T.MixUp()(x, shares)
    assert np.allclose(again.sum(1).numpy(), 1, atol=1e-6)
    F.cross_entropy(weft.zeros(400, 5), shares).item()
    assert T.MixUp(num_classes=5)(images(), y[:6])[0].dtype is weft.uint8


def test_cutmix() -> None:
    weft.manual_seed(0)
    x = weft.arange(300.0).view(300, 1, 1, 1).expand(300, 2, 20, 24).clone()
    mixed, shares = T.CutMix(num_classes=300)(x, weft.arange(300))
    kept = (mixed == x).float().mean((1, 2, 3)).numpy()
    assert np.allclose(shares.numpy()[np.arange(300), np.arange(300)], kept, atol=1e-6)
    other = np.roll(np.arange(300), 1)
    assert np.allclose(shares.numpy()[np.arange(300), other], 1 - kept, atol=1e-6)
    assert set(np.unique(mixed[7].numpy())) <= {6, 7}
    assert 0.5 < kept.mean() < 0.75
    assert kept.min() < 0.2
    assert kept.max() > 0.95


# ---- with a loader


class Noisy(Dataset[Any]):
    transform = T.Compose([T.RandomCrop(16, padding=2), T.RandomHorizontalFlip(), T.ToTensor()])

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> Any:
        return self.transform(images()[index]), index


def test_in_datasets_the_choices_do_not_depend_on_the_workers() -> None:
    def run(**options: Any) -> Any:
        weft.manual_seed(3)
        return [(x.tolist(), y.tolist()) for x, y in DataLoader(Noisy(), 2, **options)]

    expected = run()
    assert run(num_workers=2) == expected
    assert run(num_workers=2, worker_method="thread") == expected
    assert run(num_workers=1, multiprocessing_context="spawn") == expected


def test_in_collate_fn() -> None:
    mix = T.CutMix(num_classes=6)

    def collate(samples: Any) -> Any:
        return mix(*default_collate(samples))

    data = TensorDataset(images(), weft.arange(6))

    def run(**options: Any) -> Any:
        weft.manual_seed(3)
        return [
            (x.tolist(), y.tolist()) for x, y in DataLoader(data, 3, collate_fn=collate, **options)
        ]

    assert run() == run(num_workers=2) == run(num_workers=1, worker_method="thread")
