"""The options of ``fastnst stylize``."""

from __future__ import annotations

import argparse

from fastnst.cli.values import at_least, byte_count, level_list, path, share, weight_list

STYLE_HELP = "a picture, or several to mix; none for a model that translates pictures by itself"


def add_stylize_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    contents = "a picture, a video, or a folder of them (with the folders in it); - is a y4m on standard input"
    add("content", type=path, metavar="CONTENT", help=contents)
    style = add("style", type=path, nargs="+", default=[], metavar="STYLE", help=STYLE_HELP)
    style.required = False  # nargs="*" would take none where an option follows CONTENT, and refuse the STYLE after that
    outputs = "output file; a folder where CONTENT is a folder; - is a y4m on standard output"
    add("-o", "--output", type=path, metavar="OUT", help=outputs)
    add("--model", metavar="NAME_OR_FILE", help="a shipped model's name or a .fnst file; default: the shipped default")
    add("--alpha", type=share, default=1.0, metavar="A", help="0 = content, 1 = full style (default)")
    add("--weights", type=weight_list, metavar="W,W...", help="parts of the styles, such as 0.7,0.3; default: equal parts")
    add("--levels", type=level_list, metavar="L,L...", help="levels of a WCT model, such as 5,4,3,2,1; default: all it has")
    colors = parser.add_mutually_exclusive_group()
    keeps = "keep the content's colours"
    colors.add_argument("--preserve-color", dest="colors", action="store_const", const="luma", default="palette", help=keeps)
    palette = (
        "how far colours are moved to the style's: 0 = as the network makes them, 1 = all the way (default); times --alpha"
    )
    colors.add_argument("--palette", type=share, metavar="P", help=palette)
    add("--size", type=at_least(0), default=0, metavar="N", help="short side of the content in pixels; 0 = as it is (default)")
    add(
        "--style-size",
        type=at_least(0),
        metavar="N",
        help="short side of the styles in pixels; 0 = as they are; default: larger styles are shrunk to 512",
    )
    add("--threads", type=at_least(1), metavar="N", help="default: the cores this process may use")
    add(
        "--max-memory",
        type=byte_count,
        metavar="BYTES",
        help="working memory, such as 512M or 2G: larger pictures are done in tiles, with the same pixels; default: 12 bytes "
        "for each pixel, at least 64M, at most a quarter of the machine's",
    )
    add(
        "--smooth",
        type=share,
        metavar="S",
        help="of a video: how slowly the content's statistics follow the frames, 0 = at once, 1 = only at cuts; default: "
        "0.5 for AdaIN models",
    )
    qualities = "of a video: the encoder's number, 0 = best; default: 18 for H.264, 24 for WebM's VP9"
    add("--video-quality", type=at_least(0), metavar="N", help=qualities)
    camera = "show what camera N sees instead; every picture given is a style (default: camera 0)"
    add("--camera", type=at_least(0), nargs="?", const=0, metavar="N", help=camera)
    add("--overwrite", action="store_true", help="replace existing outputs; without it a folder run does what is missing")
    add("--quiet", action="store_true", help="print nothing but errors")
    add(
        "--json",
        action="store_true",
        help="one JSON line per picture or video: size, seconds, bytes of memory, what was left out, or its error",
    )
