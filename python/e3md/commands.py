"""How the commands of `e3md` take their arguments, and tell what went wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from e3md.interrupts import WARNING, handled, said


class Commands(TyperGroup):
    """Tells users what is wrong with their input or their disk in words, without a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # the reader of a pipe has ended: no error
        except (ValueError, OSError, EOFError) as error:
            typer.echo(f"error: {words_of(error)}", err=True)
            raise typer.Exit(1) from None
        except ImportError as error:
            if error.name:
                raise  # Python's own, of a module that should be there
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(1) from None


def words_of(error: Exception) -> str:
    """Of an error of the operating system without its number; of another one its own."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


class Command(TyperCommand):
    """Takes ~ for the home folder also where a shell leaves it, as in --output=~/run."""

    def invoke(self, ctx: Any) -> Any:
        from e3md.paths import expand

        for name, value in ctx.params.items():
            if isinstance(value, Path):
                ctx.params[name] = expand(value)
            elif isinstance(value, list | tuple):
                ctx.params[name] = [expand(v) if isinstance(v, Path) else v for v in value]
        return super().invoke(ctx)


class ManyFiles(Command):
    """Options may be followed by several files, as a shell makes of --data *.xyz."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, repeat_options(args, ("--data", "--valid", "--test")))


class TrainCommand(ManyFiles):
    """Also heeds the warning of a job's time limit, and says how to go on."""

    def invoke(self, ctx: Any) -> Any:
        with handled(WARNING), said("before the training: start again with the same command"):
            return super().invoke(ctx)


def repeat_options(arguments: Sequence[str], options: Sequence[str]) -> list[str]:
    """`--data a b` as `--data a --data b`; what follows an option is a value of it."""
    found: list[str] = []
    current, filled = "", False  # the option that the next word belongs to, and whether it has one
    for word in arguments:
        name, equals, _ = word.partition("=")
        if word.startswith("-"):
            current, filled = (name if name in options else ""), bool(equals)
        elif current:
            found += [current] if filled else []
            filled = True
        found.append(word)
    return found


class App(typer.Typer):
    """Every command is a Command, unless it says otherwise."""

    def command(self, *arguments: Any, **options: Any) -> Any:
        return super().command(*arguments, **{"cls": Command, **options})
