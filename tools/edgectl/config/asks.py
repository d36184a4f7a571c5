"""Who answers: a person at a terminal, or nobody, which takes what is usual."""

from __future__ import annotations

import sys
from typing import Protocol

import typer

from edgectl.plain import one_line


class Asks(Protocol):
    """Answers questions. ``usual`` is what an empty answer means."""

    is_person: bool

    def text(self, question: str, usual: str) -> str:
        """Give a line of text, possibly an empty one."""
        ...

    def whether(self, question: str, *, usual: bool) -> bool:
        """Give yes or no."""
        ...

    def secret(self, question: str) -> str:
        """Give what was typed without showing it."""
        ...

    def say(self, line: str) -> None:
        """Tell something that an answer needs."""
        ...


class Person:
    """Asks on standard error, so that standard output carries the result alone."""

    is_person = True

    def text(self, question: str, usual: str) -> str:
        """Ask for a line."""
        answer: str = typer.prompt(one_line(question), default=usual, show_default=bool(usual), err=True)
        return answer.strip()

    def whether(self, question: str, *, usual: bool) -> bool:
        """Ask for yes or no."""
        return typer.confirm(one_line(question), default=usual, err=True)

    def secret(self, question: str) -> str:
        """Ask for a password."""
        answer: str = typer.prompt(question, default="", show_default=False, hide_input=True, err=True)
        return answer

    def say(self, line: str) -> None:
        """Write a line to standard error."""
        typer.echo(one_line(line), err=True)


class Nobody:
    """Takes what is usual."""

    is_person = False

    def text(self, question: str, usual: str) -> str:  # noqa: ARG002 - the port's
        """Give what is usual."""
        return usual

    def whether(self, question: str, *, usual: bool) -> bool:  # noqa: ARG002 - the port's
        """Give what is usual."""
        return usual

    def secret(self, question: str) -> str:  # noqa: ARG002 - the port's
        """Give nothing."""
        return ""

    def say(self, line: str) -> None:
        """Nobody listens."""


def is_terminal() -> bool:
    """Tell whether a person sits at both ends."""
    return sys.stdin.isatty() and sys.stderr.isatty()
