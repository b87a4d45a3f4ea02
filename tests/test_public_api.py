"""The public names: ``__all__`` is complete, each name is there, and a misspelt one gets advice."""

from __future__ import annotations

import ast
import importlib
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import weft

ROOT = Path(__file__).parents[1]

MODULES = [
    "weft",
    "weft.autograd",
    "weft.amp",
    "weft.autograd.functional",
    "weft.distributions",
    "weft.func",
    "weft.linalg",
    "weft.models",
    "weft.nn",
    "weft.nn.functional",
    "weft.nn.init",
    "weft.nn.lora",
    "weft.nn.utils",
    "weft.nn.utils.parametrizations",
    "weft.nn.utils.parametrize",
    "weft.nn.utils.prune",
    "weft.optim",
    "weft.optim.lr_scheduler",
    "weft.optim.swa_utils",
    "weft.random",
    "weft.special",
    "weft.train",
    "weft.utils.checkpoint",
    "weft.utils.data",
    "weft.utils.data.datasets",
    "weft.utils.data.transforms",
]

#: Of these PyTorch has no counterpart.
OWN_MODULES = [
    "weft.models",
    "weft.nn.lora",
    "weft.train",
    "weft.utils.data.datasets",
    "weft.utils.data.transforms",
]

#: Names without an underscore that files of one package share, not meant for users.
SHARED_INSIDE = {
    "weft.nn.init": {"fans", "reset_linear"},
    "weft.nn.utils.parametrize": {"tensor_of"},
}

#: Names that PyTorch has elsewhere, or not at all.
OWN_NAMES = {
    "weft": {"errors", "explain", "from_torch", "models", "profile", "realize", "train"},
    "weft.amp": {  # torch
        *("clear_autocast_cache", "get_autocast_cpu_dtype", "get_autocast_dtype"),
        *("get_autocast_gpu_dtype", "is_autocast_cache_enabled", "is_autocast_cpu_enabled"),
        "is_autocast_enabled",
    },
    "weft.autograd": {
        "FunctionCtx",  # torch.autograd.function
        "GradcheckError",  # torch.autograd.gradcheck
        "is_grad_enabled",  # torch
        "once_differentiable",  # torch.autograd.function
    },
    "weft.nn": {
        *("ALiBi", "DiceLoss", "DropPath", "FocalLoss", "GEGLU", "Lambda", "Residual"),
        *("GroupedQueryAttention", "KVCache", "LoRA", "RotaryEmbedding", "SwiGLU", "lora"),
    },
    "weft.optim": {"LAMB", "AdamWScheduleFree", "Lion"},  # papers'
    "weft.utils.data": {"read_idx"},  # torchvision reads MNIST's files
}


def load(name: str) -> ModuleType:
    return importlib.import_module(name)


