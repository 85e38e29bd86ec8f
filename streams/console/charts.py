"""Charts as numbers: where lines, areas, bars and ticks are in a small drawing. Templates make SVG of them. Pure.

Each chart has a title, a sentence that says what it shows, and the same numbers as a table, for whoever cannot see it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from streams.console.words import clock

WIDTH, HEIGHT = 400, 168
LEFT, RIGHT, TOP, BOTTOM = 46, 8, 10, 24
_NOTHING = 1e-6
"""Less than this is drawn as nothing."""


class Tick(NamedTuple):
    """A mark of an axis: where, and what it says."""

    at: float
    text: str


class Shape(NamedTuple):
    """A path with its class in the style sheet."""

    path: str
    css: str


class Box(NamedTuple):
    """A bar."""

    x: float
    y: float
    width: float
    height: float
    css: str
    title: str


class Key(NamedTuple):
    """An entry of the legend, with the newest value if there is one."""

    text: str
    css: str
    value: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing of `width` by `height`.

    Attributes:
        id: of its elements; unique on a page.
        title: what it is about.
        said: what it shows, in one sentence.
        x_ticks: below.
        y_ticks: on the left.
        shapes: areas first, lines on top.
        boxes: bars.
        legend: what the colours mean.
        head: of the table.
        rows: of the table.
    """

    id: str
    title: str
    said: str
    x_ticks: Sequence[Tick] = ()
    y_ticks: Sequence[Tick] = ()
    shapes: Sequence[Shape] = ()
    boxes: Sequence[Box] = ()
    legend: Sequence[Key] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not self.shapes and not self.boxes


