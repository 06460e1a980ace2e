"""Kernels of edge_conv_radial for GPUs, emulated on the host, against the CPU's op."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from radial import Case, Convolution, Graph, Text

from gpu.cases import CASES, case
from gpu.emulated import emulate

LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}


@pytest.mark.parametrize("dtype", LIMITS, ids=["float64", "float32"])
@pytest.mark.parametrize("name", CASES)
def test_equals_the_op(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    exact = case(name)
    text = Text.of(exact.convolution, dtype)
    found = emulate(exact.to("cpu", dtype), text, tmp_path)
    assert found is not None
    assert text.fills
    assert found.worst(exact.by_op()) < LIMITS[dtype]


def test_members_of_a_committee_share_kernels() -> None:
    text = Text.of(CASES["committee"](), torch.float32)
    assert [launch[0] for launch in text.launches] == [0, 0]
    assert [launch[4] for launch in text.launches] == [0, 1]


def test_many_results_take_several_kernels() -> None:
    assert len(Text.of(CASES["high"](), torch.float32).launches) > 1


FAULTS = {
    "a missing barrier": ("    __syncwarp();\n    for (int b", "    for (int b"),
    "a wrong lane": ("value += half;", "value += half - 1;"),
    "a missing atomic": ("atomicAdd(row + column, from[k]);", "row[column] += from[k];"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str, tmp_path: Path) -> None:
    right, wrong = FAULTS[fault]
    exact = case("vectors")
    text = Text.of(exact.convolution, torch.float64)
    assert right in text.source
    faulty = replace(text, source=text.source.replace(right, wrong))
    found = emulate(exact, faulty, tmp_path)
    assert found is None or not found.worst(exact.by_op()) < 1e-6


def with_graph(exact: Case, **changed: object) -> Case:
    return replace(exact, graph=replace(exact.graph, **changed))


def wrong_graphs(graph: Graph) -> dict[str, dict[str, object]]:
    swapped, outside = graph.edge_index.clone(), graph.edge_index.clone()
    swapped[:, [0, -1]] = swapped[:, [-1, 0]]
    outside[1, 7] = 9
    return {
        "unsorted": {"edge_index": swapped},
        "no such neighbor": {"edge_index": outside},
        "no such type": {"types": graph.types + 1},
        "no such receiver": {"n_local": 5},
    }


@pytest.mark.parametrize("what", wrong_graphs(case("mixed").graph))
def test_a_wrong_graph_stops_the_kernel(what: str, tmp_path: Path) -> None:
    right = case("mixed")
    wrong = with_graph(right, **wrong_graphs(right.graph)[what])
    assert emulate(wrong, Text.of(wrong.convolution, torch.float64), tmp_path) is None


def test_results_that_overlap_are_refused() -> None:
    c: Convolution = CASES["mixed"]()
    paths = c.tables[5].clone()
    paths[1, 3] += 16
    with pytest.raises(RuntimeError, match="no GPU kernel for paths that share column"):
        Text.of(replace(c, tables=[*c.tables[:5], paths, *c.tables[6:]]), torch.float64)
