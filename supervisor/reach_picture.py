"""Who can reach whom, as a picture: from the outside on the left, through the actors, to the acts on the right.

Each column is one step further from the outside. What nobody outside can set in motion stands in the last one.
"""

from collections.abc import Sequence
from html import escape
from typing import Final

from callboard.actors import ActorSpec

from .reach import OUTSIDE, Edge, Junction, edges_of, warnings_of

_WIDE, _HIGH, _ACROSS, _DOWN, _MARGIN = 190, 34, 110, 30, 24
_COLOURS: Final = {"door": "#cf222e", "tell": "#1f6feb", "ask": "#1f6feb", "enqueue": "#8250df", "publish": "#2da44e"}
_DASHES: Final = {"tell": "4 3", "enqueue": "", "ask": "", "publish": "1 3", "door": ""}
_STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#24292f}.s{font-size:11px;fill:#57606a}path{fill:none}</style>"
)
_ARROW: Final = (
    '<defs><marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0L8 4L0 8z" style="fill:#57606a"/></marker></defs>'
)
_BEND: Final = 60
_SHOWN: Final = 34
"""Characters of what an actor does; the rest shows when one points there."""
Place = tuple[float, float]


def picture(name: str, specs: Sequence[ActorSpec]) -> str:
    """Return an SVG of a fleet's grants; cells that join what should be apart are red."""
    edges, junctions = edges_of(specs), warnings_of(specs)
    places = _places(specs, edges)
    right = max(x for x, _ in places.values()) + _WIDE
    bottom = max(y for _, y in places.values()) + _HIGH + 90
    body = [_ARROW, f'<text x="{_MARGIN}" y="20" font-weight="600">fleet {escape(name)}: who can reach whom</text>']
    body += [_line(edge, places) for edge in edges]
    body += [_box(OUTSIDE, "guests and persons", places[OUTSIDE], "#fff1f0", "#cf222e")] if OUTSIDE in places else []
    body += [_actor(spec, places[spec.name], junctions) for spec in specs]
    strangers = places.keys() - {OUTSIDE, *(spec.name for spec in specs)}
    body += [_box(name, "not in the file: spawned?", places[name], "#fff", "#8c959f") for name in sorted(strangers)]
    body.append(_legend(bottom - 24))
    body += [
        f'<text class="s" x="{_MARGIN}" y="{bottom - 6}">{escape(str(junction))}</text>' for junction in junctions[:1]
    ]
    size = f'viewBox="0 0 {right + _MARGIN:.0f} {bottom:.0f}" width="{right + _MARGIN:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{_STYLE}'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>", ""])


def steps_from_outside(specs: Sequence[ActorSpec], edges: Sequence[Edge]) -> dict[str, int]:
    """Return how many steps each actor is from the outside; who cannot be reached is one step further than all."""
    steps, edge_of = {OUTSIDE: 0}, dict[str, list[str]]()
    for edge in edges:
        edge_of.setdefault(edge.source, []).append(edge.target)
    line = [OUTSIDE]
    while line:
        source = line.pop(0)
        for target in edge_of.get(source, []):
            if target not in steps:
                steps[target] = steps[source] + 1
                line.append(target)
    last = max(steps.values()) + 1
    names = (OUTSIDE, *(spec.name for spec in specs), *(edge.target for edge in edges))
    return {name: steps.get(name, last) for name in names}


def _places(specs: Sequence[ActorSpec], edges: Sequence[Edge]) -> dict[str, Place]:
    columns: dict[int, list[str]] = {}
    for name, steps in steps_from_outside(specs, edges).items():
        columns.setdefault(steps, []).append(name)
    if not any(edge.source == OUTSIDE for edge in edges):
        columns.pop(0)
    return {
        name: (_MARGIN + column * (_WIDE + _ACROSS), 40.0 + row * (_HIGH + _DOWN))
        for column, steps in enumerate(sorted(columns))
        for row, name in enumerate(columns[steps])
    }


def _actor(spec: ActorSpec, place: Place, junctions: Sequence[Junction]) -> str:
    warned = spec.cell in [junction.cell for junction in junctions]
    below = f"cell {spec.cell}{', private' if spec.private else ''}"
    box = _box(spec.name, below, place, "#fff1f0" if warned else "#f6f8fa", "#cf222e" if warned else "#8c959f")
    acts = "; ".join(spec.may.act)
    short = f"does {acts}" if len(acts) <= _SHOWN else f"does {acts[: _SHOWN - 1]}…"
    text = f'<text class="s" x="{place[0]:.0f}" y="{place[1] + _HIGH + 13:.0f}">{escape(short)}'
    return box + (f"{text}<title>{escape(acts)}</title></text>" if acts else "")


def _box(name: str, below: str, place: Place, fill: str, edge: str) -> str:
    x, y = place
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{_WIDE}" height="{_HIGH}" rx="6" fill="{fill}" stroke="{edge}"/>'
        f'<text x="{x + 10:.0f}" y="{y + 15:.0f}">{escape(name)}</text>'
        f'<text class="s" x="{x + 10:.0f}" y="{y + 28:.0f}">{escape(below)}</text>'
    )


def _line(edge: Edge, places: dict[str, Place]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    y1, y2 = y1 + _HIGH / 2, y2 + _HIGH / 2
    leaves, comes = (1 if x2 > x1 else -1), (-1 if x2 >= x1 else 1)  # to the right or the left of its box
    begin, end = x1 + (_WIDE if leaves > 0 else 0), x2 + (_WIDE if comes > 0 else 0)
    bent_out, bent_in = begin + leaves * _BEND, end + comes * _BEND
    dash = f' stroke-dasharray="{_DASHES[edge.way]}"' if _DASHES[edge.way] else ""
    curve = f"M{begin:.0f} {y1:.0f}C{bent_out:.0f} {y1:.0f} {bent_in:.0f} {y2:.0f} {end:.0f} {y2:.0f}"
    told = f"{edge.source} may {edge.way} {edge.terms or edge.target}"
    look = f'stroke="{_COLOURS[edge.way]}"{dash} marker-end="url(#a)"'
    return f'<path d="{curve}" {look}><title>{escape(told)}</title></path>'


def _legend(y: float) -> str:
    parts, x = list[str](), float(_MARGIN)
    for way, colour in _COLOURS.items():
        dash = f' stroke-dasharray="{_DASHES[way]}"' if _DASHES[way] else ""
        parts.append(f'<path d="M{x:.0f} {y - 4:.0f}h26" stroke="{colour}"{dash}/>')
        parts.append(f'<text class="s" x="{x + 32:.0f}" y="{y:.0f}">{way}</text>')
        x += 100
    return "".join(parts)
