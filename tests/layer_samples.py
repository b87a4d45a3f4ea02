"""The functions of layers in the list of ``samples.py``. (The layers are tested in ``nn/``.)"""

from __future__ import annotations

from math import nan
from typing import Any

from loss_samples import LOSSES
from sampling import D, In, Op, Sample, bad, idx, pos, s, these, unary, wide, x

from weft.errors import DataError, DTypeError, ShapeError, UnsupportedOp


def layer(name: str, samples: tuple[Sample, ...], dtypes: str = "f", **options: Any) -> Op:
    return Op(f"nn.functional.{name}", samples, dtypes, **options)


NO_INTEGERS = (
    bad(DTypeError, r"takes a floating dtype, not weft.int64: .*x.float\(\)", x(2), on="int64"),
)

# A table, to be read in rows:
# fmt: off

def activation(name: str, *samples: Sample, kinks: Any = (0.0,), **options: Any) -> Op:
    """With PyTorch's choice of the gradient where there are two, and values that are special."""
    edges = (s(these([*kinks, -0.0, 40.0, -40.0]), only="hf"),
             s(these([nan]), only="f", grad=False))
    errors = (*options.pop("errors", ()), *(() if "dtypes" in options else NO_INTEGERS))
    return Op(f"nn.functional.{name}", (*unary(special=False), *edges, *samples),
              options.pop("dtypes", "hf"), errors=errors, **options)


ACTIVATIONS = [
    activation("relu", s(x(2, 3), False), dtypes="ihf"),
    activation("leaky_relu", s(x(2, 3), 0.3), s(x(2, 3), -0.3)),
    activation("elu", s(x(2, 3), 0.7)),
    activation("celu", s(x(2, 3), 0.5), s(x(2, 3), -0.5), errors=(
        bad(ValueError, "alpha must not be 0", x(2), 0.0),)),
    activation("selu"),
    activation("gelu", s(x(2, 3), approximate="tanh"), errors=(
        bad(ValueError, r"approximate='tan' must be .*mean 'tanh'", x(2), approximate="tan"),)),
    activation("silu"),
    activation("mish"),
    activation("softplus", s(x(2, 3), 2.0), s(wide(2, 3), 1.5, 6.0), s(wide(4), -1.0, 5)),
    activation("logsigmoid"),
    activation("softsign", dtypes="ihf"),
    activation("tanhshrink", dtypes="ihf"),
    activation("hardshrink", s(x(2, 3), 1.0), s(x(3), -1.0), kinks=(0.5, -0.5)),
    activation("softshrink", s(x(2, 3), 1.0), s(x(2, 3), 0.0), kinks=(0.5, -0.5), errors=(
        bad(ValueError, "lambd must not be negative: -1", x(2), -1),)),
    activation("hardtanh", s(x(2, 3), -0.4, 1.3), kinks=(1.0, -1.0), dtypes="hf", errors=(
        bad(ValueError, "min_val=2 must not be above max_val=1", x(2), 2, 1),
        bad(DTypeError, "takes numbers, not weft.bool", x(2), 0, on="bool"),
        bad(DTypeError, "uint8 has no negative values", x(2), on="uint8"))),
    activation("relu6", s(wide(2, 3)), kinks=(0.0, 6.0), dtypes="ihf"),
    # (PyTorch's own gradient of hardsigmoid has a factor that is rounded to float32.)
    layer("hardsigmoid", (s(wide(2, 3), grad=False), s(these([3.0, -3.0, nan]), grad=False)),
          errors=NO_INTEGERS),
    activation("hardswish", s(wide(2, 3)), kinks=(0.0, 3.0, -3.0)),
    layer("threshold", (s(x(2, 3), 1, 3), s(x(2, 3), 0.5, -1.0), s(these([0.5, -0.5]), 0.5, 2.0))),
    layer("glu", (s(x(2, 4)), s(x(2, 3), 0), s(x(2, 2, 3), -2), s(x(0, 4))), errors=(
        bad(ShapeError, r"its size is odd: 3 \(shape \[2, 3\]\)", x(2, 3)),
        bad(ShapeError, "the input has none", x()), *NO_INTEGERS)),
    layer("prelu", (s(x(2, 3), x(3)), s(x(2, 3, 2), x(3)), s(x(2, 3), x(1)), s(x(2, 3), x()),
                    s(x(3), x(1)), s(x(), x(1)), s(these([0.0, -0.0]), x(1))), errors=(
        bad(ShapeError, r"weight of 2 slopes .* \[2, 3\] with 3 channels .*PReLU\(3\)",
            x(2, 3), x(2)),
        bad(ShapeError, r"\[C\] or \[1\], not \[2, 3\]", x(2, 3), x(2, 3)),
        bad(DTypeError, "one dtype, not weft.float32 and weft.float64", x(2), x(dtype="float64")))),
    layer("rrelu", (s(x(2, 3)), s(x(2, 3), 0.1, 0.3, False)), errors=(
        bad(ValueError, "lower=0.5 must not be above upper=0.1", x(2), 0.5, 0.1), *NO_INTEGERS)),
    layer("softmin", (s(x(2, 3), 1), s(x(2), 0, dtype=D("float64")))),
    layer("gumbel_softmax", (s(x(2, 3)), s(x(2, 3), 0.5, True, dim=0)), random=True, grad=False,
          errors=(bad(ValueError, "tau is a temperature", x(2), 0.0),)),
]

