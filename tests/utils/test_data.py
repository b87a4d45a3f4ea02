"""Datasets, samplers, DataLoader."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

import weft
from weft.errors import IndexOutOfRange, ShapeError, UnsupportedOp
from weft.graph import node
from weft.utils import data
from weft.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    random_split,
)


class Point(NamedTuple):
    x: Any
    y: Any


class Squares(Dataset[Any]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __getitem__(self, index: int) -> Any:
        return weft.tensor([float(index), index**2]), index

    def __len__(self) -> int:
        return self.count


class Stream(IterableDataset[int]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.count))


def pairs(count: int) -> TensorDataset:
    return TensorDataset(weft.arange(count * 2).view(count, 2), weft.arange(count))


def labels(loader: Any) -> list[int]:
    """The samples' numbers, in the order of their coming."""
    return [n for _, y in loader for n in y.tolist()]


# ---- datasets


def test_tensor_dataset_gives_rows() -> None:
    d = pairs(5)
    x, y = d[3]
    assert (len(d), x.tolist(), y.item()) == (5, [6, 7], 3)
    assert [part.tolist() for part in d[1:3]] == [[[2, 3], [4, 5]], [1, 2]]


def test_tensor_dataset_takes_a_batch_by_one_op_per_tensor() -> None:
    d, ops = pairs(1000), []
    for count in (4, 400):
        weft.realize()
        rows = d.__getitems__(list(range(count)))
        ops.append(sorted(n.sig.op.name for n in node.PENDING))
        assert len(rows) == count
    assert ops[0] == ops[1]


def test_rows_of_a_batch_are_samples() -> None:
    rows = pairs(10).__getitems__([7, 2, -1])
    assert [(x.tolist(), y.item()) for x, y in rows] == [([14, 15], 7), ([4, 5], 2), ([18, 19], 9)]
    assert rows[-1][1].item() == 9
    assert [y.item() for _, y in rows[:2]] == [7, 2]
    with pytest.raises(IndexOutOfRange, match="sample 3 of a batch of 3"):
        rows[3]


