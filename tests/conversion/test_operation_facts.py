"""The table of operations: every fact it states holds when the operation is run."""

from __future__ import annotations

import operator

import pytest
import torch
from torch import Tensor

from heatmap.conversion.operation_facts import OPERATIONS, Fact

aten = torch.ops.aten

# What each operation takes beside a tensor (2, 4, 6, 6).
OTHER = torch.ones(2, 4, 6, 6)
ARGUMENTS = {
    "_to_copy": (),
    "_unsafe_view": ([2, 4, 36],),
    "add": (OTHER,),
    "alpha_dropout": (0.5, False),
    "avg_pool2d": ([2, 2],),
    "batch_norm": (None, None, torch.zeros(4), torch.ones(4), False, 0.1, 1e-5, False),
    "chunk": (2, 1),
    "conv2d": (torch.ones(3, 4, 1, 1),),
    "div": (2.0,),
    "dropout": (0.5, False),
    "expand": ([2, 4, 6, 6],),
    "expand_as": (OTHER,),
    "feature_dropout": (0.5, False),
    "flatten": (1,),
    "layer_norm": ([6],),
    "linear": (torch.ones(5, 6),),
    "max_pool2d": ([2, 2],),
    "movedim": (1, 2),
    "mul": (2.0,),
    "narrow": (1, 0, 2),
    "permute": ([0, 2, 3, 1],),
    "reshape": ([2, 4, 36],),
    "reshape_as": (OTHER,),
    "select": (1, 0),
    "slice": (1, 0, 2),
    "split": (2, 1),
    "split_with_sizes": ([1, 3], 1),
    "squeeze": (0,),
    "sub": (OTHER,),
    "to": (torch.float32,),
    "transpose": (1, 2),
    "unbind": (1,),
    "unflatten": (1, [2, 2]),
    "unsqueeze": (0,),
    "view": ([2, 4, 36],),
    "view_as": (OTHER,),
}


def run(name: str, tensor: Tensor) -> Tensor:
    """One operation on a tensor; the first of several outputs."""
    if name == "getitem":
        return operator.getitem(tensor, 0)
    given = [tensor] if name == "cat" else tensor
    output = getattr(aten, name)(given, *ARGUMENTS.get(name, ()))
    return output if isinstance(output, Tensor) else output[0]


def names(fact: Fact) -> list[str]:
    return [name for name, facts in OPERATIONS.items() if facts & fact]


def photo(seed: int = 0) -> Tensor:
    return torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", names(Fact.IDENTITY))
def test_an_identity_gives_back_its_input(name):
    assert torch.equal(run(name, photo()), photo())


@pytest.mark.parametrize("name", names(Fact.VIEW))
def test_a_view_is_its_inputs_memory(name):
    tensor = photo()
    output = run(name, tensor)
    assert output.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", names(Fact.REARRANGES))
def test_rearranging_keeps_every_value(name):
    values = run(name, photo()).flatten()
    assert torch.equal(values.sort().values, photo().flatten().sort().values)


@pytest.mark.parametrize("name", names(Fact.LINEAR | Fact.IDENTITY))
def test_of_a_mean_a_linear_operation_gives_the_mean(name):
    first, second = photo(1), photo(2)
    mean = run(name, (first + second) / 2)
    torch.testing.assert_close(mean, (run(name, first) + run(name, second)) / 2)


@pytest.mark.parametrize("name", names(Fact.FRESH))
def test_what_is_fresh_shares_no_memory(name):
    tensor = photo()
    output = run(name, tensor)
    assert output.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


@pytest.mark.parametrize("name", names(Fact.OVERWRITES))
def test_the_in_place_form_gives_the_same_in_its_inputs_memory(name):
    tensor = photo()
    expected = run(name, tensor.clone())
    output = getattr(aten, f"{name}_")(tensor, *ARGUMENTS.get(name, ()))
    assert torch.equal(output, expected)
    assert output.data_ptr() == tensor.data_ptr()


@pytest.mark.parametrize("name", names(Fact.SWAPS))
def test_operands_may_be_swapped(name):
    operate = getattr(aten, name)
    assert torch.equal(operate(photo(1), photo(2)), operate(photo(2), photo(1)))


@pytest.mark.parametrize("name", names(Fact.ELEMENTWISE | Fact.OVERWRITES))
def test_an_elementwise_operation_reads_its_own_position_only(name):
    changed = photo()
    changed[0, 0, 0, 0] += 1
    same = run(name, photo()) == run(name, changed)
    assert same.flatten()[1:].all()
