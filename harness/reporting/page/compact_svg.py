"""A figure of matplotlib's in half its bytes: what is seen of it is the same."""

import re
from collections.abc import Iterator
from itertools import count, product
from string import ascii_lowercase
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

SVG = "{http://www.w3.org/2000/svg}"
XLINK_HREF = "{http://www.w3.org/1999/xlink}href"
REFERENCE = re.compile(r"url\(#([^)]+)\)")
DECIMALS = re.compile(r"-?\d+\.\d+")
AROUND = re.compile(r" ?([A-Za-z]) ?")
"""A command of a path, and the spaces that it needs none of."""

SHIFT = re.compile(r"translate\((-?[\d.]+) (-?[\d.]+)\)")
LENGTHS = ("x", "y", "d")
"""Attributes that hold lengths only, of which hundredths are kept: of a point, or of a unit of a glyph, which is less."""


def compact_svg(svg: bytes) -> str:
    """The same picture without metadata and comments, each style said once, no name that nothing asks for, and the others short.

    Args:
        svg: a document as matplotlib writes it: styles in attributes, no classes.
    """
    root = ElementTree.fromstring(svg)
    for metadata in root.findall(SVG + "metadata"):
        root.remove(metadata)
    elements = list(root.iter())
    names = _short_names(elements)
    classes: dict[str, str] = {}
    letters = _letters()
    for element in elements:
        attributes = element.attrib
        _name_shortly(attributes, names)
        for lengths in LENGTHS:
            if lengths in attributes:
                text = " ".join(attributes[lengths].split())
                attributes[lengths] = AROUND.sub(r"\1", DECIMALS.sub(lambda found: _rounded(found[0]), text))
        if element.tag == SVG + "use" and (shift := SHIFT.fullmatch(attributes.get("transform", ""))):
            del attributes["transform"]
            attributes.update({at: _rounded(by) for at, by in zip("xy", shift.groups(), strict=True) if float(by)})
        if style := attributes.pop("style", ""):
            attributes["class"] = classes.get(style) or classes.setdefault(style, next(letters))
    _unwrap(root)
    sheet = Element(SVG + "style")
    rules = "".join(f".{name}{{{style}}}" for style, name in classes.items())
    sheet.text = rules.replace("; ", ";").replace(": ", ":")
    root.insert(0, sheet)
    ElementTree.register_namespace("", SVG[1:-1])
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>")  # a text has no ">" of its own


def _short_names(elements: list[Element]) -> dict[str, str]:
    """A short one for each id that something asks for."""
    asked = (
        name
        for element in elements
        for key, value in element.attrib.items()
        for name in ([value[1:]] if key == XLINK_HREF and value.startswith("#") else REFERENCE.findall(value))
    )
    return dict(zip(dict.fromkeys(asked), _letters(), strict=False))


def _name_shortly(attributes: dict[str, str], names: dict[str, str]) -> None:
    if (name := attributes.pop("id", "")) in names:
        attributes["id"] = names[name]
    for key, value in attributes.items():
        attributes[key] = REFERENCE.sub(lambda found: f"url(#{names[found[1]]})", value)
    if href := attributes.pop(XLINK_HREF, ""):
        attributes["href"] = f"#{names[href[1:]]}" if href.startswith("#") else href


def _unwrap(parent: Element) -> None:
    """Drop white space, and the groups that say nothing of what is in them."""
    for child in parent:
        _unwrap(child)
    parent[:] = [
        element for child in parent for element in (child if child.tag == SVG + "g" and not child.attrib else [child])
    ]
    for element in (parent, *parent):
        element.text = element.text if (element.text or "").strip() else None
        element.tail = None


def _letters() -> Iterator[str]:
    """From a to z, then aa, ab and so on."""
    return ("".join(letters) for length in count(1) for letters in product(ascii_lowercase, repeat=length))


def _rounded(number: str) -> str:
    """A number to two decimals, none of them a needless zero."""
    text = f"{float(number):.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