class Series(NamedTuple):
    """One line: (moment, value) with rising moments; None is a gap."""

    name: str
    css: str
    points: Sequence[tuple[int, float | None]]


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to a place in the drawing; may be given upside down."""

    low: float
    high: float
    start: float
    end: float
    ticks: list[float] = field(default_factory=list)

    def at(self, value: float) -> float:
        """Place of a value, cut at the ends."""
        part = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.0
        return round(self.start + min(1.0, max(0.0, part)) * (self.end - self.start), 1)


def nice_ticks(highest: float, most: int = 4) -> list[float]:
    """Round values from 0 to at least `highest`.

    >>> nice_ticks(87), nice_ticks(0.3), nice_ticks(0)
    ([0.0, 25.0, 50.0, 75.0, 100.0], [0.0, 0.1, 0.2, 0.3], [0.0, 1.0])
    """
    if highest < _NOTHING or not math.isfinite(highest):
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(highest / most))
    step = next(each * power for each in (1, 2, 2.5, 5, 10) if each * power * most >= highest * (1 - 1e-9))
    count = math.ceil(highest / step - 1e-9)
    return [round(step * number, 10) for number in range(count + 1)]


def time_ticks(from_ms: int, to_ms: int, scale: Scale) -> list[Tick]:
    """Three to five whole moments of a stretch of time.

    >>> [tick.text for tick in time_ticks(0, 3_600_000, Scale(0, 3_600_000, 0, 100))]
    ['00:00', '00:15', '00:30', '00:45', '01:00']
    """
    minutes = next(
        (each for each in (1, 2, 5, 10, 15, 30, 60, 180, 360, 720) if (to_ms - from_ms) <= 4.6 * each * 60_000), 1440
    )
    step = minutes * 60_000
    first = -(-from_ms // step) * step
    return [Tick(scale.at(at_ms), clock(at_ms)) for at_ms in range(first, to_ms + 1, step)]


def line_chart(
    name: str,
    title: str,
    said: str,
    series: Sequence[Series],
    from_ms: int,
    to_ms: int,
    text: Callable[[float], str],
    *,
    most_rows: int = 12,
) -> Chart:
    """Lines over time, from 0 up.

    Args:
        name: id of the chart.
        title: what it is about.
        said: what it shows.
        series: the lines; the first is filled below if it is the only one.
        from_ms: left end.
        to_ms: right end.
        text: writes a value.
        most_rows: newest rows of the table.
    """
    known = [value for line in series for _, value in line.points if value is not None]
    ticks = nice_ticks(max(known, default=0.0))
    across, up = _scales(from_ms, to_ms, ticks)
    shapes: list[Shape] = []
    for line in series:
        path, filled = _line(line.points, across, up)
        if len(series) == 1 and filled:
            shapes.append(Shape(filled, f"area {line.css}"))
        if path:
            shapes.append(Shape(path, f"line {line.css}"))
    moments = sorted({at_ms for line in series for at_ms, _ in line.points})[-most_rows:]
    values = [dict(line.points) for line in series]
    return Chart(
        id=name,
        title=title,
        said=said,
        x_ticks=time_ticks(from_ms, to_ms, across),
        y_ticks=[Tick(up.at(tick), text(tick)) for tick in ticks],
        shapes=shapes if known else (),
        legend=[Key(line.name, line.css, _last(line, text)) for line in series],
        head=["from", *(line.name for line in series)],
        rows=[
            [clock_to_second(at_ms), *("–" if each.get(at_ms) is None else text(each[at_ms] or 0.0) for each in values)]
            for at_ms in reversed(moments)
        ],
    )


def stacked_chart(
    name: str, title: str, said: str, series: Sequence[Series], from_ms: int, to_ms: int, text: Callable[[float], str]
) -> Chart:
    """Areas on top of each other, the first at the bottom; every series has the same moments."""
    moments = [at_ms for at_ms, _ in series[0].points]
    heights = [[value or 0.0 for _, value in line.points] for line in series]
    totals = [sum(column) for column in zip(*heights, strict=True)]
    ticks = nice_ticks(max(totals, default=0.0))
    across, up = _scales(from_ms, to_ms, ticks)
    shapes, below = [], [0.0] * len(moments)
    for line, height in zip(series, heights, strict=True):
        above = [under + more for under, more in zip(below, height, strict=True)]
        if any(height):
            edge = [f"{across.at(at)} {up.at(value)}" for at, value in zip(moments, above, strict=True)]
            back = [f"{across.at(at)} {up.at(value)}" for at, value in zip(moments, below, strict=True)][::-1]
            shapes.append(Shape("M" + "L".join([*edge, *back]) + "Z", f"stack {line.css}"))
        below = above
    rows = [
        [clock_to_second(at), *(text(height[place]) for height in heights)]
        for place, at in list(enumerate(moments))[-12:]
    ]
    return Chart(
        id=name,
        title=title,
        said=said,
        x_ticks=time_ticks(from_ms, to_ms, across),
        y_ticks=[Tick(up.at(tick), text(tick)) for tick in ticks],
        shapes=shapes,
        legend=[Key(line.name, line.css, _last(line, text)) for line in series],
        head=["from", *(line.name for line in series)],
        rows=rows[::-1],
    )


def bars_chart(
    name: str,
    title: str,
    said: str,
    live: Sequence[float],
    trained: Sequence[float] | None,
    labels: Sequence[str],
    text: Callable[[float], str],
    *,
    label_every: int = 1,
) -> Chart:
    """Shares by bin as bars, with those of training as a stepped line over them.

    Args:
        name: id of the chart.
        title: what it is about.
        said: what it shows.
        live: share of each bin.
        trained: the same in training; None: there is nothing to compare with.
        labels: of the bins.
        text: writes a share.
        label_every: so many bins have one tick.
    """
    ticks = nice_ticks(max([*live, *(trained or ())], default=0.0))
    across, up = _scales(0, len(live), ticks)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(live))
    boxes = [
        Box(
            round(across.at(place) + step * 0.12, 1),
            up.at(value),
            round(step * 0.76, 1),
            round(up.at(0.0) - up.at(value), 1),
            "bar",
            f"{labels[place]}: {text(value)}" + ("" if trained is None else f", in training {text(trained[place])}"),
        )
        for place, value in enumerate(live)
        if value > 0
    ]
    shapes = []
    if trained is not None and any(trained):
        corners = []
        for place, value in enumerate(trained):
            corners += [f"{across.at(place)} {up.at(value)}", f"{across.at(place + 1)} {up.at(value)}"]
        shapes.append(Shape("M" + "L".join(corners), "line trained"))
    legend = [Key("now", "bar", "")] + ([Key("in training", "trained", "")] if shapes else [])
    return Chart(
        id=name,
        title=title,
        said=said,
        x_ticks=[
            Tick(round(across.at(place) + step / 2, 1), labels[place]) for place in range(0, len(live), label_every)
        ],
        y_ticks=[Tick(up.at(tick), text(tick)) for tick in ticks],
        shapes=shapes,
        boxes=boxes,
        legend=legend,
        head=["bin", "now", *([] if trained is None else ["in training"])],
        rows=[
            [labels[place], text(value), *([] if trained is None else [text(trained[place])])]
            for place, value in enumerate(live)
            if value > 0 or (trained is not None and trained[place] > 0)
        ],
    )


def clock_to_second(at_ms: int) -> str:
    """The time of the day in UTC.

    >>> clock_to_second(3_661_000)
    '01:01:01'
    """
    seconds = at_ms // 1_000
    return f"{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _scales(low: float, high: float, ticks: Sequence[float]) -> tuple[Scale, Scale]:
    return Scale(low, high, LEFT, WIDTH - RIGHT), Scale(0.0, ticks[-1], HEIGHT - BOTTOM, TOP)


def _line(points: Sequence[tuple[int, float | None]], across: Scale, up: Scale) -> tuple[str, str]:
    """The path of a line with its gaps, and of the area below it."""
    pieces: list[list[str]] = [[]]
    for at_ms, value in points:
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{across.at(at_ms)} {up.at(value)}")
    pieces = [piece if len(piece) > 1 else [*piece, *piece] for piece in pieces if piece]
    ground = up.at(0.0)
    filled = "".join(
        f"M{piece[0].split()[0]} {ground}L" + "L".join(piece) + f"L{piece[-1].split()[0]} {ground}Z" for piece in pieces
    )
    return "".join("M" + "L".join(piece) for piece in pieces), filled


def _last(line: Series, text: Callable[[float], str]) -> str:
    known = [value for _, value in line.points if value is not None]
    return text(known[-1]) if known else ""
