"""A picture of a report: what it shows, and two layouts of it, each as PNG and SVG."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("png", "svg")


@dataclass(frozen=True, slots=True)
class Layout:
    """One layout; the title takes the upper `title_height` points (1/72 inch) of the SVG."""

    png: bytes
    svg: str
    title_height: float


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture for wide pages, and the same in a `narrow` layout for phones; `finding` is its title."""

    finding: str
    wide: Layout
    narrow: Layout

    def files(self, name: str) -> dict[str, bytes]:
        """Its files by name, for a picture called `name`."""
        contents = [content for one in (self.wide, self.narrow) for content in (one.png, one.svg.encode())]
        return dict(zip(file_names(name), contents, strict=True))


def file_names(name: str) -> list[str]:
    """The names of the files of a picture: the wide layout, then the narrow one."""
    return [f"{name}{layout}.{kind}" for layout in ("", "-narrow") for kind in KINDS]
