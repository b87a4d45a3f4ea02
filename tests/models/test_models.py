"""The model zoo: names and shapes as published, and values as the same source gives in PyTorch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import models, nn
from weft.errors import CheckpointError, DTypeError, ShapeError

MODELS = Path(models.__file__).parent

Shapes = dict[str, tuple[int, ...]]


def shapes(model: nn.Module) -> Shapes:
    return {k: tuple(v.shape) for k, v in model.state_dict().items()}


def norm(name: str, n: int, running: bool = True) -> Shapes:
    out: Shapes = {f"{name}.weight": (n,), f"{name}.bias": (n,)}
    if running:
        out |= {f"{name}.running_mean": (n,), f"{name}.running_var": (n,)}
        out |= {f"{name}.num_batches_tracked": ()}
    return out


def linear(name: str, inputs: int, outputs: int, transposed: bool = False) -> Shapes:
    shape = (inputs, outputs) if transposed else (outputs, inputs)
    return {f"{name}.weight": shape, f"{name}.bias": (outputs,)}


# ---- names and shapes as published


def torchvision_resnet(counts: tuple[int, ...], bottleneck: bool) -> Shapes:
    """The state dict of ``torchvision.models.resnet*``."""
    out: Shapes = {"conv1.weight": (64, 3, 7, 7), **norm("bn1", 64)}
    inputs = 64
    for stage, count in enumerate(counts):
        width = 64 * 2**stage
        outputs = width * (4 if bottleneck else 1)
        for k in range(count):
            block = f"layer{stage + 1}.{k}"
            if bottleneck:
                sizes = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            else:
                sizes = [(width, inputs, 3), (width, width, 3)]
            for i, (o, c, size) in enumerate(sizes, 1):
                out |= {f"{block}.conv{i}.weight": (o, c, size, size), **norm(f"{block}.bn{i}", o)}
            if k == 0 and inputs != outputs:
                out |= {f"{block}.downsample.0.weight": (outputs, inputs, 1, 1)}
                out |= norm(f"{block}.downsample.1", outputs)
            inputs = outputs
    return out | linear("fc", inputs, 1000)


@pytest.mark.parametrize(
    ("name", "counts", "bottleneck", "parameters"),
    [
        ("resnet18", (2, 2, 2, 2), False, 11_689_512),
        ("resnet34", (3, 4, 6, 3), False, 21_797_672),
        ("resnet50", (3, 4, 6, 3), True, 25_557_032),
    ],
)
def test_resnet_has_torchvisions_layout(
    name: str, counts: tuple[int, ...], bottleneck: bool, parameters: int
) -> None:
    model = getattr(models, name)()
    assert shapes(model) == torchvision_resnet(counts, bottleneck)
    assert list(shapes(model)) == list(torchvision_resnet(counts, bottleneck))
    assert sum(p.numel() for p in model.parameters()) == parameters


def timm_vit(dim: int, depth: int, patch: int, size: int) -> Shapes:
    """The state dict of ``timm.create_model("vit_*_patch*")``."""
    out: Shapes = {"cls_token": (1, 1, dim), "pos_embed": (1, (size // patch) ** 2 + 1, dim)}
    out |= {"patch_embed.proj.weight": (dim, 3, patch, patch), "patch_embed.proj.bias": (dim,)}
    for k in range(depth):
        at = f"blocks.{k}"
        out |= norm(f"{at}.norm1", dim, False) | linear(f"{at}.attn.qkv", dim, 3 * dim)
        out |= linear(f"{at}.attn.proj", dim, dim) | norm(f"{at}.norm2", dim, False)
        out |= linear(f"{at}.mlp.fc1", dim, 4 * dim) | linear(f"{at}.mlp.fc2", 4 * dim, dim)
    return out | norm("norm", dim, False) | linear("head", dim, 1000)


def test_vit_has_timms_layout() -> None:
    model = models.vit_tiny()
    assert shapes(model) == timm_vit(192, 12, 16, 224)
    assert sum(p.numel() for p in model.parameters()) == 5_717_416


def hugging_face_gpt2(vocab: int, positions: int, n: int, layers: int) -> Shapes:
    """The state dict of ``transformers.GPT2LMHeadModel``."""
    out: Shapes = {"transformer.wte.weight": (vocab, n), "transformer.wpe.weight": (positions, n)}
    for k in range(layers):
        at = f"transformer.h.{k}"
        out |= norm(f"{at}.ln_1", n, False) | linear(f"{at}.attn.c_attn", n, 3 * n, True)
        out |= linear(f"{at}.attn.c_proj", n, n, True) | norm(f"{at}.ln_2", n, False)
        out |= linear(f"{at}.mlp.c_fc", n, 4 * n, True) | linear(f"{at}.mlp.c_proj", 4 * n, n, True)
    return out | norm("transformer.ln_f", n, False) | {"lm_head.weight": (vocab, n)}


def test_gpt2_has_hugging_faces_layout() -> None:
    assert shapes(models.GPT2(97, 64, 48, 2, 4)) == hugging_face_gpt2(97, 64, 48, 2)
    model = models.GPT2(n_layer=1)
    assert shapes(model) == hugging_face_gpt2(50257, 1024, 768, 1)
    assert model.lm_head.weight is model.transformer.wte.weight


# ---- values as the same source gives in PyTorch


def in_torch(file: str) -> dict[str, Any]:
    """What a file of the zoo defines when only its imports are changed to PyTorch's."""
    source = (MODELS / file).read_text(encoding="utf-8")
    source = re.sub(r"^from \.\..*\n", "", source, flags=re.MULTILINE)
    source = re.sub(r"^from \.generation.*\n", "", source, flags=re.MULTILINE)
    head = "from __future__ import annotations\n"
    names = (
        "import torch\nfrom torch import Tensor, arange, cat, empty, nn, no_grad, randn, "
        "randn_like, zeros\nfrom torch.nn import functional as F\nShapeError = DTypeError = "
        "RuntimeError\nfrom types import SimpleNamespace\n"
        "nn = SimpleNamespace(**{**vars(nn), 'DropPath': nn.Dropout})\n"
    )
    namespace: dict[str, Any] = {"__name__": "zoo"}
    exec(source.replace(head, head + names, 1), namespace)
    return namespace