ENDS = idx([2, 2, 5])
GROUPED = [  # (PyTorch's takes no float64; nn/test_grouped.py compares with it)
    layer("grouped_mm", (
        s(x(6, 4), x(3, 4, 2), offs=ENDS), s(x(3, 4, 2), x(2, 6), offs=ENDS),
        s(x(4, 6), x(6, 2), offs=ENDS), s(x(2, 3, 4), x(2, 4, 2)),
        s(x(5, 4), x(3, 4, 2), offs=ENDS, out_dtype=D("float64"))), "hf", torch=None, errors=(
        bad(ShapeError, r"matrices or stacks of them, not \[6\] and \[6, 2\]", x(6), x(6, 2)),
        bad(ShapeError, "the last dimension of the first must", x(2, 3), x(2, 2), offs=ENDS),
        bad(ShapeError, "two stacks take no offs", x(3, 2, 3), x(3, 3, 2), offs=ENDS),
        bad(ShapeError, "all others need them", x(2, 3), x(3, 2)),
        bad(ShapeError, "not of one length", x(2, 2, 3), x(3, 3, 2)),
        bad(ShapeError, r"offs of shape \[3\] .*each group, \[2\]", x(4, 3), x(2, 3, 2), offs=ENDS),
        bad(DTypeError, "offs must be int32", x(4, 3), x(2, 3, 2), offs=x(2)),
        bad(DTypeError, "one floating dtype", x(4, 3), x(2, 3, 2, dtype="float64"), offs=ENDS),
        bad(UnsupportedOp, "add it to the result", x(5, 3), x(3, 3, 2), offs=ENDS, bias=x(2)),
        bad(DataError, "not in ascending order up to 4", x(4, 3), x(3, 3, 2), offs=ENDS))),
]

