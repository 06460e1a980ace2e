"""A YAML file as plain values: of a size that a configuration has, whatever its aliases expand to."""

from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from e3md.data.problems import brief, one_line

_LARGEST = 10**6  # bytes of a file
_MOST_VALUES = 100_000  # after expansion of aliases
_DEEPEST = 20  # levels of sections and lists


class YamlError(ValueError):
    """A file that is no YAML, or too large; the message names it."""


def read_yaml(path: Path) -> Any:
    """The value that a YAML file holds; None for an empty one.

    Raises:
        YamlError: for a file that cannot be read, is no YAML, gives a key twice, is nested too
            deeply, or whose aliases expand to too many values.
    """
    text = _read_text(path)
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {}, 0)
        return loader.construct_document(node)
    except YamlError as error:
        raise YamlError(f"{path}: {error}") from None
    except RecursionError:
        raise YamlError(f"{path}: lists or sections are nested too deeply") from None
    except Exception as error:  # PyYAML lets those of int(), float() and date() pass
        what = " ".join(str(error).split()) or type(error).__name__
        raise YamlError(f"{path}: not YAML ({one_line(what, 300)})") from error


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            raise YamlError(f"{path}: no such file")
        size = path.stat().st_size
        if size > _LARGEST:
            raise YamlError(f"{path}: {size} bytes, too large for a configuration")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise YamlError(f"{path}: not YAML: no UTF-8 text ({error.reason})") from error
    except OSError as error:
        raise YamlError(f"{path}: {error.strerror}") from error


def _count(node: Node, known: dict[int, int], depth: int) -> int:
    """Values under a node, each alias counted as often as it stands there.

    Each node is looked at once (`known`), so that the count itself is fast.

    Raises:
        YamlError: for too many of them, too many levels, or a key given twice.
    """
    if isinstance(node, ScalarNode):
        return 1
    if depth > _DEEPEST:  # an alias of a list within itself too
        raise YamlError(f"line {node.start_mark.line + 1}: nested more than {_DEEPEST} levels deep")
    if id(node) not in known:
        if isinstance(node, MappingNode):
            _check_keys(node)
            children = [child for pair in node.value for child in pair]
        else:
            children = node.value
        known[id(node)] = 1 + sum(_count(child, known, depth + 1) for child in children)
    if known[id(node)] > _MOST_VALUES:
        raise YamlError(
            f"line {node.start_mark.line + 1}: more than {_MOST_VALUES} values, aliases expanded"
        )
    return known[id(node)]


def _check_keys(node: MappingNode) -> None:
    """YAML would take the last of two values and say nothing."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, ScalarNode) or key.value == "<<":
            continue
        if key.value in lines:
            first = lines[key.value]
            raise YamlError(
                f"line {line}: {brief(key.value)} is given twice, first in line {first}"
            )
        lines[key.value] = line
