"""What each operation does to the axes: one rule a kind of operation.

A rule reads the places of a node's inputs and answers with the node's own. It
raises :class:`Refusal` for what no sliding can do (attention, fixed positions)
and notes in ``findings`` what makes sliding inexact (pooling over the whole
input) or different from cropping (padding). Only operations on tensors that
slide need a rule; without one a network is refused, never guessed.
"""

from __future__ import annotations

from dataclasses import replace

from .axes import SLIDING, broadcast, pooled, reshaped, slides
from .graph import is_elementwise, operation, pair, shape
from .layout import RULES, Place, Refusal, Step, rule


def place_node(step: Step) -> Place:
    """Place one node, by its rule.

    Raises:
        Refusal: it cannot slide.
    """
    operands = [n for n in step.node.all_input_nodes if n in step.places]
    if not any(slides(step.places[n].letters) for n in operands):
        # Nothing here moves with the photo any more: any operation will do.
        value = step.node.meta["val"]
        return Place(pooled(value.dim() if hasattr(value, "dim") else 2))
    name = operation(step.node)
    if name in RULES:
        return RULES[name](step)
    if is_elementwise(step.node):
        return _elementwise(step)
    raise Refusal("this operation is not known to slide")


@rule("expand_as")
def _elementwise(step: Step) -> Place:
    operands = [n for n in step.node.all_input_nodes if n.op != "get_attr" or shape(n)]
    moving = [step.places[n] for n in operands if slides(step.place_of(n))]
    if len({place.stride_hw for place in moving}) > 1:
        raise Refusal("it joins branches of different strides")
    letters = broadcast([(step.place_of(n), shape(n)) for n in operands])
    if letters is None:
        raise Refusal("it adds or multiplies by values that belong to fixed positions")
    return replace(
        moving[0],
        letters=letters,
        field_hw=(max(p.field_hw[0] for p in moving), max(p.field_hw[1] for p in moving)),
    )


def _windowed(step: Step, kernel_hw: tuple[int, int], stride_hw: tuple[int, int]) -> Place:
    """A convolution or pool: ``kernel_hw`` already counts dilation."""
    if step.place.letters != "bchw":
        raise Refusal(f"its input's axes are {step.place.letters}, not bchw")
    stride, seen = step.place.stride_hw, step.place.field_hw
    return Place(
        "bchw",
        (stride[0] * stride_hw[0], stride[1] * stride_hw[1]),
        (seen[0] + (kernel_hw[0] - 1) * stride[0], seen[1] + (kernel_hw[1] - 1) * stride[1]),
    )


@rule("conv2d")
def _convolution(step: Step) -> Place:
    given = step.given
    if operation(given["weight"]) or given["input"] is not step.source:
        raise Refusal("its weights are computed from the photo")
    if any(pair(given["padding"])):
        step.findings.padding.append(step.node)
    size, dilation = shape(given["weight"])[2:], pair(given["dilation"])
    kernel = (dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1)
    return _windowed(step, kernel, pair(given["stride"]))


@rule("max_pool2d", "avg_pool2d")
def _pool(step: Step) -> Place:
    given = step.given
    size = pair(given["kernel_size"])
    dilation = pair(given.get("dilation", 1))
    kernel = (dilation[0] * (size[0] - 1) + 1, dilation[1] * (size[1] - 1) + 1)
    stride = pair(given["stride"] or size)
    if shape(step.node)[-2:] == (1, 1) and shape(step.source)[-2:] != (1, 1):
        return _whole(step, [2, 3])
    place = _windowed(step, kernel, stride)
    if any(pair(given["padding"])) or (given["ceil_mode"] and _overhangs(step, kernel, stride)):
        step.findings.padding.append(step.node)
    return place


def _overhangs(step: Step, kernel: tuple[int, int], stride: tuple[int, int]) -> bool:
    """Whether a ceil_mode pool reaches past the end of its input at one window."""
    lengths = zip(shape(step.source)[-2:], shape(step.node)[-2:], kernel, stride, strict=True)
    return any((out - 1) * s + k > length for length, out, k, s in lengths)