CASES: dict[str, tuple[str, Any, tuple[int, ...] | int]] = {
    "LeNet": ("lenet.py", lambda m: m["LeNet"](), (3, 1, 28, 28)),
    "resnet18": ("resnet.py", lambda m: m["resnet18"](num_classes=7), (2, 3, 40, 40)),
    "resnet50": ("resnet.py", lambda m: m["resnet50"](zero_init_residual=True), (2, 3, 33, 40)),
    "UNet": ("unet.py", lambda m: m["UNet"](1, 3, (4, 8, 16)), (2, 1, 16, 24)),
    "ViT": ("vit.py", lambda m: m["ViT"](16, 4, 1, 10, 24, 2, 3), (2, 1, 16, 16)),
    "GPT2": ("gpt2.py", lambda m: m["GPT2"](31, 16, 24, 2, 3, 0.0), 31),
    "LSTMLanguageModel": ("lstm_lm.py", lambda m: m["LSTMLanguageModel"](31, 12, 12, 2), 31),
}


@pytest.mark.parity
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name: str, torch: Any) -> None:
    file, make, given = CASES[name]
    draw = np.random.default_rng(0)
    x = draw.integers(0, given, (2, 9)) if isinstance(given, int) else draw.normal(size=given)
    weft.manual_seed(0)
    ours, theirs = make(vars(models)).double(), make(in_torch(file)).double()
    theirs.load_state_dict({k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()})
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        a, b = ours(weft.tensor(x)), theirs(torch.tensor(x))
        a, b = (y[0] if isinstance(y, tuple) else y for y in (a, b))
        np.testing.assert_allclose(a.detach(), b.detach().numpy(), rtol=1e-9, atol=1e-9)
    (a * a).mean().backward()
    (b * b).mean().backward()
    for (key, p), (other, q) in zip(
        ours.named_parameters(), theirs.named_parameters(), strict=True
    ):
        assert key == other
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-7, atol=1e-12, err_msg=key)


