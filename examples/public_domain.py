"""Paintings whose makers died more than seventy years ago, by the names of the looks that ship of them.

The pictures themselves are not part of fastnst; ``looks.py --paintings FOLDER`` takes them from a folder.
"""

from __future__ import annotations

from pathlib import Path

from fastnst.format.lookfile import Source
from fastnst.system.digest import file_digest

PAINTINGS = {
    "adele-bloch-bauer": ("Portrait of Adele Bloch-Bauer I", "Gustav Klimt", "1907"),
    "calling-of-saint-matthew": ("The Calling of Saint Matthew", "Caravaggio", "1600"),
    "composition-red-blue-yellow": ("Composition II in Red, Blue, and Yellow", "Piet Mondrian", "1930"),
    "four-trees": ("Four Trees", "Egon Schiele", "1917"),
    "goldfish": ("Goldfish", "Henri Matisse", "1912"),
    "irises": ("Irises", "Vincent van Gogh", "1889"),
    "large-blue-horses": ("The Large Blue Horses", "Franz Marc", "1911"),
    "starry-night": ("The Starry Night", "Vincent van Gogh", "1889"),
    "the-ninth-wave": ("The Ninth Wave", "Ivan Aivazovsky", "1850"),
    "vertumnus": ("Vertumnus", "Giuseppe Arcimboldo", "1591"),
    "view-of-toledo": ("View of Toledo", "El Greco", "about 1599"),
    "woman-with-a-parasol": ("Woman with a Parasol - Madame Monet and Her Son", "Claude Monet", "1875"),
}
"""Title, artist and year."""


def pictures(folder: Path) -> dict[str, Path]:
    """The file of each painting in a folder: of its name, with any suffix; underscores count as hyphens.

    Raises:
        ValueError: some are not there.
    """
    files = {path.stem.replace("_", "-"): path for path in sorted(folder.iterdir()) if path.is_file()}
    if missing := [name for name in PAINTINGS if name not in files]:
        raise ValueError(f"{folder}: no picture of the name {', '.join(missing)}")
    return {name: files[name] for name in PAINTINGS}


def source(name: str, picture: Path) -> Source:
    """Whose painting it is, and which picture of it this is."""
    return Source(*PAINTINGS[name], file_digest(picture))