@rule("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive(step: Step) -> Place:
    return _whole(step, [2, 3])


@rule("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm", "norm")
def _reduction(step: Step) -> Place:
    return _whole(step, step.axes(step.given.get("dim")))


def _whole(step: Step, axes: list[int]) -> Place:
    """A reduction over some axes: harmless over channels, inexact over positions."""
    letters = step.place.letters
    reduced = [letters[axis] for axis in axes]
    if "b" in reduced:
        raise Refusal("it makes photos of one batch depend on each other")
    if not slides("".join(reduced)):
        kept = len(shape(step.node)) == len(letters)
        left = [c for axis, c in enumerate(letters) if kept or axis not in axes]
        return replace(step.place, letters="".join(left))
    if set(letters) & SLIDING - set(reduced):
        raise Refusal("it pools along one direction of the photo only")
    step.findings.whole_input.append((step.node, f"{operation(step.node)} over the whole input"))
    return Place(pooled(len(shape(step.node))))


@rule("batch_norm")
def _batch_norm(step: Step) -> Place:
    if step.given["training"]:
        raise Refusal("it has no running statistics: photos of one batch depend on each other")
    return _per_channel(step)


@rule("prelu", "channel_shuffle")
def _per_channel(step: Step) -> Place:
    if step.place.letters[1] != "c":
        raise Refusal("it treats positions as channels")
    return step.place


@rule("group_norm", "instance_norm")
def _normalisation(step: Step) -> Place:
    step.findings.whole_input.append((step.node, f"{operation(step.node)} over the whole input"))
    return _per_channel(step)


@rule("layer_norm", "rms_norm")
def _layer_normalisation(step: Step) -> Place:
    covered = len(step.given["normalized_shape"])
    if not slides(step.place.letters[-covered:]):
        return step.place
    raise Refusal("it is tied to one size of the map")


@rule("linear")
def _linear(step: Step) -> Place:
    if step.given["input"] is not step.source or step.place.letters[-1] != "c":
        raise Refusal("it mixes fixed positions")
    return step.place


@rule("softmax", "log_softmax", "_softmax")
def _softmax(step: Step) -> Place:
    if step.place.letters[step.axes(step.given["dim"])[0]] in SLIDING:
        raise Refusal("it weighs positions against each other (attention)")
    return step.place


@rule("view", "reshape", "flatten", "unflatten", "_unsafe_view", "reshape_as", "view_as")
def _view(step: Step) -> Place:
    sliding = [axis for axis, letter in enumerate(step.place.letters) if letter in "hw"]
    map_hw = (
        (shape(step.source)[sliding[0]], shape(step.source)[sliding[-1]]) if sliding else (0, 0)
    )
    if not sliding:
        map_hw = _square(shape(step.source)[step.place.letters.index("t")])
    letters = reshaped(step.place.letters, shape(step.source), shape(step.node), map_hw)
    if letters is None:
        raise Refusal(f"it mixes positions: {shape(step.source)} becomes {shape(step.node)}")
    return replace(step.place, letters=letters) if slides(letters) else Place(letters)


def _square(positions: int) -> tuple[int, int]:
    side = round(positions**0.5)
    return (side, positions // side)


@rule("permute", "transpose", "movedim")
def _permute(step: Step) -> Place:
    letters = list(step.place.letters)
    if operation(step.node) == "permute":
        letters = [letters[axis] for axis in step.axes(step.given["dims"])]
    elif operation(step.node) == "transpose":
        first, second = step.axes([step.given["dim0"], step.given["dim1"]])
        letters[first], letters[second] = letters[second], letters[first]
    else:
        raise Refusal("this operation is not known to slide")
    return replace(step.place, letters="".join(letters))


@rule("squeeze", "unsqueeze")
def _squeeze(step: Step) -> Place:
    letters, old = list(step.place.letters), shape(step.source)
    if operation(step.node) == "unsqueeze":
        letters.insert(step.given["dim"] % (len(old) + 1), "c")
        return replace(step.place, letters="".join(letters))
    gone = [axis for axis in step.axes(step.given.get("dim")) if old[axis] == 1]
    if any(letters[axis] == "b" for axis in gone):
        raise Refusal("it drops the batch axis")
    left = "".join(letter for axis, letter in enumerate(letters) if axis not in gone)
    return replace(step.place, letters=left)


@rule("cat")
def _cat(step: Step) -> Place:
    tensors = step.given["tensors"]
    places = [step.places.get(tensor) for tensor in tensors]
    axis = step.axes(step.given["dim"])[0]
    if step.place.letters[axis] != "c":
        raise Refusal("it joins tensors along an axis of positions (a class token)")
    known = [place for place in places if place is not None]
    if len(known) < len(places) or len({(p.letters, p.stride_hw) for p in known}) > 1:
        raise Refusal("it joins branches of different strides or axes")
    field_hw = (max(p.field_hw[0] for p in known), max(p.field_hw[1] for p in known))
    return replace(step.place, field_hw=field_hw)


@rule("stack")
def _stack(step: Step) -> Place:
    axis = step.given["dim"] % (len(shape(step.source)) + 1)
    known = [step.places[tensor] for tensor in step.given["tensors"] if tensor in step.places]
    if (
        len(known) < len(step.given["tensors"])
        or len({(p.letters, p.stride_hw) for p in known}) > 1
    ):
        raise Refusal("it joins branches of different strides or axes")
    letters = step.place.letters
    field_hw = (max(p.field_hw[0] for p in known), max(p.field_hw[1] for p in known))
    return replace(step.place, letters=letters[:axis] + "c" + letters[axis:], field_hw=field_hw)


@rule("chunk", "split", "split_with_sizes", "unbind", "narrow")
def _split(step: Step) -> Place:
    axis = step.axes(step.given.get("dim", 0))[0]
    if step.place.letters[axis] != "c":
        raise Refusal("it cuts positions apart")
    if operation(step.node) == "unbind":
        letters = step.place.letters
        return replace(step.place, letters=letters[:axis] + letters[axis + 1 :])
    return step.place


@rule("getitem")
def _getitem(step: Step) -> Place:
    return step.place


@rule("slice")
def _slice(step: Step) -> Place:
    axis = step.axes(step.given["dim"])[0]
    letter, every = step.place.letters[axis], step.given["step"]
    if letter == "c":
        return step.place
    if letter not in "hw" or (step.given["start"] or 0) < 0:
        raise Refusal("it picks fixed positions")
    stride = step.place.stride_hw
    wider = (stride[0] * every, stride[1]) if letter == "h" else (stride[0], stride[1] * every)
    return replace(step.place, stride_hw=wider)


@rule("select", "index_select", "index")
def _select(step: Step) -> Place:
    if operation(step.node) != "select":
        raise Refusal("it picks positions by number")
    axis = step.axes(step.given["dim"])[0]
    if step.place.letters[axis] != "c":
        raise Refusal("it picks a fixed position (a class token)")
    letters = step.place.letters
    return replace(step.place, letters=letters[:axis] + letters[axis + 1 :])


@rule("pad", "constant_pad_nd")
def _pad(step: Step) -> Place:
    if step.given.get("mode") == "circular":
        raise Refusal("it pads one edge with the other")
    amounts = list(step.given["pad"])
    for place_from_end, (before, after) in enumerate(zip(amounts[::2], amounts[1::2], strict=True)):
        letter = step.place.letters[-1 - place_from_end]
        if (before or after) and letter not in "chw":
            raise Refusal("it pads an axis of positions")
        if letter in "hw" and (before > 0 or after > 0):
            step.findings.padding.append(step.node)
    return step.place


@rule("upsample_nearest2d", "upsample_bilinear2d")
def _upsample(step: Step) -> Place:
    if step.place.letters != "bchw" or step.given.get("align_corners"):
        raise Refusal("it enlarges by a rule tied to the whole map (align_corners)")
    old, new, stride = shape(step.source)[-2:], shape(step.node)[-2:], step.place.stride_hw
    factor = (new[0] // old[0], new[1] // old[1])
    exact = all(n == o * f for n, o, f in zip(new, old, factor, strict=True))
    if not exact or stride[0] % factor[0] or stride[1] % factor[1]:
        raise Refusal(f"it enlarges {old} to {new}, not by a whole factor of the stride")
    if operation(step.node) == "upsample_bilinear2d":
        step.findings.padding.append(step.node)
    return replace(step.place, stride_hw=(stride[0] // factor[0], stride[1] // factor[1]))


@rule("scaled_dot_product_attention", "matmul", "bmm", "baddbmm", "einsum", "mm")
def _attention(step: Step) -> Place:
    raise Refusal("it weighs positions against each other (attention)")