@pytest.mark.parity
def test_vae_loss_is_the_bound(torch: Any) -> None:
    weft.manual_seed(0)
    model = models.VAE(12, 16, 3).double()
    x = weft.rand(4, 12, dtype=weft.float64)
    weft.manual_seed(1)
    logits, mean, log_var = model(x)
    weft.manual_seed(1)
    loss = model.loss(x)
    d = torch.distributions
    code = d.Normal(
        torch.tensor(mean.detach().numpy()), torch.tensor((log_var / 2).exp().detach().numpy())
    )
    divergence = d.kl_divergence(code, d.Normal(0.0, 1.0)).sum(1)
    likelihood = -torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor(logits.detach().numpy()), torch.tensor(x.numpy()), reduction="none"
    ).sum(1)
    assert loss.item() == pytest.approx((divergence - likelihood).mean().item())
    drawn = model.sample(5)
    assert drawn.shape == (5, 12)
    assert drawn.dtype is weft.float64
    assert 0 <= drawn.min() <= drawn.max() <= 1


@pytest.mark.parity
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_resnet_is_torchvisions(name: str, torch: Any) -> None:
    theirs = pytest.importorskip("torchvision", exc_type=ImportError).models.get_model(name).eval()
    ours = getattr(models, name)().eval()
    ours.load_state_dict({k: weft.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    x = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    wanted = theirs(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(weft.tensor(x)).detach(), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parity
def test_gpt2_is_hugging_faces(torch: Any, tmp_path: Path) -> None:
    hf = pytest.importorskip("transformers")
    config = hf.GPT2Config(vocab_size=97, n_positions=64, n_embd=48, n_layer=2, n_head=4)
    theirs = hf.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(tmp_path)
    ours = models.GPT2.from_file(tmp_path / "model.safetensors", n_head=4).eval()
    x = np.random.default_rng(0).integers(0, 97, (2, 9))
    wanted = theirs(torch.tensor(x)).logits.detach().numpy()
    np.testing.assert_allclose(ours(weft.tensor(x)).detach(), wanted, atol=1e-5)
    wanted = theirs.generate(torch.tensor(x), max_new_tokens=12, do_sample=False, pad_token_id=0)
    assert ours.generate(weft.tensor(x), 12, temperature=0).tolist() == wanted.tolist()


# ---- GPT-2's files and texts


def small_gpt2() -> models.GPT2:
    weft.manual_seed(3)
    model = models.GPT2(31, 24, 16, 2, 4).eval()
    for p in model.parameters():  # large enough for texts that do not repeat one token
        nn.init.normal_(p, std=0.5)
    return model


TEXT = weft.tensor([[3, 1, 4, 1, 5], [9, 2, 6, 5, 3]])


@pytest.mark.parametrize("form", ["whole", "tied head left out", "bare transformer, with masks"])
def test_gpt2_loads_files(form: str, tmp_path: Path) -> None:
    model = small_gpt2()
    state = {k: v.clone() for k, v in model.state_dict().items()}
    if form != "whole":
        del state["lm_head.weight"]
    if form.startswith("bare"):
        state = {k.removeprefix("transformer."): v for k, v in state.items()}
        state |= {f"h.{k}.attn.bias": weft.ones(1, 1, 24, 24).tril() for k in range(2)}
        state |= {"h.0.attn.masked_bias": weft.tensor(-1e4)}
    weft.save(state, tmp_path / "model.safetensors")
    loaded = models.GPT2.from_file(tmp_path / "model.safetensors", n_head=4, dropout=0.3).eval()
    assert weft.equal(loaded(TEXT), model(TEXT))
    assert loaded.transformer.drop.p == 0.3


def test_gpt2_says_that_a_file_is_something_else(tmp_path: Path) -> None:
    weft.save(nn.Linear(2, 2).state_dict(), tmp_path / "x.safetensors")
    with pytest.raises(CheckpointError, match=r"x.safetensors' holds no GPT-2: .*wte.weight"):
        models.GPT2.from_file(tmp_path / "x.safetensors")


def test_generation_with_caches_is_generation_without() -> None:
    model, whole = small_gpt2(), TEXT
    for _ in range(10):
        whole = weft.cat([whole, model(whole)[:, -1].argmax(-1, keepdim=True)], 1)
    assert len(set(whole[0].tolist())) > 4
    assert weft.equal(model.generate(TEXT, 10, temperature=0), whole)
    caches = model.make_caches(2, 20)
    with weft.no_grad():
        for first, last in ((0, 3), (3, 4), (4, 15)):
            scores = model(whole[:, first:last], caches)
        np.testing.assert_allclose(scores, model(whole)[:, 4:], rtol=1e-4, atol=1e-4)


def test_texts_of_several_lengths_are_continued_together() -> None:
    model, padding = small_gpt2(), [0, 3]
    filled = TEXT.clone()
    filled[1, :3] = 7
    together = model.generate(filled, 10, temperature=0, padding=weft.tensor(padding))
    for n, missing in enumerate(padding):
        alone = model.generate(TEXT[n : n + 1, missing:], 10, temperature=0)
        assert together[n, missing:].tolist() == alone[0].tolist()


def test_generation_is_repeated_by_its_seed_and_narrowed_by_top_k() -> None:
    model = small_gpt2()
    texts = []
    for seed in (0, 0, 1):
        weft.manual_seed(seed)
        texts.append(model.generate(TEXT, 8, temperature=2.0).tolist())
    assert texts[0] == texts[1] != texts[2]
    greedy = model.generate(TEXT, 8, temperature=0)
    assert weft.equal(model.generate(TEXT, 8, temperature=5.0, top_k=1), greedy)
    many = models.generation.next_token(weft.arange(6.0).expand(500, 6), 3.0, 2)
    assert set(many.flatten().tolist()) == {4, 5}
    assert model.generate(TEXT, 0).tolist() == TEXT.tolist()


def test_what_generation_takes() -> None:
    model = small_gpt2()
    for tokens, options, error, message in (
        (TEXT[0], {}, ShapeError, r"\[batch, length\], .*not shape \[5\]"),
        (TEXT[:, :0], {}, ShapeError, r"at least one of each text, not shape \[2, 0\]"),
        (TEXT.float(), {}, DTypeError, r"indices of tokens \(int64\), not weft.float32"),
        (TEXT, {"top_k": 0}, ValueError, "top_k=0 at least 1"),
        (TEXT, {"temperature": -1.0}, ValueError, "temperature=-1.0 must not be negative"),
    ):
        with pytest.raises(error, match=message):
            model.generate(tokens, 2, **options)
    with pytest.raises(ShapeError, match="25 tokens are more than n_positions=24"):
        model.generate(TEXT, 20)
    with pytest.raises(ShapeError, match="GPT2: 25 tokens are more than n_positions=24"):
        model(weft.zeros(1, 25, dtype=weft.int64))
    with pytest.raises(DTypeError, match="indices of tokens"):
        model(TEXT.float())


def test_lstm_continues_from_its_state() -> None:
    weft.manual_seed(0)
    model = models.LSTMLanguageModel(31, 12, 12, tie_weights=True).eval()
    assert model.head.weight is model.embedding.weight
    whole, _ = model(TEXT)
    first, state = model(TEXT[:, :2])
    second, _ = model(TEXT[:, 2:], state)
    np.testing.assert_allclose(weft.cat([first, second], 1).detach(), whole.detach(), rtol=1e-5)
    text = TEXT
    for _ in range(4):
        text = weft.cat([text, model(text)[0][:, -1].argmax(-1, keepdim=True)], 1)
    assert weft.equal(model.generate(TEXT, 4, temperature=0), text)
    with pytest.raises(ValueError, match="embed_dim == hidden_size, not 3 and 4"):
        models.LSTMLanguageModel(5, 3, 4, tie_weights=True)
    with pytest.raises(ShapeError, match=r"tokens \[N, L\], not \[5\]"):
        model(TEXT[0])


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"multiples of 4, not shape \[1, 1, 6, 8\]"):
        models.UNet(1, 2, (2, 4, 8))(weft.zeros(1, 1, 6, 8))
    with pytest.raises(ShapeError, match=r"\[batch, 3, 8, 8\], not \[1, 8, 8, 3\]"):
        models.ViT(8, 4, embed_dim=6, depth=1)(weft.zeros(1, 8, 8, 3))
    with pytest.raises(ValueError, match="patch_size=3 must divide img_size=8"):
        models.ViT(8, 3)
    with pytest.raises(ValueError, match="n_head=3 divide n_embd=16"):
        models.GPT2(5, 5, 16, 1, 3)
