"""The rules of what each kind of operation does to the layout of its inputs.

A rule reads the layouts of a node's inputs and returns the layout of its output. It raises
:class:`CannotSlide` for operations that cannot slide (attention, fixed positions), and records in
``caveats`` what makes sliding inexact (pooling over the whole input) or different from cropping
(padding). Only operations on tensors that slide need a rule; without one the network is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from .axes import SLIDING, broadcast, pooled, reshaped, slides
from .graph import operation, pair, shape
from .layout import Call, CannotSlide, Layout
from .operation_facts import Fact, has, is_elementwise

Rule: TypeAlias = Callable[[Call], Layout]

RULES: dict[str, Rule] = {}


def rule(*operations: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule for these ATen operations."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(operations, function))
        return function

    return register


def layout_of(call: Call) -> Layout:
    """The layout of one node, by its rule.

    Raises:
        CannotSlide: the operation cannot slide.
    """
    operands = [n for n in call.node.all_input_nodes if n in call.layouts]
    if not any(slides(call.layouts[n].letters) for n in operands):
        # No input slides any more, so any operation is allowed.
        value = call.node.meta["val"]
        return Layout(pooled(value.dim() if hasattr(value, "dim") else 2))
    name = operation(call.node)
    if name in RULES:
        return RULES[name](call)
    if is_elementwise(call.node) or has(call.node, Fact.IDENTITY):
        return _elementwise(call)
    raise CannotSlide("this operation is not known to slide")


@rule("expand_as")
def _elementwise(call: Call) -> Layout:
    operands = [n for n in call.node.all_input_nodes if n.op != "get_attr" or shape(n)]
    moving = [call.layouts[n] for n in operands if slides(call.letters_of(n))]
    if len({layout.stride_hw for layout in moving}) > 1:
        raise CannotSlide("it joins branches of different strides")
    letters = broadcast([(call.letters_of(n), shape(n)) for n in operands])
    if letters is None:
        raise CannotSlide("it adds or multiplies by values that belong to fixed positions")
    return _widest(moving).lettered(letters)


def _widest(layouts: Sequence[Layout]) -> Layout:
    """The first of several layouts, with the largest receptive field among them."""
    fields = [layout.receptive_field_hw for layout in layouts]
    down, across = (max(lengths) for lengths in zip(*fields, strict=True))
    return replace(layouts[0], receptive_field_hw=(down, across))


def _windowed(call: Call, kernel_hw: tuple[int, int], stride_hw: tuple[int, int]) -> Layout:
    """A convolution or pool: ``kernel_hw`` already counts dilation."""
    if call.letters != "bchw":
        raise CannotSlide(f"its input's axes are {call.letters}, not bchw")
    stride, field = call.layout.stride_hw, call.layout.receptive_field_hw
    return Layout(
        "bchw",
        (stride[0] * stride_hw[0], stride[1] * stride_hw[1]),
        (field[0] + (kernel_hw[0] - 1) * stride[0], field[1] + (kernel_hw[1] - 1) * stride[1]),
    )


@rule("conv2d")
def _convolution(call: Call) -> Layout:
    arguments = call.arguments
    if operation(arguments["weight"]) or arguments["input"] is not call.source:
        raise CannotSlide("its weights are computed from the photo")
    if any(pair(arguments["padding"])):
        call.caveats.padding.append(call.node)
    size, dilation = shape(arguments["weight"])[2:], pair(arguments["dilation"])
    kernel = (dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1)
    return _windowed(call, kernel, pair(arguments["stride"]))


@rule("max_pool2d", "avg_pool2d")
def _pool(call: Call) -> Layout:
    arguments = call.arguments
    size = pair(arguments["kernel_size"])
    dilation = pair(arguments.get("dilation", 1))
    kernel = (dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1)
    stride = pair(arguments["stride"] or size)
    if shape(call.node)[-2:] == (1, 1) and shape(call.source)[-2:] != (1, 1):
        return _whole(call, [2, 3])
    layout = _windowed(call, kernel, stride)
    overhangs = arguments["ceil_mode"] and _overhangs(call, kernel, stride)
    if overhangs or any(pair(arguments["padding"])):
        call.caveats.padding.append(call.node)
    return layout


def _overhangs(call: Call, kernel: tuple[int, int], stride: tuple[int, int]) -> bool:
    """Whether a ceil_mode pool reaches past the end of its input at one window."""
    lengths = zip(shape(call.source)[-2:], shape(call.node)[-2:], kernel, stride, strict=True)
    return any((out - 1) * s + k > length for length, out, k, s in lengths)


@rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive(call: Call) -> Layout:
    return _whole(call, [2, 3])


@rule("mean", "sum", "amax", "amin", "logsumexp", "var", "std", "linalg_vector_norm", "norm")
def _reduction(call: Call) -> Layout:
    return _whole(call, call.axes(call.arguments.get("dim")))


def _whole(call: Call, axes: list[int]) -> Layout:
    """A reduction over some axes: harmless over channels, inexact over positions."""
    letters = call.letters
    reduced = [letters[axis] for axis in axes]
    if "b" in reduced:
        raise CannotSlide("it makes photos of one batch depend on each other")
    if not slides("".join(reduced)):
        keeps_axes = len(shape(call.node)) == len(letters)
        return call.layout if keeps_axes else call.layout.without(axes)
    if set(letters) & SLIDING - set(reduced):
        raise CannotSlide("it pools along one direction of the photo only")
    call.caveats.whole_input.append((call.node, f"{operation(call.node)} over the whole input"))
    return Layout(pooled(len(shape(call.node))))


@rule("batch_norm")
def _batch_norm(call: Call) -> Layout:
    if call.arguments["training"]:
        raise CannotSlide("it has no running statistics: photos of one batch depend on each other")
    return _per_channel(call)


@rule("prelu", "channel_shuffle")
def _per_channel(call: Call) -> Layout:
    if call.letters[1] != "c":
        raise CannotSlide("it treats positions as channels")
    return call.layout


@rule("group_norm", "instance_norm")
def _normalisation(call: Call) -> Layout:
    call.caveats.whole_input.append((call.node, f"{operation(call.node)} over the whole input"))
    return _per_channel(call)


@rule("layer_norm", "rms_norm")
def _layer_normalisation(call: Call) -> Layout:
    covered = len(call.arguments["normalized_shape"])
    if not slides(call.letters[-covered:]):
        return call.layout
    raise CannotSlide("it is tied to one size of the map")


@rule("linear")
def _linear(call: Call) -> Layout:
    if call.arguments["input"] is not call.source or call.letters[-1] != "c":
        raise CannotSlide("it mixes fixed positions")
    return call.layout


@rule("softmax", "log_softmax", "_softmax")
def _softmax(call: Call) -> Layout:
    if call.letters[call.axes(call.arguments["dim"])[0]] in SLIDING:
        raise CannotSlide("it weighs positions against each other (attention)")
    return call.layout


@rule("view", "reshape", "flatten", "unflatten", "_unsafe_view", "reshape_as", "view_as")
def _view(call: Call) -> Layout:
    sliding = [axis for axis, letter in enumerate(call.letters) if letter in "hw"]
    map_hw = (
        (shape(call.source)[sliding[0]], shape(call.source)[sliding[-1]]) if sliding else (0, 0)
    )
    if not sliding:
        map_hw = _square(shape(call.source)[call.letters.index("t")])
    letters = reshaped(call.letters, shape(call.source), shape(call.node), map_hw)
    if letters is None:
        raise CannotSlide(f"it mixes positions: {shape(call.source)} becomes {shape(call.node)}")
    return call.layout.lettered(letters) if slides(letters) else Layout(letters)


def _square(positions: int) -> tuple[int, int]:
    side = round(positions**0.5)
    return (side, positions // side)


@rule("permute", "transpose", "movedim")
def _permute(call: Call) -> Layout:
    letters = list(call.letters)
    if operation(call.node) == "permute":
        letters = [letters[axis] for axis in call.axes(call.arguments["dims"])]
    elif operation(call.node) == "transpose":
        first, second = call.axes([call.arguments["dim0"], call.arguments["dim1"]])
        letters[first], letters[second] = letters[second], letters[first]
    else:
        raise CannotSlide("this operation is not known to slide")
    return call.layout.lettered("".join(letters))


@rule("squeeze", "unsqueeze")
def _squeeze(call: Call) -> Layout:
    letters, old = list(call.letters), shape(call.source)
    if operation(call.node) == "unsqueeze":
        letters.insert(call.arguments["dim"] % (len(old) + 1), "c")
        return call.layout.lettered("".join(letters))
    gone = [axis for axis in call.axes(call.arguments.get("dim")) if old[axis] == 1]
    if any(letters[axis] == "b" for axis in gone):
        raise CannotSlide("it drops the batch axis")
    return call.layout.without(gone)


@rule("cat")
def _cat(call: Call) -> Layout:
    axis = call.axes(call.arguments["dim"])[0]
    if call.letters[axis] != "c":
        raise CannotSlide("it joins tensors along an axis of positions (a class token)")
    return _joined(call)


@rule("stack")
def _stack(call: Call) -> Layout:
    axis = call.arguments["dim"] % (len(shape(call.source)) + 1)
    letters = call.letters
    return _joined(call).lettered(letters[:axis] + "c" + letters[axis:])


def _joined(call: Call) -> Layout:
    """The one layout that all the tensors of a join have, but for the receptive field."""
    tensors = call.arguments["tensors"]
    layouts = [call.layouts[tensor] for tensor in tensors if tensor in call.layouts]
    differ = len({(layout.letters, layout.stride_hw) for layout in layouts}) > 1
    if len(layouts) < len(tensors) or differ:
        raise CannotSlide("it joins branches of different strides or axes")
    return _widest(layouts)


@rule("chunk", "split", "split_with_sizes", "unbind", "narrow")
def _split(call: Call) -> Layout:
    axis = call.axes(call.arguments.get("dim", 0))[0]
    if call.letters[axis] != "c":
        raise CannotSlide("it cuts positions apart")
    return call.layout.without([axis]) if operation(call.node) == "unbind" else call.layout


@rule("getitem")
def _getitem(call: Call) -> Layout:
    return call.layout


@rule("slice")
def _slice(call: Call) -> Layout:
    axis = call.axes(call.arguments["dim"])[0]
    letter, every = call.letters[axis], call.arguments["step"]
    if letter == "c":
        return call.layout
    if letter not in "hw" or (call.arguments["start"] or 0) < 0:
        raise CannotSlide("it picks fixed positions")
    stride = call.layout.stride_hw
    wider = (stride[0] * every, stride[1]) if letter == "h" else (stride[0], stride[1] * every)
    return replace(call.layout, stride_hw=wider)


@rule("select")
def _select(call: Call) -> Layout:
    axis = call.axes(call.arguments["dim"])[0]
    if call.letters[axis] != "c":
        raise CannotSlide("it picks a fixed position (a class token)")
    return call.layout.without([axis])


@rule("index", "index_select")
def _index(call: Call) -> Layout:
    """Channels chosen or reordered by number, as ``x[:, [2, 1, 0]]``."""
    given = call.arguments
    numbers = given["indices"] if "indices" in given else [None] * given["dim"] + [given["index"]]
    chosen = [axis for axis, tensor in enumerate(numbers) if tensor is not None]
    if len(chosen) > 1 or call.letters[chosen[0]] != "c" or call.letters_of(numbers[chosen[0]]):
        raise CannotSlide("it picks positions by number")
    keeps_axes = len(shape(call.node)) == len(call.letters)
    return call.layout if keeps_axes else call.layout.without(chosen)


@rule("flip")
def _flip(call: Call) -> Layout:
    if slides("".join(call.letters[axis] for axis in call.axes(call.arguments["dims"]))):
        raise CannotSlide("it mirrors positions")
    return call.layout


@rule("repeat", "tile", "repeat_interleave", "expand")
def _repeat(call: Call) -> Layout:
    """Channels repeated, as where a grey photo becomes three channels."""
    if len(shape(call.node)) != len(call.letters):
        raise CannotSlide("it adds an axis before the batch")
    lengths = zip(call.letters, shape(call.source), shape(call.node), strict=True)
    if any(letter != "c" and before != after for letter, before, after in lengths):
        raise CannotSlide("it repeats positions or photos")
    return call.layout


@rule("pad", "constant_pad_nd")
def _pad(call: Call) -> Layout:
    if call.arguments.get("mode") == "circular":
        raise CannotSlide("it pads one edge with the other")
    amounts = list(call.arguments["pad"])
    # Pairs of amounts, the last axis first.
    sides = zip(amounts[::2], amounts[1::2], strict=True)
    for letter, (before, after) in zip(reversed(call.letters), sides, strict=False):
        if (before or after) and letter not in "chw":
            raise CannotSlide("it pads an axis of positions")
        if letter in "hw" and (before > 0 or after > 0):
            call.caveats.padding.append(call.node)
    return call.layout


@rule("upsample_nearest2d", "upsample_bilinear2d")
def _upsample(call: Call) -> Layout:
    if call.letters != "bchw" or call.arguments.get("align_corners"):
        raise CannotSlide("it enlarges by a rule tied to the whole map (align_corners)")
    old, new, stride = shape(call.source)[-2:], shape(call.node)[-2:], call.layout.stride_hw
    factor = (new[0] // old[0], new[1] // old[1])
    exact = all(n == o * f for n, o, f in zip(new, old, factor, strict=True))
    if not exact or stride[0] % factor[0] or stride[1] % factor[1]:
        raise CannotSlide(f"it enlarges {old} to {new}, not by a whole factor of the stride")
    if operation(call.node) == "upsample_bilinear2d" and factor != (1, 1):
        call.caveats.padding.append(call.node)
    return replace(call.layout, stride_hw=(stride[0] // factor[0], stride[1] // factor[1]))


@rule("scaled_dot_product_attention", "matmul", "bmm", "baddbmm", "einsum", "mm")
def _attention(call: Call) -> Layout:
    raise CannotSlide("it weighs positions against each other (attention)")