IMAGE, CUBE = x(2, 2, 5, 4), x(1, 2, 3, 4, 3)
POINTS = In((1, 3, 2, 2), -1.4, 1.4)
PLACES = In((1, 1, 2, 2, 3), -1.4, 1.4)
VISION = [
    layer("pixel_shuffle", (s(x(2, 8, 2, 3), 2), s(x(9, 1, 2), 3), s(x(0, 4, 2, 2), 2, grad=False)),
        "bihf",
        errors=(bad(ShapeError, r"6 channels .*do not divide into .* = 4", x(6, 2, 2), 2),
        bad(ShapeError, "upscale_factor must be positive", x(4, 2, 2), 0),
        bad(ShapeError, r"takes \[\*, channels, height, width\], not \[4, 2\]", x(4, 2), 2))),
    layer("pixel_unshuffle", (s(x(2, 2, 4, 6), 2), s(x(1, 3, 6), 3)), "bihf", errors=(
        bad(ShapeError, "must be multiples of downscale_factor=2", x(1, 3, 4), 2),)),
    layer("channel_shuffle", (s(x(2, 6, 2, 2), 3), s(x(1, 4, 3, 1), 2)), errors=(
        bad(ShapeError, r"5 channels .*do not divide into 2 groups", x(1, 5, 2, 2), 2),)),
    layer("unfold", (s(x(2, 2, 4, 5), (2, 3)), s(x(2, 5, 5), 2, 2, 1, (1, 3))), errors=(
        bad(ShapeError, r"window of \[5, 5\] .*does not fit a plane of \[4, 4\]", x(1, 4, 4), 5),
        bad(ShapeError, "takes .batch, channels, height, width.", x(4, 4), 2))),
    layer("fold", (s(x(2, 12, 6), (3, 4), 2), s(x(4, 12), (5, 6), 2, 2, (1, 0), (2, 1))), errors=(
        bad(ShapeError, r"has 7 columns, but output_size=\[3, 4\] has 6", x(4, 7), (3, 4), 2),
        bad(ShapeError, r"channels \* 4, windows", x(6, 6), (3, 4), 2))),
    layer("interpolate", (
        s(x(2, 2, 3), 7), s(x(1, 2, 3, 4), None, 2), s(x(1, 2, 3, 4), (2, 9), mode="nearest-exact"),
        s(x(1, 1, 2, 3, 2), 4), s(x(1, 2, 5, 7), None, (0.6, 1.7)), s(x(1, 2, 5, 7), (3, 2),
        mode="area"), s(x(1, 2, 5), None, 1.7, "linear"), s(x(1, 2, 5), 3, None, "linear", True),
        s(x(1, 2, 5, 4), (3, 9), None, "bilinear"), s(x(1, 2, 5, 4), None, 1.7, "bilinear", False,
        True), s(x(1, 1, 5, 4), (3, 9), None, "bicubic"), s(x(1, 1, 5, 4), (9, 1), None, "bicubic",
        True), s(x(1, 1, 3, 4, 2), (4, 3, 3), None, "trilinear"), s(x(1, 1, 7, 4), (3, 6), None,
        "bilinear", antialias=True), s(x(1, 1, 9, 4), (3, 6), None, "bicubic", antialias=True)),
        errors=(
        bad(ValueError, "either a size or a scale_factor", x(1, 1, 4)),
        bad(ValueError, "either a size or a scale_factor", x(1, 1, 4), 2, 2.0),
        bad(ShapeError, r"size=\(2, 2\) should be one int or 1", x(1, 1, 4), (2, 2)),
        bad(ShapeError, "scale_factor=.* should be one number or 1", x(1, 1, 4), None, (2.0, 2.0)),
        bad(ShapeError, r"from size \[4\] to \[0\]", x(1, 1, 4), 0),
        bad(TypeError, "scale_factor takes numbers, not '2'", x(1, 1, 4), None, "2"),
        bad(ValueError, "align_corners means nothing for mode='nearest'", x(1, 1, 4), 2,
            align_corners=True),
        bad(ValueError, "antialias is there for", x(1, 1, 4), 2, mode="linear", antialias=True),
        bad(ValueError, "recompute_scale_factor means nothing", x(1, 1, 4), 2,
            recompute_scale_factor=True),
        bad(UnsupportedOp, "mode='cubic' should be one of", x(1, 1, 4), 2, mode="cubic"),
        bad(UnsupportedOp, "mode='bilinear' takes 4 dimensions.*there are nearest", x(1, 1, 4), 2,
            mode="bilinear"),
        bad(DTypeError, "takes floats or uint8, not weft.int64", x(1, 1, 4), 2, mode="linear",
            on="int64"))),
    layer("upsample", (s(x(1, 2, 3), 5), s(x(1, 2, 3, 2), None, 2, "bilinear"))),
    layer("upsample_nearest", (s(x(1, 2, 3, 2), (5, 3)),)),
    layer("upsample_bilinear", (s(x(1, 2, 3, 2), None, 2),)),
    layer("grid_sample", (
        *[s(x(1, 2, 3, 4), POINTS, mode, padding, corners)
          for mode, padding, corners in (
              ("bilinear", "zeros", True), ("bilinear", "border", False),
              ("bilinear", "reflection", False), ("bilinear", "reflection", True),
              ("bicubic", "zeros", False), ("bicubic", "reflection", True))],
        *[s(x(1, 2, 3, 4), POINTS, "nearest", padding, smooth=False)
          for padding in ("zeros", "border", "reflection")],
        s(x(1, 2, 2, 3, 2), PLACES), s(x(1, 2, 2, 3, 2), PLACES, padding_mode="border"),
        s(x(1, 2, 2, 3, 2), PLACES, "nearest", "reflection", True, smooth=False),
        s(x(1, 1, 1, 1), x(1, 1, 2, 2), "bilinear", "reflection", True, smooth=False)), errors=(
        bad(ValueError, "mode='linear' should be one of bilinear", x(1, 1, 2, 2), x(1, 1, 1, 2),
            "linear"),
        bad(ValueError, "padding_mode='reflect' should be one of zeros", x(1, 1, 2, 2),
            x(1, 1, 1, 2), "nearest", "reflect"),
        bad(ShapeError, r"not shapes \[1, 1, 2, 2\] and \[1, 1, 1, 3\]", x(1, 1, 2, 2),
            x(1, 1, 1, 3)),
        bad(ShapeError, "a batch of 1 inputs with 2 grids", x(1, 1, 2, 2), x(2, 1, 1, 2)),
        bad(DTypeError, "one floating dtype, not weft.float32 and weft.float64", x(1, 1, 2, 2),
            x(1, 1, 1, 2, dtype="float64")),
        bad(UnsupportedOp, "bicubic", x(1, 1, 2, 2, 2), x(1, 1, 1, 1, 3), "bicubic"))),
    layer("affine_grid", (s(x(2, 2, 3), (2, 1, 3, 4)), s(x(1, 2, 3), (1, 1, 1, 4), True),
        s(x(1, 3, 4), (1, 2, 2, 3, 4), True)), errors=(
        bad(ShapeError, r"theta of shape \[1, 2, 3\] .*not of shape \[1, 3, 3\]", x(1, 3, 3),
            (1, 1, 2, 2)),
        bad(UnsupportedOp, "a size of 4 or 5 numbers", x(1, 2, 3), (1, 2, 2)),
        bad(DTypeError, "theta must be of a floating dtype", x(1, 2, 3), (1, 1, 2, 2),
            on="int64"))),
]
PADDING = [
    layer("pad", (
        s(x(2, 3), (1, 2)), s(x(2, 3), (1, -1, 0, 2), value=1.5),
        s(x(2, 3), ()), s(x(2, 3), [0, 0, 2, 1], "constant"), s(x(0, 3), (1, 1)),
        s(x(2, 2, 4), (3, 2), "reflect"), s(x(2, 3, 4), (1, -2, 2, 0), "reflect"),
        s(x(2, 3, 2, 4), (1, 2, 1, 1, 2, 2), "reflect"),
        s(x(2, 2, 4), (5, 2), "replicate"), s(x(2, 3, 4), (2, -5, 2, 0), "replicate"),
        s(x(2, 2, 4), (4, 2), "circular"), s(x(2, 3, 4), (2, -1, 2, 0), "circular")),
        dtypes="bihf", errors=(
        bad(ShapeError, r"pad=\(1, 1, 1\) should be a pair", x(2, 3), (1, 1, 1)),
        bad(ShapeError, "at most 2 ints for an input of shape", x(2), (1, 1, 1, 1)),
        bad(ShapeError, r"takes more than there is: .* \[2, -1\]", x(2, 3), (-2, -2)),
        bad(ShapeError, "4 and 0 elements cannot be taken off dimension 1", x(2, 3), (-4, 3)),
        bad(ShapeError, "reflection needs less than the size, .*gets 4 and 0", x(1, 4), (4, 0),
            "reflect"),
        bad(ShapeError, "circular padding takes each element once", x(1, 4), (5, 0), "circular"),
        bad(ShapeError, "nothing to replicate", x(1, 0), (1, 0), "replicate"),
        bad(UnsupportedOp, "mode='mirror' should be one of constant, reflect", x(1, 4), (1, 0),
            "mirror"),
        bad(UnsupportedOp, r"not 2 of shape \[2, 4\]", x(2, 4), (1, 1, 1, 1), "reflect"),
        bad(ValueError, "takes no value, but value=2.0", x(2, 4), (1, 1), "reflect", 2.0),
        bad(TypeError, "takes a pair of ints for each dimension", x(2, 4), 1),
        bad(TypeError, "a Tensor is expected here, not list", [1.0], (1, 1)),
        bad(TypeError, "pad takes ints, not 1.5", x(2, 4), (1.5, 1)))),
    layer("conv_transpose1d", (s(x(2, 2, 4), x(2, 3, 3), x(3)),
        s(x(4, 5), x(4, 2, 2), None, 2, 1, 1, 2), s(x(1, 4), x(1, 1, 3), None, 2, 1, 2, 1, 3))),
    layer("conv_transpose2d", (s(x(2, 2, 3, 4), x(2, 3, 3, 2), x(3), 2, 1, (1, 0)),
        s(x(0, 2, 3, 4), x(2, 1, 2, 2), groups=2)), errors=(
        bad(ShapeError, "takes 3 channels in dimension 1", x(1, 2, 3, 3), x(3, 2, 2, 2)),
        bad(ShapeError, r"output_padding \(2, 2\) must be smaller than stride", x(1, 1, 3, 3),
            x(1, 2, 2, 2), None, 2, 0, 2),
        bad(ShapeError, r"give the size \[0, 0\]", x(1, 1, 2, 2), x(1, 1, 1, 1), padding=1),
        bad(ShapeError, "3 channels do not divide into 2 groups", x(1, 3, 2, 2), x(3, 1, 1, 1),
            groups=2),
        bad(ShapeError, "a weight of 4 dimensions", x(1, 3, 2, 2), x(3, 1, 1)),
        bad(DTypeError, "convert the input with", x(1, 3, 2, 2, dtype="float64"), x(3, 1, 1, 1)))),
    layer("conv_transpose3d", (s(x(1, 2, 2, 3, 2), x(2, 2, 2, 2, 2), x(2), 2, 1, 0, 1, 2),)),
]
NARROW = bad(ShapeError, "0 and half of kernel_size", x(1, 2, 4, 4), 2, 2, 2)
NO_RANK = bad(ShapeError, r"\[batch, channels, height, width\].*\[4, 4\]", x(4, 4), 2)
RATIO = s(wide(1, 2, 7, 6), 2, None, (0.5, 0.6), True, x(1, 2, 2, low=0, high=1, grad=False))
POOLING = [
    layer("avg_pool1d", (s(x(2, 2, 6), 2), s(x(2, 7), 3, 2, 1, True, False))),
    layer("avg_pool2d", (s(x(2, 2, 5, 4), 2), s(x(2, 5, 4), (3, 2), 1, 1), s(x(1, 5, 5), 3, 2, 1,
        True), s(x(1, 5, 5), 3, 2, 1, True, False), s(x(1, 5, 5), 2, 1, divisor_override=3),
        s(these([[[nan, 1.0, 2.0, 3.0]]]), (1, 2), 1)), errors=(NARROW, NO_RANK,
        bad(ShapeError, r"window of \[5, 5\] does not fit", x(1, 4, 4), 5),
        bad(ShapeError, "divisor_override must not be 0", x(1, 4, 4), 2, divisor_override=0),
        bad(ShapeError, "stride must be positive", x(1, 4, 4), 2, 0))),
    layer("avg_pool3d", (s(x(1, 2, 3, 4, 3), 2, 1), s(x(1, 4, 4, 4), 2, divisor_override=5))),
    layer("lp_pool1d", (s(pos(2, 2, 6), 2.0, 2), s(pos(2, 7), 3.0, 3, 2, True))),
    layer("lp_pool2d", (s(x(2, 2, 5, 4), 2, 2), s(pos(2, 5, 4), 1.5, (3, 2), 1)), errors=(
        bad(TypeError, "a Tensor is expected here, not list", [1.0], 2, 2),
        bad(ValueError, "norm_type must not be 0", x(1, 4, 4), 0, 2),)),
    layer("lp_pool3d", (s(pos(1, 2, 3, 4, 3), 2.0, 2, 1),)),
    layer("adaptive_avg_pool1d", (s(x(2, 2, 6), 3), s(x(2, 7), 3), s(x(2, 3), 5)), errors=(
        bad(DTypeError, r"floating dtype, not weft.int64", x(2, 3), 2, on="int64"),)),
    layer("adaptive_avg_pool2d", (s(x(2, 2, 5, 4), (3, None)), s(x(2, 5, 4), 1), s(x(0, 2, 5, 4),
        2), s(x(1, 5, 4), (0, 2), grad=False), s(these([[[nan, 1.0, 2.0, 3.0, 4.0]]]), (1, 2))),
        errors=(
        bad(ShapeError, r"output_size=\(1, 2, 3\) should be one int or 2", x(1, 4, 4), (1, 2, 3)),
        bad(ShapeError, "must not be negative", x(1, 4, 4), -1),
        bad(ShapeError, "no elements to pool", x(1, 0, 4), 1))),
    layer("adaptive_avg_pool3d", (s(x(1, 2, 3, 4, 5), (2, 3, 1)),)),
    layer("adaptive_max_pool1d", (s(wide(2, 2, 6), 3), s(wide(2, 7), 3, return_indices=True))),
    layer("adaptive_max_pool2d", (s(wide(2, 2, 5, 4), (3, None), True), s(wide(2, 5, 4), 1, True),
        s(wide(1, 5, 4), 7), s(wide(1, 5, 4), (0, 3), grad=False), s(wide(0, 2, 5, 4), 2))),
    layer("adaptive_max_pool3d", (s(wide(1, 2, 3, 4, 5), (2, 3, 1), True),)),
    layer("max_unpool1d", (s(x(1, 2, 3), idx([[[0, 3, 4], [1, 2, 5]]]), 2),
        s(x(1, 2), idx([[1, 6]]), 2, 3, output_size=(7,)))),
    layer("max_unpool2d", (s(x(1, 1, 2, 2), idx([[[[0, 3], [8, 15]]]]), 2),
        s(x(1, 2, 2), idx([[[0, 3], [8, 24]]]), 2, 2, output_size=(1, 1, 5, 5))), errors=(
        bad(ShapeError, r"indices of shape \[1, 2\] .* \[1, 2, 2\]|takes input of shape",
            x(1, 2, 2), idx([[0, 3]]), 2),
        bad(DTypeError, "indices must be int64, not weft.float32", x(1, 2, 2), x(1, 2, 2), 2),
        bad(ShapeError, r"within a stride \[2, 2\] of \[4, 4\]", x(1, 2, 2),
            idx([[[0, 3], [8, 9]]]), 2, output_size=(7, 4)),
        bad(IndexError, "index 16 is out of range", x(1, 2, 2), idx([[[0, 3], [8, 16]]]), 2))),
    layer("max_unpool3d", (s(x(1, 1, 1, 2), idx([[[[0, 3]]]]), (1, 1, 2)),)),
    layer("fractional_max_pool2d", (RATIO, s(wide(2, 7, 6), (2, 3), (1, 2), None, False,
        x(1, 2, 2, low=0, high=1, grad=False))), errors=(
        bad(ValueError, "either an output_size or an output_ratio", x(1, 4, 4), 2),
        bad(ValueError, "must be between 0 and 1", x(1, 4, 4), 2, None, 1.5),
        bad(ShapeError, r"3 windows|\[3, 3\] windows of \[3, 3\] do not fit", x(1, 4, 4), 3, 3),
        bad(ShapeError, r"_random_samples must be of shape \[1, 1, 2\]", x(1, 4, 4), 2, 2, None,
            False, x(1, 2)))),
    layer("fractional_max_pool3d", (s(wide(1, 2, 4, 5, 6), 2, (2, 3, 3), None, True,
        x(1, 2, 3, low=0, high=1, grad=False)),)),
]
LOGITS, CLASSES = x(3, 4), idx([0, 3, 1])
LAYERS = [
    *ACTIVATIONS,
    *GROUPED,
    *LOSSES,
    layer("linear", (s(x(2, 3), x(4, 3), x(4)), s(x(3), x(4, 3)), s(x(2, 3), x(3)))),
    layer("conv1d", (s(x(2, 2, 6), x(3, 2, 3), x(3)), s(x(2, 6), x(4, 1, 2), groups=2),
                                s(x(1, 1, 7), x(1, 1, 3), None, 2, 1, 2))),
    layer("conv2d", (s(IMAGE, x(3, 2, 3, 2), x(3), 1, 1),
                                s(IMAGE, x(2, 1, 2, 2), None, (2, 1), (0, 1), groups=2),
                                s(IMAGE, x(1, 2, 2, 3), padding="same"))),
    layer("conv3d", (s(CUBE, x(2, 2, 2, 2, 2), x(2), 1, 1, 2),)),
    layer("max_pool1d", (s(wide(2, 2, 6), 2), s(wide(2, 7), 3, 2, 1, ceil_mode=True))),
    layer("max_pool2d", (s(wide(2, 2, 5, 4), 2), s(wide(2, 5, 4), (3, 2), 1, 1),
                                    s(wide(2, 2, 5, 4), 2, 2, 0, 2),
                                    s(wide(1, 2, 4, 4), 2, return_indices=True))),
    layer("max_pool3d", (s(wide(1, 2, 3, 4, 3), 2, 1),)),
    *PADDING,
    *VISION,
    *POOLING,
    layer("sigmoid", (s(x(2, 3)),)),
    layer("softmax", (s(x(2, 3), 1), s(x(2, 3), 0), s(x(), 0), s(x(2), -1,
                                 dtype=D("float64")), s(these([1e4, -1e4, 0.0]), 0)),
          errors=(bad(DTypeError, "softmax takes a floating dtype", x(2), 0, on="int64"),)),
    layer("log_softmax", (s(x(2, 3), 1), s(x(2, 3), -2), s(x(0, 2), 1),
                                     s(these([1e4, -1e4, 0.0]), 0))),
    layer("dropout", (s(x(2, 3)), s(x(2, 3), 0.9), s(x(2), 0.5, False)), random=True,
       grad=False),
    layer("batch_norm", (
        s(IMAGE, None, None, x(2), x(2), True), s(x(3, 2), x(2, grad=False), pos(2, grad=False)),
        s(x(3, 2), None, None, training=True, eps=0.1)), loose=4),
    layer("cross_entropy", (
        s(LOGITS, CLASSES), s(x(4), idx(2)), s(x(2, 3, 2), idx([[0, 1], [2, 1]])),
        s(LOGITS, CLASSES, pos(4, grad=False), ignore_index=3), s(LOGITS, x(3, 4, low=0)),
        s(LOGITS, CLASSES, label_smoothing=0.2, reduction="sum"), s(LOGITS, CLASSES,
          reduction="none"))),
    layer("nll_loss", (s(LOGITS, CLASSES), s(LOGITS, CLASSES, pos(4, grad=False)))),
    layer("one_hot", (s(idx([0, 2, 1])), s(idx([[0], [1]]), 3), s(idx([]), 2)), grad=False,
          errors=(bad(DataError, "from 0 to 1, but 2 is among them", idx([0, 2]), 2),
                  bad(DataError, "from 0 to 1, but -1 is among them", idx([1, -1])),
                  bad(ValueError, "num_classes cannot be found", idx([])))),
]