def bound_names(module: ModuleType) -> set[str]:
    """The names without underscore that a file defines, or takes over from elsewhere in weft.

    What it imports from other packages, or only to use it, is its own affair; the latter is what
    ``from .x import y`` means in any file but an ``__init__.py``.
    """
    assert module.__file__ is not None
    path = Path(module.__file__)
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.ImportFrom) and node.level and path.name == "__init__.py":
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                names |= {n.id for n in ast.walk(target) if isinstance(n, ast.Name)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_out(name: str) -> None:
    names = load(name).__all__
    assert len(names) == len(set(names)), "a name stands there twice"
    assert all(hasattr(load(name), n) for n in names)


@pytest.mark.parametrize("name", MODULES)
def test_all_equals_the_public_names(name: str) -> None:
    module = load(name)
    inside = SHARED_INSIDE.get(name, set())
    assert inside <= bound_names(module), "no longer there: take it off SHARED_INSIDE"
    assert not inside & set(module.__all__)
    helpers = {"did_you_mean"}  # of __getattr__
    assert bound_names(module) - helpers - inside <= set(module.__all__)


@pytest.mark.parametrize("name", MODULES)
def test_star_import_gives_all(name: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from {name} import *", namespace)
    assert set(load(name).__all__) <= set(namespace)


@pytest.mark.parametrize("name", MODULES)
def test_dir_shows_all(name: str) -> None:
    assert set(load(name).__all__) <= set(dir(load(name)))


@pytest.mark.parametrize(
    ("module", "wrong", "right"),
    [
        ("weft", "zeroes", "zeros"),
        ("weft", "Generater", "Generator"),
        ("weft", "no_gard", "no_grad"),
        ("weft", "optm", "optim"),
        ("weft.nn", "Conv", "Conv2d"),
        ("weft.nn", "Liner", "Linear"),
        ("weft.nn", "sequential", "Sequential"),
        ("weft.nn", "CrossEntropy", "CrossEntropyLoss"),
        ("weft.nn.functional", "crossentropy", "cross_entropy"),
        ("weft.nn.functional", "log_soft_max", "log_softmax"),
        ("weft.models", "resnet_18", "resnet18"),
        ("weft.nn.init", "kaiming_unifrm_", "kaiming_uniform_"),
        ("weft.nn.lora", "unmarge", "unmerge"),
        ("weft.nn.utils", "clip_gradnorm_", "clip_grad_norm_"),
        ("weft.nn.utils.parametrizations", "spectralnorm", "spectral_norm"),
        ("weft.nn.utils.parametrize", "register_parametrisation", "register_parametrization"),
        ("weft.nn.utils.prune", "l1_unstructed", "l1_unstructured"),
        ("weft.optim", "Sgd", "SGD"),
        ("weft.optim", "RMSProp", "RMSprop"),
        ("weft.optim.lr_scheduler", "CosineAnnealing", "CosineAnnealingLR"),
        ("weft.optim.swa_utils", "AverageModel", "AveragedModel"),
        ("weft.distributions", "Categoric", "Categorical"),
        ("weft.func", "jacrv", "jacrev"),
        ("weft.autograd.functional", "jacobean", "jacobian"),
        ("weft.autograd", "gradchek", "gradcheck"),
        ("weft.special", "gamaln", "gammaln"),
        ("weft.train", "evalute", "evaluate"),
        ("weft.utils.checkpoint", "checkpoint_seqential", "checkpoint_sequential"),
        ("weft.utils.data", "Dataloader", "DataLoader"),
        ("weft.utils.data.datasets", "Mnist", "MNIST"),
        ("weft.utils.data.transforms", "RandomHorizontalflip", "RandomHorizontalFlip"),
    ],
)
def test_a_misspelt_name_gets_advice(module: str, wrong: str, right: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(load(module), wrong)
    text = str(caught.value)
    assert f"'{wrong}'" in text
    assert "Did you mean" in text
    assert right in text.partition("Did you mean")[2]


@pytest.mark.parametrize("module", MODULES)
def test_a_name_like_no_other_gets_none(module: str) -> None:
    with pytest.raises(AttributeError, match="has no attribute 'qqqqqqqq'") as caught:
        getattr(load(module), "qqqqqqqq")  # noqa: B009 (a constant only here)
    assert "Did you mean" not in str(caught.value)


def test_python_s_own_names_get_no_advice() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute '__al__'\.$"):
        getattr(weft.nn, "__al__")  # noqa: B009


def test_what_is_no_part_of_weft_is_said_so() -> None:
    with pytest.raises(
        AttributeError, match=r"no attribute 'profiler'\. It is not part.*weft.profile"
    ):
        getattr(weft, "profiler")  # noqa: B009
    assert not hasattr(weft, "onnx")


def test_hasattr_and_getattr_with_a_default_work() -> None:
    assert not hasattr(weft.nn, "NoSuchLayer")
    assert getattr(weft, "no_such_name", None) is None


def test_the_version_stands_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "weft/version.py"
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{weft.__version__}] - " in changes


def test_types_are_declared_to_be_there() -> None:
    assert (ROOT / "weft" / "py.typed").is_file()


@pytest.mark.parity
@pytest.mark.parametrize("name", [n for n in MODULES if n not in OWN_MODULES])
def test_names_are_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch: pip install 'weft[parity]'")
    for each in set(MODULES) - set(OWN_MODULES):  # PyTorch imports some only when asked to
        importlib.import_module(each.replace("weft", torch.__name__, 1))
    theirs = importlib.import_module(name.replace("weft", torch.__name__, 1))
    ours = {n for n in load(name).__all__ if not hasattr(theirs, n)}
    assert ours == OWN_NAMES.get(name, set())
