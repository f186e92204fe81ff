"""Pictures as SVG: bars for works, lines for latencies and for what grows. Nothing is needed to look at them."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

from .latency import PERCENTILES, Curve
from .names import OURS
from .report import Row

WIDTH: Final = 760
_BAR, _GAP, _LEFT = 18, 6, 250
_OURS, _THEIRS = "#1f6feb", "#b1bac4"
_STYLE: Final = "<style>text{font:13px system-ui,sans-serif;fill:#57606a}.b{font-weight:600}</style>"
_GROWTH: Final = ("#1f6feb", "#cf222e", "#2da44e", "#bf8700")
_COLOURS: Final = {0.5: "#2da44e", 0.8: "#bf8700", 0.95: "#cf222e"}


def _svg(height: float, body: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img">'
    return "\n".join([head, _STYLE, '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>", ""])


def bars(rows: Sequence[Row]) -> str:
    """Return a picture of the works that have peers, each scaled to its own longest bar."""
    body, y = list[str](), 24.0
    for work in dict.fromkeys(row.work for row in rows):
        mine = [row for row in rows if row.work == work]
        values = {OURS: mine[0].ours, **{row.peer: row.theirs for row in mine}}
        body.append(f'<text class="b" x="8" y="{y:.0f}">{escape(work)}, {escape(mine[0].unit)}</text>')
        y += 10
        for name, value in values.items():
            length = (WIDTH - _LEFT - 100) * value / max(values.values())
            colour = _OURS if name == OURS else _THEIRS
            body.append(f'<text x="{_LEFT - 8}" y="{y + 14:.0f}" text-anchor="end">{escape(name)}</text>')
            body.append(f'<rect x="{_LEFT}" y="{y:.0f}" width="{length:.1f}" height="{_BAR}" rx="3" fill="{colour}"/>')
            body.append(f'<text x="{_LEFT + length + 6:.1f}" y="{y + 14:.0f}">{value:,.0f}</text>')
            y += _BAR + _GAP
        y += 26
    return _svg(y, body)


def lines(curves: Sequence[Curve]) -> str:
    """Return a picture of latencies: percentiles to the right, milliseconds upwards, both on logarithmic scales."""
    top = max(max(curve.percentiles.values()) for curve in curves)
    low = min(min(curve.percentiles.values()) for curve in curves)
    bottom, height = 320.0, 280.0
    columns = [90 + at * 150 for at in range(len(PERCENTILES))]

    def up(value: float) -> float:
        return bottom - height * math.log(value / low) / (math.log(top / low) or 1.0)

    body = ['<text class="b" x="8" y="20">ask in an open loop: milliseconds from when it was due</text>']
    body += [
        f'<text x="{x}" y="345" text-anchor="middle">p{each:g}</text>'
        for x, each in zip(columns, PERCENTILES, strict=True)
    ]
    for exponent in range(math.floor(math.log10(low)), math.ceil(math.log10(top)) + 1):
        value = 10.0**exponent
        if low <= value <= top:
            body.append(f'<line x1="70" x2="560" y1="{up(value):.1f}" y2="{up(value):.1f}" stroke="#eaeef2"/>')
            body.append(f'<text x="62" y="{up(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for number, curve in enumerate(curves):
        points = " ".join(f"{x},{up(value):.1f}" for x, value in zip(columns, curve.percentiles.values(), strict=True))
        dash = "" if curve.side == OURS else ' stroke-dasharray="5 4"'
        colour = _COLOURS[curve.load]
        body.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        y = 60 + number * 22
        body.append(f'<line x1="575" x2="605" y1="{y - 4}" y2="{y - 4}" stroke="{colour}" stroke-width="2"{dash}/>')
        body.append(f'<text x="612" y="{y}">{escape(curve.side)}, {curve.load:.0%}</text>')
    return _svg(360, body)


def growth(curves: Mapping[str, Sequence[tuple[int, float]]], title: str) -> str:
    """Return a picture of what grows with a number: that to the right, the value upwards, both logarithmic."""
    points = [point for curve in curves.values() for point in curve]
    low, top = (10.0 ** edge(math.log10(f(v for _, v in points))) for f, edge in ((min, math.floor), (max, math.ceil)))
    left, right = math.log10(min(n for n, _ in points)), math.log10(max(n for n, _ in points))

    def across(number: float) -> float:
        return 90 + 450 * (math.log10(number) - left) / (right - left)

    def up(value: float) -> float:
        return 320 - 280 * math.log(value / low) / math.log(top / low)

    body = [f'<text class="b" x="8" y="20">{escape(title)}</text>']
    for exponent in range(round(math.log10(low)), round(math.log10(top)) + 1):
        y = up(10.0**exponent)
        body.append(f'<line x1="80" x2="550" y1="{y:.1f}" y2="{y:.1f}" stroke="#eaeef2"/>')
        body.append(f'<text x="72" y="{y + 4:.1f}" text-anchor="end">{10.0**exponent:g}</text>')
    for number, _ in next(iter(curves.values())):
        body.append(f'<text x="{across(number):.0f}" y="345" text-anchor="middle">{number // 1000}k</text>')
    for at, (name, curve) in enumerate(curves.items()):
        colour = _GROWTH[at % len(_GROWTH)]
        line = " ".join(f"{across(number):.1f},{up(value):.1f}" for number, value in curve)
        body.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body.append(f'<line x1="565" x2="590" y1="{56 + at * 22}" y2="{56 + at * 22}" stroke="{colour}"/>')
        body.append(f'<text x="596" y="{60 + at * 22}">{escape(name)}</text>')
    return _svg(360, body)
