"""ghost_exchange without a communicator; with one, see cpp/tests/test_ghost_exchange.cpp."""

import pytest
import torch

from e3md import ops


@pytest.mark.parametrize("shape", [(4, 3), (0, 3), (4, 0)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_identity_without_ghosts(shape: tuple[int, int], dtype: torch.dtype) -> None:
    h = torch.randn(shape, dtype=dtype)
    assert torch.equal(ops.ghost_exchange(h, shape[0]), h)


@pytest.mark.parametrize("name", ["ghost_exchange", "ghost_exchange_reverse"])
def test_derivatives(name: str) -> None:
    h = torch.randn(3, 2, dtype=torch.float64, requires_grad=True)
    op = getattr(torch.ops.e3md, name)
    assert torch.autograd.gradcheck(lambda x: op(x, 3) ** 2, h)
    assert torch.autograd.gradgradcheck(lambda x: op(x, 3) ** 2, h)


def test_ghosts_without_communicator_are_an_error() -> None:
    with pytest.raises(RuntimeError, match="2 ghost atoms, but no communicator"):
        ops.ghost_exchange(torch.zeros(3, 2), 5)
    with pytest.raises(RuntimeError, match="2 ghost atoms, but no communicator"):
        torch.ops.e3md.ghost_exchange_reverse(torch.zeros(5, 2), 3)


def test_fewer_nodes_than_rows_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="n_nodes = 2 is less than the 3"):
        ops.ghost_exchange(torch.zeros(3, 2), 2)


def test_shapes_without_data() -> None:
    h = torch.zeros(3, 4, device="meta", requires_grad=True)
    out = ops.ghost_exchange(h, 5)
    assert out.shape == (5, 4)
    (gradient,) = torch.autograd.grad(out.sum(), h)
    assert gradient.shape == (3, 4)


def test_scripts() -> None:
    @torch.jit.script
    def double(h: torch.Tensor, n_nodes: int) -> torch.Tensor:
        return torch.ops.e3md.ghost_exchange(h, n_nodes) * 2.0

    assert torch.equal(double(torch.ones(2, 2), 2), torch.full((2, 2), 2.0))
