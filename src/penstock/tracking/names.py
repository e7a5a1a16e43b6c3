"""Names for what nobody named: an adjective, a noun and a number, as `calm-river-417`."""

from __future__ import annotations

import secrets


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_ADJECTIVES = _words("""
    amber agile bold brave bright brisk calm candid clear clever cosmic crisp deft eager early fair fleet fond gentle
    glad golden grand happy hardy honest jolly keen kind lively lucid lucky mellow merry mild neat nimble noble
    patient placid polite prime proud quick quiet rapid ready rustic serene sharp silent silver sleek smooth solid
    spry stable steady stoic sturdy sunny swift tidy tranquil upbeat valiant vivid warm wise witty zesty
""")
_NOUNS = _words("""
    ant badger bat bear beaver bird bison brook canyon cliff cloud colt cove crab crane creek crow cub deer delta dove
    dune elk falcon fawn fern finch fjord fox frog gale geyser glade goose grove gull hare hawk heron hill horse ibis
    inlet island jay kite koi lake lark loon lynx marsh meadow mole moose moth newt oak otter owl panda perch pike pine
    plover pond puma quail rain ram raven reef ridge river robin seal shark shore shrew skunk slope snail sparrow
    squid stag stoat stork stream swan tern tide toad trout valley vole wave whale wolf wren yak
""")


def random_name() -> str:
    """One of some seven million."""
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{secrets.randbelow(1000)}"
