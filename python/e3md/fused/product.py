"""The product basis as one op: all orders together, over the monomials they use."""

import torch
from torch import Tensor, nn

from e3md import ops
from e3md.model.product import Order, SymmetricContraction


class FusedContraction(nn.Module):
    """A `SymmetricContraction` whose orders are one polynomial with a sparse table of terms."""

    terms: Tensor
    entries: Tensor
    product_value: Tensor

    def __init__(self, contraction: SymmetricContraction) -> None:
        super().__init__()
        self.dim_lm, self.channels = contraction.dim_lm, contraction.channels
        self.n_rows = contraction.dim_out // contraction.channels
        found: dict[tuple[int, ...], list[tuple[int, float]]] = {}
        n_weights = 0
        for order in contraction.orders:
            assert isinstance(order, Order)
            out_of_row = order.gather.argmax(0)
            for row, monomial in torch.nonzero(order.couplings.abs() > 1e-12).tolist():
                components = order.factors[:, monomial].tolist()
                term = (int(out_of_row[row]), *components, *[-1] * (3 - len(components)))
                entry = n_weights + int(order.weight_rows[row])
                found.setdefault(term, []).append((entry, float(order.couplings[row, monomial])))
            n_weights += order.weight.shape[1]
        terms = sorted(found)
        entries = [(n, weight) for n, term in enumerate(terms) for weight, _ in found[term]]
        values = [value for term in terms for _, value in found[term]]
        self.weights = nn.ParameterList(order.weight for order in contraction.orders)
        self.register_buffer("terms", torch.tensor(terms))
        self.register_buffer("entries", torch.tensor(entries))
        self.register_buffer("product_value", torch.tensor(values, dtype=torch.float64))

    def forward(self, a: Tensor, types: Tensor) -> Tensor:
        """a: (n, dim_in), types: (n,) int64 -> (n, dim_out)."""
        return self.contract(a, types, [weight for weight in self.weights])

    def contract(self, a: Tensor, types: Tensor, weights: list[Tensor]) -> Tensor:
        tables = [self.terms, self.entries, self.product_value]
        a = a.view(a.shape[0], self.dim_lm, self.channels)
        return ops.symmetric_contraction(a, types, weights, tables, self.n_rows).flatten(1)


def use_fused_products(module: nn.Module) -> None:
    """Replace the product bases of a model, wherever they are."""
    for name, child in module.named_children():
        if isinstance(child, SymmetricContraction):
            setattr(module, name, FusedContraction(child))
        else:
            use_fused_products(child)