def test_a_subclass_s_own_samples_reach_the_batch() -> None:
    class Negated(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            x, y = super().__getitem__(index)
            return -x, y

    (x, y), *_ = DataLoader(Negated(weft.ones(4, 2), weft.arange(4)), 4)
    assert x.tolist() == [[-1, -1]] * 4
    assert y.tolist() == [0, 1, 2, 3]

    class Doubled(Subset[Any]):
        def __getitem__(self, index: Any) -> Any:
            x, y = super().__getitem__(index)
            return x * 2, y

    (x, y), *_ = DataLoader(Doubled(pairs(4), [3, 1]), 2)
    assert x.tolist() == [[12, 14], [4, 6]]


@pytest.mark.parametrize(
    ("tensors", "error", "message"),
    [
        ((), ValueError, "at least one tensor"),
        ((weft.ones(3, 2), weft.ones(4)), ShapeError, r"\[3, 4\] \(shapes \[3, 2\], \[4\]\)"),
        ((weft.ones(3), weft.tensor(1.0)), ShapeError, r"tensor 1 is a single number"),
        ((weft.ones(3), [1, 2, 3]), TypeError, "argument 1 is list: weft.tensor"),
    ],
)
def test_tensor_dataset_refuses(tensors: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        TensorDataset(*tensors)


def test_an_index_beyond_the_end_is_named_at_once() -> None:
    with pytest.raises(IndexOutOfRange, match="sample 5 is asked for, of a TensorDataset of 5"):
        list(DataLoader(pairs(5), sampler=[0, 5]))


def test_subset_and_concat() -> None:
    part = Subset(pairs(10), [8, 3, 5])
    assert [part[k][1].item() for k in range(3)] == [8, 3, 5]
    assert labels(DataLoader(part, 2)) == [8, 3, 5]
    both = pairs(3) + part
    assert isinstance(both, ConcatDataset)
    assert len(both) == 6
    assert [both[k][1].item() for k in (0, 2, 3, 5, -1, -6)] == [0, 2, 8, 5, 5, 0]
    assert labels(DataLoader(both, 4)) == [0, 1, 2, 8, 3, 5]
    with pytest.raises(IndexOutOfRange, match="sample 6 is asked for, of a ConcatDataset of 6"):
        both[6]
    with pytest.raises(TypeError, match="does not support IterableDataset, which Stream is"):
        ConcatDataset([pairs(2), Stream(3)])
    with pytest.raises(ValueError, match="should not be an empty iterable"):
        ConcatDataset([])


def test_datasets_side_by_side() -> None:
    d, words = pairs(4), list("abcd")
    assert StackDataset(range(4), words)[2] == (2, "c")
    stack = StackDataset(pair=d, word=words)
    assert (len(stack), stack[1]["word"], stack[1]["pair"][1].item()) == (4, "b", 1)
    batch = next(iter(DataLoader(stack, 3)))
    assert batch["pair"][0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert batch["word"] == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"Size mismatch .* \{'a': 4, 'b': 3\}"):
        StackDataset(a=d, b=range(3))
    with pytest.raises(ValueError, match="At least one dataset should be passed"):
        StackDataset()
    with pytest.raises(ValueError, match=r"Supported either .* but both types are given"):
        StackDataset(d, word=words)

    class Short(Squares):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            return [self[i] for i in indices[1:]]

    with pytest.raises(ValueError, match=r"Expected 2, got 1.*__getitems__ of dataset 1"):
        StackDataset(d, Short(4)).__getitems__([0, 1])


def test_streams_one_after_another() -> None:
    chain = Stream(2) + Stream(3)
    assert isinstance(chain, ChainDataset)
    assert list(chain) == [0, 1, 0, 1, 2]
    assert [b.tolist() for b in DataLoader(chain, 4)] == [[0, 1, 0, 1], [2]]
    with pytest.raises(TypeError, match="Stream has no length"):
        len(chain)
    with pytest.raises(TypeError, match="only supports IterableDataset, but its dataset 1 is a"):
        list(ChainDataset([Stream(1), cast("Any", pairs(2))]))


def test_random_split_parts_do_not_overlap() -> None:
    generator = weft.Generator().manual_seed(3)
    a, b = random_split(pairs(20), [15, 5], generator)
    assert sorted([*a.indices, *b.indices]) == list(range(20))
    assert list(a.indices) != sorted(a.indices)
    again, _ = random_split(pairs(20), [15, 5], weft.Generator().manual_seed(3))
    assert again.indices == a.indices


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([15, 4], r"\[15, 4\] add up to 19, but the dataset has 20 samples"),
        ([0.5, 0.4], r"add up to 0.9"),
        ([21, -1], r"\[21, -1\]"),
        ([1.5, -0.5], r"Fraction at index 0 is not between 0 and 1: .* 1.5"),
    ],
)
def test_random_split_refuses(lengths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        random_split(range(20), lengths)


def test_random_split_warns_of_an_empty_part() -> None:
    with pytest.warns(
        UserWarning, match=r"split at index 1 is 0: random_split was asked for 0\.1 of 5"
    ):
        random_split(range(5), [0.9, 0.1])


# ---- samplers


def test_the_order_is_a_function_of_the_seed_and_epochs_differ() -> None:
    def two_epochs(seed: int) -> list[list[int]]:
        weft.manual_seed(seed)
        loader = DataLoader(pairs(50), 8, shuffle=True)
        return [labels(loader), labels(loader)]

    first, second = two_epochs(1)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert two_epochs(1) == [first, second]
    assert two_epochs(2) != [first, second]


def test_a_generator_of_one_s_own_is_used_alone() -> None:
    def order() -> list[int]:
        generator = weft.Generator().manual_seed(5)
        return labels(DataLoader(pairs(30), 7, shuffle=True, generator=generator))

    weft.manual_seed(0)
    state = weft.get_rng_state().tolist()
    assert order() == order()
    assert weft.get_rng_state().tolist() == state


def test_random_sampler() -> None:
    assert sorted(RandomSampler(range(9))) == list(range(9))
    more = list(RandomSampler(range(4), num_samples=10))
    assert (sorted(more[:4]), sorted(more[4:8]), len(more)) == ([0, 1, 2, 3], [0, 1, 2, 3], 10)
    again = list(RandomSampler(range(5), replacement=True, num_samples=200))
    assert set(again) == set(range(5))
    assert len(again) == len(RandomSampler(range(5), num_samples=200)) == 200
    with pytest.raises(ValueError, match="the dataset is empty"):
        RandomSampler([])
    with pytest.raises(ValueError, match=r"num_samples should be a positive .* num_samples=0"):
        RandomSampler(range(3), num_samples=0)
    with pytest.raises(TypeError, match=r"replacement should be a boolean .* replacement=1"):
        RandomSampler(range(3), replacement=1)  # type: ignore[arg-type]


def test_who_draws_meanwhile_does_not_change_the_order() -> None:
    for sampler in (
        RandomSampler(range(30), num_samples=70),
        RandomSampler(range(30), replacement=True),
        SubsetRandomSampler(range(20, 50)),
        WeightedRandomSampler([1.0] * 30, 20, replacement=False),
    ):
        weft.manual_seed(1)
        alone = list(sampler)
        weft.manual_seed(1)
        disturbed = []
        for index in sampler:
            disturbed.append(index)
            weft.rand(1)
        assert disturbed == alone
        assert len(alone) == len(sampler)
        weft.manual_seed(1)
        assert [list(sampler), list(sampler)][1] != alone


def test_weighted_random_sampler() -> None:
    weft.manual_seed(0)
    drawn = list(WeightedRandomSampler([0.0, 1, 0, 3], 4000))
    assert set(drawn) == {1, 3}
    assert abs(drawn.count(3) - 3000) < 150
    first = [next(iter(WeightedRandomSampler([1, 2, 0, 5], 3, False))) for _ in range(4000)]
    assert abs(first.count(3) - 2500) < 200
    assert abs(first.count(0) - 500) < 120
    assert sorted(WeightedRandomSampler([1, 2, 0, 5], 3, False)) == [0, 1, 3]
    for weights, count, message in [
        ([1, -1], 1, "weight 1 is -1.0"),
        ([1, float("nan")], 1, "weight 1 is nan"),
        ([[1]], 1, r"a 1d sequence.*shape \(1, 1\)"),
        ([0, 0], 1, "only 0 of 2 weights are above 0"),
        ([1], 0, "num_samples should be a positive"),
    ]:
        with pytest.raises(ValueError, match=message):
            WeightedRandomSampler(cast("Any", weights), count)
    with pytest.raises(ValueError, match="without replacement, but only 2 of 3"):
        WeightedRandomSampler([1, 0, 1], 3, replacement=False)


@pytest.mark.parametrize(("count", "replicas"), [(10, 3), (9, 3), (2, 5), (0, 2)])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parity
def test_distributed_sampler(count: int, replicas: int, drop_last: bool, torch: Any) -> None:
    theirs = torch.utils.data.DistributedSampler
    for rank in range(replicas):
        options = {"num_replicas": replicas, "rank": rank, "drop_last": drop_last}
        ours = DistributedSampler[int](range(count), shuffle=False, **options)
        reference = theirs(range(count), shuffle=False, **options)
        assert len(ours) == len(reference)
        if count:
            assert list(ours) == list(reference)


def test_replicas_share_one_order_that_depends_on_the_epoch() -> None:
    samplers = [DistributedSampler[int](range(12), 3, rank) for rank in range(3)]
    orders = []
    for epoch in (0, 1, 0):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        orders.append([list(sampler) for sampler in samplers])
        assert sorted(n for order in orders[-1] for n in order) == list(range(12))
    assert orders[0] == orders[2] != orders[1]
    with pytest.raises(ValueError, match=r"Invalid rank 3, .* \[0, 2\]"):
        DistributedSampler(range(12), 3, 3)
    with pytest.raises(UnsupportedOp, match="pass num_replicas="):
        DistributedSampler(range(12))


@pytest.mark.parametrize("size", [0, -1, 2.0, True, "8"])
def test_a_batch_size_must_be_a_positive_int(size: Any) -> None:
    with pytest.raises(ValueError, match=f"batch_size should be a positive .*batch_size={size!r}"):
        DataLoader(pairs(3), size)
    with pytest.raises(ValueError, match="batch_size should be a positive integer"):
        BatchSampler(range(3), size, drop_last=False)


def test_samplers_of_one_s_own() -> None:
    class Backwards(Sampler[int]):
        def __iter__(self) -> Iterator[int]:
            return iter([2, 1, 0])

    assert labels(DataLoader(pairs(3), 2, sampler=Backwards())) == [2, 1, 0]
    assert labels(DataLoader(pairs(9), batch_sampler=[[0, 8], [3]])) == [0, 8, 3]
    with pytest.raises(TypeError, match="Backwards has no length"):
        len(DataLoader(pairs(3), 2, sampler=Backwards()))
    with pytest.raises(NotImplementedError, match="def __iter__"):
        list(Sampler[int]())


# ---- collate


def test_fields_are_joined_by_their_kind() -> None:
    sample = {
        "tensor": weft.ones(2),
        "array": np.zeros((2, 1), np.int16),
        "float": 0.5,
        "flag": True,
        "scalar": np.float32(2),
        "text": "a",
        "tuple": (1, [b"x"]),
        "point": Point(1, weft.ones(())),
    }
    batch = default_collate([sample] * 3)
    assert batch["tensor"].shape == (3, 2)
    assert (batch["array"].shape, batch["array"].dtype) == ((3, 2, 1), weft.int16)
    assert batch["float"].dtype is weft.float64
    assert batch["flag"].dtype is weft.bool
    assert batch["scalar"].dtype is weft.float32
    assert batch["text"] == ["a"] * 3
    assert batch["tuple"][0].tolist() == [1, 1, 1]
    assert batch["tuple"][1] == [(b"x",) * 3]
    assert isinstance(batch["point"], Point)
    assert batch["point"].y.shape == (3,)
    assert isinstance(default_collate([OrderedDict(a=1)] * 2), OrderedDict)


def test_ragged_samples_are_named_with_their_field() -> None:
    samples = [({"image": weft.ones(2)}, 0)] * 5 + [({"image": weft.ones(3)}, 1)]
    with pytest.raises(ShapeError) as caught:
        list(DataLoader(samples, 2, sampler=[0, 1, 4, 5]))
    assert (
        "one shape in field [0]['image'], but sample 4 of the dataset has [2] and sample 5 of the "
        "dataset has [3]"
    ) in str(caught.value)
    assert "collate_fn" in str(caught.value)


@pytest.mark.parametrize(
    ("batch", "error", "message"),
    [
        ([np.ones(2), np.ones(3)], ShapeError, r"sample 0 of the batch has \[2\] and sample 1"),
        ([(1, 2), (1,)], ShapeError, "has 2 and sample 1 of the batch has 1"),
        ([{"a": 1}, {"b": 1}], KeyError, r"the same keys, but sample 0 of the batch has \['a'\]"),
        ([(1, weft.ones(1)), (1, 2.0)], TypeError, r"alike in field \[1\].*Tensor and .* float"),
        ([1, None], TypeError, "sample 1 of the batch is None: does .* miss a `return`"),
        ([None, None], TypeError, "sample 0 of the batch is None"),
        ([Point(1, object())], TypeError, "sample 0 of the batch has a object in field .y"),
        ([], ValueError, "at least one sample"),
    ],
)
def test_what_cannot_be_joined_is_named(batch: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        default_collate(batch)


class Kept(dict[str, Any]):
    """A mapping that holds something else beside."""


class KeptList(list[Any]):
    pass


def test_types_of_mappings_and_sequences_are_kept() -> None:
    sample = Kept(a=1, b=KeptList([1.0, 2.0]))
    sample.name = "x"  # type: ignore[attr-defined]
    batch = default_collate([sample] * 2)
    assert (type(batch), batch.name, batch["a"].tolist()) == (Kept, "x", [1, 1])
    assert type(batch["b"]) is KeptList
    assert [x.tolist() for x in batch["b"]] == [[1, 1], [2, 2]]
    assert type(default_convert(sample)) is Kept
    assert default_convert(range(3)) == [0, 1, 2]
    assert default_collate([range(2)] * 2)[1].tolist() == [1, 1]


def test_arrays_of_strings_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"sample 0 of the batch has a ndarray in field .0.: conv"):
        default_collate([(np.array(["a"]), 1)])


def test_gradients_go_through_a_batch() -> None:
    x = weft.ones(3, requires_grad=True)
    (batch,) = DataLoader([x, x * 2], 2)
    batch.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [3, 3, 3]


def test_default_convert() -> None:
    out = default_convert({"a": np.ones(2), "b": [np.float32(1), "x"], "p": Point(np.ones(1), 2)})
    assert out["a"].dtype is weft.float64
    assert isinstance(out["b"][0], weft.Tensor)
    assert out["b"][1] == "x"
    assert isinstance(out["p"].x, weft.Tensor)


# ---- DataLoader


def test_a_dataset_of_single_samples() -> None:
    (x, y), last = DataLoader(Squares(5), 3)
    assert x.tolist() == [[0, 0], [1, 1], [2, 4]]
    assert y.tolist() == [0, 1, 2]
    assert last[0].shape == (2, 2)


def test_each_loop_is_one_pass_and_len_counts_batches() -> None:
    loader = DataLoader(pairs(10), 4)
    assert labels(loader) == labels(loader) == list(range(10))
    assert len(loader) == len(list(loader)) == 3
    short = DataLoader(pairs(10), 4, drop_last=True)
    assert len(short) == len(list(short)) == 2


def test_a_collate_fn_gets_a_list_of_samples() -> None:
    seen = list(DataLoader(pairs(3), 2, collate_fn=lambda samples: samples))
    assert [len(samples) for samples in seen] == [2, 1]
    assert isinstance(seen[0], list)
    assert seen[0][1][0].tolist() == [2, 3]


def test_batch_size_none_gives_single_samples() -> None:
    loader = DataLoader([np.ones(2), np.zeros(2)], batch_size=None)
    assert [x.tolist() for x in loader] == [[1, 1], [0, 0]]
    assert len(loader) == 2


def test_an_iterable_dataset() -> None:
    assert [b.tolist() for b in DataLoader(Stream(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Stream(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), batch_size=None)) == [0, 1, 2]
    with pytest.raises(TypeError, match="Stream has no length"):
        len(DataLoader(Stream(5), 2))


def test_a_sample_that_fails_is_named() -> None:
    class Failing(Squares):
        def __getitem__(self, index: int) -> Any:
            if index == 7:
                raise OSError("cannot read it")
            return super().__getitem__(index)

    with pytest.raises(OSError, match="cannot read it") as caught:
        list(DataLoader(Failing(9), 4))
    assert caught.value.__notes__ == ["while loading sample 7 of Failing"]


def test_a_batch_method_must_return_as_many() -> None:
    class Short(Squares):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            return [self[i] for i in indices[1:]]

    with pytest.raises(ValueError, match=r"Short.__getitems__ was asked for 3 .* returned 2"):
        list(DataLoader(Short(3), 3))


class NoLength(Dataset[int]):
    def __getitem__(self, index: int) -> int:
        return index


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda: DataLoader(pairs(3), sampler=[0], shuffle=True),
            ValueError,
            "exclusive with shuffle",
        ),
        (
            lambda: DataLoader(pairs(3), 2, batch_sampler=[[0]]),
            ValueError,
            "exclusive with batch_s",
        ),
        (lambda: DataLoader(pairs(3), None, drop_last=True), ValueError, "no last batch"),
        (lambda: DataLoader(Stream(3), shuffle=True), ValueError, "unspecified shuffle .* Stream"),
        (lambda: DataLoader(Stream(3), sampler=[1]), ValueError, "unspecified sampler .* Stream"),
        (lambda: DataLoader(NoLength()), TypeError, "NoLength has no length: define"),
        (lambda: DataLoader(cast("Any", Squares)), TypeError, r"DataLoader\(Squares\(...\)\)"),
        (lambda: DataLoader(cast("Any", iter([1]))), TypeError, "list_iterator has no __getitem__"),
        (lambda: DataLoader([], shuffle=True), ValueError, "the dataset is empty"),
        (lambda: DataLoader(pairs(3), num_workers=-1), ValueError, "non-negative, an int, not -1"),
        (lambda: DataLoader(pairs(3), timeout=-1), ValueError, "should be non-negative, not -1"),
        (lambda: DataLoader(pairs(3), timeout=3), ValueError, "leave timeout out, or .* num_work"),
        (lambda: DataLoader(pairs(3), prefetch_factor=2), ValueError, "prefetch_factor=2 is about"),
        (lambda: DataLoader(pairs(3), persistent_workers=True), ValueError, "persistent_wo"),
        (
            lambda: DataLoader(pairs(3), multiprocessing_context="fork"),
            ValueError,
            "multiprocessing_context can only be used with multi-process loading",
        ),
        (
            lambda: DataLoader(pairs(3), num_workers=1, multiprocessing_context="spoon"),
            ValueError,
            "should specify a valid start method in .*'fork'.* but got 'spoon'",
        ),
        (
            lambda: DataLoader(pairs(3), num_workers=1, multiprocessing_context=3),
            TypeError,
            "should be a valid context object or a string",
        ),
        (
            lambda: DataLoader(pairs(3), num_workers=1, prefetch_factor=0),
            ValueError,
            "prefetch_factor should be a positive",
        ),
        (lambda: DataLoader(pairs(3), worker_method="fibre"), ValueError, "'multiprocessing' or"),
        (lambda: DataLoader(pairs(3), generator=cast("Any", 3)), TypeError, "must be a weft.Gen"),
    ],
)
def test_options_that_cannot_be_met(make: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_options_that_mean_nothing_here_are_accepted() -> None:
    loader = DataLoader(
        pairs(3), 2, pin_memory=True, worker_init_fn=print, in_order=False, pin_memory_device="cuda"
    )
    assert labels(loader) == [0, 1, 2]


def test_options_are_fixed() -> None:
    loader = DataLoader(pairs(3), 2)
    with pytest.raises(ValueError, match=r"'batch_size' .* DataLoader\(dataset, batch_size=...\)"):
        loader.batch_size = 3
    loader.collate_fn = len
    assert list(loader) == [2, 1]


def test_a_dataset_that_says_nothing() -> None:
    with pytest.raises(NotImplementedError, match=r"Empty .*def __getitem__"):
        type("Empty", (Dataset,), {})()[0]
    with pytest.raises(NotImplementedError, match=r"Empty .*def __iter__"):
        iter(type("Empty", (IterableDataset,), {})())


def test_all_names_are_there() -> None:
    assert all(hasattr(data, name) for name in data.__all__)


# ---- as in PyTorch


@pytest.mark.parity
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize(("count", "size"), [(10, 3), (9, 3), (2, 5), (0, 2), (1, 1)])
def test_batches_have_pytorch_s_shapes(count: int, size: int, drop_last: bool, torch: Any) -> None:
    from torch.utils import data as theirs

    x, y = np.arange(count * 4.0).reshape(count, 2, 2), np.arange(count)
    ours = DataLoader(
        TensorDataset(weft.from_numpy(x), weft.from_numpy(y)), size, drop_last=drop_last
    )
    other = theirs.DataLoader(
        theirs.TensorDataset(torch.tensor(x), torch.tensor(y)), size, drop_last=drop_last
    )
    assert len(ours) == len(other)
    for batch, expected in zip(ours, other, strict=True):
        assert type(batch) is type(expected)
        assert [b.tolist() for b in batch] == [e.tolist() for e in expected]


def plain(value: Any) -> Any:
    """A batch with its tensors as dtype and values."""
    if hasattr(value, "dtype"):
        return str(value.dtype).split(".")[-1], value.tolist()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return (
            type(value)([plain(v) for v in value])
            if type(value) is list
            else tuple(map(plain, value))
        )
    return value


@pytest.mark.parity
@pytest.mark.parametrize(
    "batch",
    [
        [1, 2, 3],
        [0.5, 1.5],
        [True, False],
        ["a", "b"],
        [(0, 1.5), (2, 3.5)],
        [[0, "x"], [2, "y"]],
        [{"a": 1, "b": {"c": (1, 2)}}, {"a": 2, "b": {"c": (3, 4)}}],
        [Point(0, 1), Point(2, 3)],
        [np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)],
        [np.float32(1), np.float32(2)],
        [(np.int16(1), np.array(2.0)), (np.int16(3), np.array(4.0))],
    ],
    ids=repr,
)
def test_collate_is_pytorch_s(batch: Any, torch: Any) -> None:
    from torch.utils.data import default_collate as theirs

    assert plain(default_collate(batch)) == plain(theirs(batch))


@pytest.mark.parity
@pytest.mark.parametrize("lengths", [[0.5, 0.5], [0.3, 0.3, 0.4], [1 / 3] * 3, [7, 3], [1]])
def test_random_split_has_pytorch_s_sizes(lengths: Any, torch: Any) -> None:
    count = 10 if sum(lengths) != 1 or len(lengths) > 1 else 7
    ours = random_split(range(count), lengths)
    theirs = torch.utils.data.random_split(range(count), lengths)
    assert [len(part) for part in ours] == [len(part) for part in theirs]


@pytest.mark.parity
def test_samplers_have_pytorch_s_lengths(torch: Any) -> None:
    theirs = torch.utils.data
    for drop_last in (False, True):
        ours = BatchSampler(SequentialSampler(range(7)), 3, drop_last)
        other = theirs.BatchSampler(theirs.SequentialSampler(range(7)), 3, drop_last)
        assert list(ours) == list(other)
        assert len(ours) == len(other)
