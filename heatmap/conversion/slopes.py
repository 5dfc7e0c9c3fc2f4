"""Derivatives of activations, as functions that can be exported like any other."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from .graph import arguments, operation

Slope = Callable[[Tensor], Tensor]


def slope_of(node: fx.Node) -> Slope | None:
    """The derivative of an activation, of the values that it takes; None where none is known.

    At a kink it is that of the flatter side, as in torch's own gradients.
    """
    make = _SLOPES.get(operation(node))
    return None if make is None else make(arguments(node))


def _between(low: float, high: float, slope: float, values: Tensor) -> Tensor:
    """``slope`` where values lie between two bounds, else 0."""
    return ((values > low) & (values < high)) * slope


def _leaky(below: float, values: Tensor) -> Tensor:
    return torch.where(values > 0, 1.0, below)


def _hardswish(values: Tensor) -> Tensor:
    return torch.where(values.abs() < 3, values / 3 + 0.5, (values >= 3) * 1.0)


def _silu(values: Tensor) -> Tensor:
    gate = values.sigmoid()
    return gate * (1 + values * (1 - gate))


def _gelu(values: Tensor) -> Tensor:
    density = torch.exp(-0.5 * values.square()) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + torch.erf(values / math.sqrt(2))) + values * density


def _gelu_tanh(values: Tensor) -> Tensor:
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    bent = torch.tanh(root * (values + cubic * values**3))
    inner = root * (1 + 3 * cubic * values.square())
    return 0.5 * (1 + bent) + 0.5 * values * (1 - bent.square()) * inner


def _sigmoid(values: Tensor) -> Tensor:
    gate = values.sigmoid()
    return gate * (1 - gate)


def _tanh(values: Tensor) -> Tensor:
    return 1 - values.tanh().square()


def _square(values: Tensor) -> Tensor:
    return 2 * values


def _power(exponent: float, values: Tensor) -> Tensor:
    return exponent * values ** (exponent - 1)


def _of_power(given: dict[str, Any]) -> Slope | None:
    exponent = given["exponent"]
    return partial(_power, exponent) if isinstance(exponent, int | float) else None


_SLOPES: dict[str, Callable[[dict[str, Any]], Slope | None]] = {
    "relu": lambda _: partial(_between, 0.0, math.inf, 1.0),
    "relu6": lambda _: partial(_between, 0.0, 6.0, 1.0),
    "hardtanh": lambda at: partial(_between, float(at["min_val"]), float(at["max_val"]), 1.0),
    "hardsigmoid": lambda _: partial(_between, -3.0, 3.0, 1 / 6),
    "leaky_relu": lambda at: partial(_leaky, float(at["negative_slope"])),
    "hardswish": lambda _: _hardswish,
    "silu": lambda _: _silu,
    "gelu": lambda at: _gelu_tanh if at["approximate"] == "tanh" else _gelu,
    "sigmoid": lambda _: _sigmoid,
    "tanh": lambda _: _tanh,
    "square": lambda _: _square,
    "pow": _of_power,
}
