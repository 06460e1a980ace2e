"""What modules of several members have in common: all of it is compared, nothing is listed."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))  # hooks, and what is compared by itself below


def check_alike(
    members: Sequence[nn.Module],
    stacked: Sequence[str] = (),
    sizes_only: bool = False,
    whole: bool = False,
) -> None:
    """Compare the kinds, attributes, buffers, sizes of parameters and presence of children.

    Args:
        members: the same part of every member.
        stacked: attributes and buffers that may differ, because each member's is used.
        sizes_only: compare only kinds and sizes, also those of children.
        whole: compare the children as well.

    Raises:
        ValueError: naming what differs.
    """
    one = members[0]
    for other in members[1:]:
        name = _difference(one, other, stacked, sizes_only)
        if name:
            raise ValueError(f"members differ in {name} of {type(one).__name__}")
    if whole or sizes_only:
        for name, _ in one.named_children():
            parts = [getattr(member, name) for member in members]
            check_alike(parts, stacked, sizes_only, whole)


def _difference(one: nn.Module, other: nn.Module, stacked: Sequence[str], sizes_only: bool) -> str:
    """The name of the first thing that differs, "" for none."""
    if type(one) is not type(other):
        return "kind"
    if _children(one) != _children(other):
        return "children"
    ours, theirs = _contents(one, sizes_only), _contents(other, sizes_only)
    for name in sorted(ours.keys() | theirs.keys()):
        if name in stacked:
            continue
        if name not in ours or name not in theirs or not _equal(ours[name], theirs[name]):
            return name
    return ""


def _children(module: nn.Module) -> dict[str, bool]:
    """Names of the children, and whether each is there."""
    return {name: child is not None for name, child in module._modules.items()}


def _contents(module: nn.Module, sizes_only: bool) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: parameter if parameter is None else parameter.shape
        for name, parameter in module._parameters.items()
    }
    if sizes_only:
        return found
    plain = {name: v for name, v in vars(module).items() if name not in _OF_EVERY_MODULE}
    return {**found, **module._buffers, **plain}


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return isinstance(a, Tensor) and isinstance(b, Tensor) and a.equal(b)
    return type(a) is type(b) and bool(a == b)
